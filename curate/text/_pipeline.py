"""A shorter way through Numba's compiler for kernels: the same speed, compiled a third sooner.

Numba's pipeline takes any Python function. Kernels hold no closures, comprehensions, `with`,
`literally` or array expressions, so the steps that look for these are left out; a kernel that
needs one fails when it is compiled. And Numba optimises each function, makes it executable, then
links and optimises it again in all that call it: here only those that Python calls are finished,
once, when all that they call is linked in.

The way in is documented (`pipeline_class`), some of what is used on the way is not:
`curate.text.compiler` takes this module for the versions of Numba that it was written for.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, PassManager, _LowerResult
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.funcdesc import PythonFunctionDescriptor
from numba.core.lowering import Lower
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    IRProcessing,
    ReconstructSSA,
    TranslateByteCode,
)

Numba = Any  # it publishes no types


class _Kernel(JITCodeLibrary):  # type: ignore[misc]
    """Code that is optimised once, and not before all is linked.

    Numba goes over each function first, and once more to drop references to arrays that are
    counted in vain: a kernel counts a few, outside of its loops.
    """

    def add_llvm_module(self, ll_module: Numba) -> None:
        ll_module.data_layout = self._codegen._data_layout
        self._final_module.link_in(ll_module)

    def _optimize_final_module(self) -> None:
        manager, builder = self._codegen._module_pass_manager()
        manager.run(self._final_module, builder)


class _Part(_Kernel):
    """Code that is linked into kernels only: neither optimised nor made executable by itself."""

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(LoweringPass):  # type: ignore[misc]
    """Numba's `NativeLowering` up to where it asks for something that can be executed."""

    _name = "part_lowering"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Numba) -> bool:
        context, flags, code = state.targetctx, state.flags, state.func_ir
        state.library = _Part(context.codegen(), state.func_id.func_qualname)
        described = PythonFunctionDescriptor.from_specialized_function(
            code,
            state.typemap,
            state.return_type,
            state.calltypes,
            mangler=context.mangler,
            inline=flags.forceinline,
            noalias=flags.noalias,
            abi_tags=[flags.get_mangle_string()],
        )
        with context.push_code_library(state.library):
            lower = Lower(context, state.library, described, code, metadata=state.metadata)
            lower.lower()
        # Numba tells compiled functions apart by what Python would call: any builtin of its own.
        entry = [described.qualname].copy
        context.insert_user_function(entry, described, [state.library])
        state["cr"] = _LowerResult(described, lower.call_helper, cfunc=entry, env=lower.env)
        return True


def _steps(lowering: Numba) -> list[Numba]:
    manager = PassManager("kernel")
    for step in (
        TranslateByteCode,
        FixupArgs,
        IRProcessing,
        GenericRewrites,
        ReconstructSSA,
        NopythonTypeInference,
        PreLowerStripPhis,
        IRLegalization,  # marks where arrays are last used: without it none is ever freed
        lowering,
        NoPythonBackend,
    ):
        manager.add_pass(step, step.__name__)
    manager.finalize()
    return [manager]


class KernelCompiler(CompilerBase):  # type: ignore[misc]
    """For a function that Python calls."""

    def define_pipelines(self) -> list[Numba]:
        """The steps; called by Numba."""
        codegen = self.state.targetctx.codegen()
        self.state.library = _Kernel(codegen, self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        return _steps(NativeLowering)


class PartCompiler(CompilerBase):  # type: ignore[misc]
    """For a function that only kernels call."""

    def define_pipelines(self) -> list[Numba]:
        """The steps; called by Numba."""
        return _steps(_PartLowering)

"""How kernels are compiled: their decorators."""

from __future__ import annotations

from typing import Any

import numba

#: Versions whose inside `curate.text._pipeline` knows; others compile the same, but longer.
KNOWN_VERSIONS = ("0.68.",)

_kernel: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True}
_part: dict[str, Any] = {**_kernel, "no_cpython_wrapper": True}
if numba.__version__.startswith(KNOWN_VERSIONS):
    from curate.text._pipeline import KernelCompiler, PartCompiler

    _kernel["pipeline_class"] = KernelCompiler
    _part["pipeline_class"] = PartCompiler

#: Decorator of every kernel: compiled once a machine, releases the GIL, and never
#: `parallel=True`, which would cost 0.7 s of start-up even from the cache.
compiled = numba.njit(cache=True, **_kernel)

#: Decorator of a function that only kernels call: compiled with them, and no door for Python.
#: It makes no arrays, so that counting references to them (`_nrt`) need not be compiled either.
part = numba.njit(**_part, _nrt=False)

#: For the small functions inside a hot loop, where even a call would show.
inlined = numba.njit(**_part, _nrt=False, forceinline=True)

#: For one that makes arrays.
maker = numba.njit(**_part)

"""What stages read from outside their run folder: a stage runs again where this has changed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from curate.audits import load_lexicon
from curate.config import RunConfig
from curate.corpus import InputConfig, find_files, keys_named, reads_below
from curate.duplicate_stages import batch_name
from curate.duplicates import index_state
from curate.errors import ConfigError
from curate.quality import scorer_file
from curate.run_folder import RunFolder

Files = dict[str, InputConfig]

__all__ = [
    "check_files",
    "check_output",
    "check_survivor",
    "evaluation_files",
    "further_sets",
    "index_batches",
    "lexicon_digests",
    "quality_files",
    "truth_file",
]


def evaluation_files(config: RunConfig) -> Files:
    """Evaluation sets of the experiment.

    >>> from curate.config import load_config
    >>> evaluation_files(load_config({"input": {"path": "a"}, "output": {"path": "b"}}))
    {}
    """
    paths = config.measure.evaluation if config.measure else ()
    return {"measure.evaluation": InputConfig(path=tuple(paths))} if paths else {}


def quality_files(config: RunConfig) -> Files:
    """Texts that a quality model is fitted on, and the source of a scorer of one's own.

    >>> from curate.config import load_config
    >>> values = {"input": {"path": "a"}, "output": {"path": "b"}}
    >>> list(quality_files(load_config(values | {"quality": {"reference": "c"}})))
    ['quality.reference']
    """
    quality = config.quality
    given = {"quality.reference": quality.reference, "quality.background": quality.background}
    files = {
        name: texts if isinstance(texts, InputConfig) else InputConfig(path=texts)
        for name, texts in given.items()
        if texts is not None
    }
    # Another source of a scorer is another score.
    source = None if quality.scorer is None else scorer_file(quality.scorer)
    own = {} if source is None else {"quality.scorer": InputConfig(path=str(source), format="text")}
    return files | own


def further_sets(config: RunConfig) -> Files:
    """Evaluation sets that only overlaps are looked for with.

    >>> from curate.config import load_config
    >>> values = {"input": {"path": "a"}, "output": {"path": "b"}}
    >>> list(further_sets(load_config(values | {"decontamination": {"evaluation": ["c"]}})))
    ['decontamination.evaluation']
    """
    asked = config.decontamination
    further = asked.evaluation if asked else ()
    return {"decontamination.evaluation": InputConfig(path=further)} if further else {}


def lexicon_digests(config: RunConfig) -> list[str]:
    """Digests of the word lists of the audit.

    >>> from curate.config import load_config
    >>> lexicon_digests(load_config({"input": {"path": "a"}, "output": {"path": "b"}}))
    []
    """
    return [load_lexicon(name).sha256 for name in config.audit.lexicons]


def truth_file(config: RunConfig) -> Files:
    """The noise that the input itself declares.

    >>> from curate.config import load_config
    >>> values = {"input": {"path": "a"}, "output": {"path": "b"}, "truth": "c.parquet"}
    >>> list(truth_file(load_config(values)))
    ['truth']
    """
    return {"truth": InputConfig(path=config.truth)} if config.truth else {}


def index_batches(config: RunConfig) -> list[list[str]]:
    """Batches of the indexes that a run compares with; its own batch is none of them.

    >>> from curate.config import load_config
    >>> values = {"input": {"path": "a"}, "output": {"path": "b"}, "duplicates": {"index": "new"}}
    >>> index_batches(load_config(values))
    [[]]
    """
    root, duplicates = Path(config.output.path), config.duplicates
    paths = [*duplicates.against, *([duplicates.index] if duplicates.index else [])]
    return [index_state(Path(path), batch=batch_name(root, Path(path))) for path in paths]


def check_files(config: RunConfig) -> None:
    """Find every file that a config names, before any work; and no text on both sides.

    Raises:
        ConfigError: An evaluation file is also a reference or background of the quality score.
        InputError: A file is not there.

    >>> from curate.config import load_config
    >>> check_files(load_config({"input": {"path": "no/such"}, "output": {"path": "b"}}))
    Traceback (most recent call last):
    curate.errors.InputError: ...'no/such': no such file or folder...
    """
    named: Files = {"input": config.input}
    for read in (quality_files, evaluation_files, further_sets, truth_file):
        named |= read(config)
    found: dict[str, set[Path]] = {}
    for name, files in named.items():
        if files.dataset is None:
            with keys_named(name) if name != "input" else nullcontext():
                found[name] = {file.path.resolve() for file in find_files(files)}
    for side in ("quality.reference", "quality.background"):
        both = found.get(side, set()) & found.get("measure.evaluation", set())
        if both:
            raise ConfigError(
                f"{min(both).name!r} is named by {side} and by measure.evaluation: a verdict needs "
                "text that no filter was fitted on; hold some of it out in a file of its own"
            )


def check_output(config: RunConfig) -> None:
    """Whether a run may write where it is asked to: not among its input, nor among other files.

    Raises:
        ConfigError: The input reads what lies in the output folder, or the folder holds files
            and is none of a run.

    >>> from curate.config import load_config
    >>> check_output(load_config({"input": {"path": "a"}, "output": {"path": "a/run"}}))
    Traceback (most recent call last):
    curate.errors.ConfigError: output.path 'a/run' lies in the input 'a', which would read it ...
    """
    path = config.output.path
    if pattern := reads_below(config.input, Path(path)):
        raise ConfigError(
            f"output.path {path!r} lies in the input {pattern!r}, which would read it as "
            "documents: name a folder beside the input, e.g. runs/a"
        )
    if RunFolder(Path(path)).is_foreign():
        raise ConfigError(
            f"output.path {path!r} is a folder with files, and none of a run (no manifest.json): "
            "name a new or an empty one"
        )


def check_survivor(config: RunConfig) -> None:
    """Whether the column that the survivor policy reads will be there.

    Raises:
        ConfigError: `best_quality` without a quality score.
    """
    if config.duplicates.survivor == "best_quality" and not config.quality.columns:
        raise ConfigError(
            'duplicates.survivor = "best_quality" needs a quality score: set quality.reference, '
            "label, column or scorer"
        )

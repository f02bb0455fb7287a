"""Any Hugging Face dataset as input: a local folder, one saved to disk, or a name on the Hub."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import polars as pl
import pyarrow as pa

from curate.corpus.arrow import BROKEN_TABLE_ERRORS, arrow_batch, describe
from curate.corpus.batches import Batch, one_file
from curate.corpus.inputs import InputConfig
from curate.corpus.nested import nested_names, split_table
from curate.corpus.schema import BROKEN_FILE
from curate.errors import InputError
from curate.progress import is_interactive

HUB = "https://huggingface.co"
# Long enough for most handshakes, short enough that nobody waits for a missing network.
REACH_SECONDS = 1.5
BATCH_ROWS = 512


def read_dataset(config: InputConfig) -> Iterator[Batch]:
    """Batches of one split of a dataset.

    Raises:
        InputError: The Hub cannot be reached (said within two seconds), or the dataset, subset
            or split does not exist.

    >>> list(read_dataset(InputConfig(dataset="./no/such/folder")))
    Traceback (most recent call last):
    curate.errors.InputError: input.dataset './no/such/folder': no such folder...
    """
    name, paths = dataset_name(config), nested_names(config)
    row = 1
    tables = _open(config).with_format("arrow").iter(batch_size=BATCH_ROWS)
    try:
        for table in tables:
            yield arrow_batch(split_table(table, paths), name, row, config.text)
            row += table.num_rows
    except BROKEN_TABLE_ERRORS as error:
        detail = f"after row {row - 1}: {describe(error)}"
        yield one_file(name, (), pl.DataFrame(), rejects=[(name, None, BROKEN_FILE, detail, None)])


def first_table(config: InputConfig, rows: int) -> pa.Table:
    """The first rows of one split; nothing else is downloaded or stored for them.

    Raises:
        InputError: As for `read_dataset`.

    >>> first_table(InputConfig(dataset="./no/such/folder"), 10)
    Traceback (most recent call last):
    curate.errors.InputError: input.dataset './no/such/folder': no such folder...
    """
    tables = _open(replace(config, streaming=True)).with_format("arrow").iter(batch_size=rows)
    found: pa.Table | None = next(iter(tables), None)
    if found is None:
        raise InputError(f"input.dataset {config.dataset!r}: no row in {config.split!r}")
    return found


def dataset_name(config: InputConfig) -> str:
    """Name of a dataset in ids, sources and the quarantine; the same on every machine.

    >>> dataset_name(InputConfig(dataset="org/set", subset="en"))
    'org/set/en/train'
    """
    dataset = config.dataset or ""
    name = Path(dataset).name if is_local(dataset) else dataset
    return "/".join(part for part in (name, config.subset, config.split) if part)


def is_local(dataset: str) -> bool:
    """Whether a dataset is a folder or file here, not a name on the Hub.

    >>> is_local("org/set")
    False
    """
    return Path(dataset).expanduser().exists()


def _open(config: InputConfig) -> Any:  # noqa: ANN401 - datasets is untyped
    dataset = config.dataset or ""
    if not is_local(dataset):
        _check_name(dataset)
        check_hub(dataset)
    import datasets

    try:
        with _quiet_in_pipes():
            if is_local(dataset):
                return _open_local(config)
            return datasets.load_dataset(
                dataset, config.subset, split=config.split, streaming=config.streaming
            )
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        raise InputError(f"input.dataset {dataset!r}: {error}") from error


def _open_local(config: InputConfig) -> Any:  # noqa: ANN401 - as above
    import datasets

    folder = Path(config.dataset or "").expanduser()
    if (folder / "dataset_dict.json").exists():
        splits = datasets.load_from_disk(str(folder))
        if config.split not in splits:
            raise ValueError(f"no split {config.split!r}; splits there: {', '.join(splits)}")
        return splits[config.split]
    if (folder / "state.json").exists():
        return datasets.load_from_disk(str(folder))
    return datasets.load_dataset(
        str(folder), config.subset, split=config.split, streaming=config.streaming
    )


@contextmanager
def _quiet_in_pipes() -> Iterator[None]:
    """No progress bars of `datasets` where nobody watches."""
    import datasets

    quiet = not is_interactive() and datasets.is_progress_bar_enabled()
    if quiet:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            datasets.enable_progress_bars()


def _check_name(dataset: str) -> None:
    """A path that does not exist is no name on the Hub; asking the Hub would hide the typo."""
    if dataset.count("/") > 1 or dataset.startswith((".", "/", "~")):
        raise InputError(f"input.dataset {dataset!r}: no such folder, and no name on the Hub")


def check_hub(dataset: str) -> None:
    """Raise `InputError` at once if a dataset of the Hub cannot be had.

    Asking `datasets` instead would retry for half a minute. With `HF_HUB_OFFLINE=1` the local
    cache is asked instead of the network.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}):
    ...     check_hub("org/set")
    Traceback (most recent call last):
    curate.errors.InputError: input.dataset 'org/set' is a name on the Hub: http://... cannot be...
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        problem = None if _is_cached(dataset) else "HF_HUB_OFFLINE is set, and no cache holds it"
    else:
        endpoint = os.environ.get("HF_ENDPOINT") or HUB
        answer = _unreachable(endpoint)
        problem = answer and f"{endpoint} cannot be reached ({answer})"
    if problem:
        raise InputError(
            f"input.dataset {dataset!r} is a name on the Hub: {problem}. To go on without a"
            " network: give input.dataset a local folder (made elsewhere by"
            " `datasets.load_dataset(...).save_to_disk(folder)`), give input.path your own"
            " files, or, if this dataset is in the local cache already, set HF_HUB_OFFLINE=1"
        )


def hub_cache() -> Path:
    """Where `huggingface_hub` keeps what it downloaded, without importing it.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, {"HF_HUB_CACHE": "/data/hub"}):
    ...     hub_cache().as_posix()
    '/data/hub'
    """
    return Path(os.environ.get("HF_HUB_CACHE") or _hugging_face_home() / "hub")


def _hugging_face_home() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("HF_HOME") or cache / "huggingface").expanduser()


def _is_cached(dataset: str) -> bool:
    prepared = Path(os.environ.get("HF_DATASETS_CACHE") or _hugging_face_home() / "datasets")
    return any(
        folder.is_dir()
        for folder in (
            hub_cache() / f"datasets--{dataset.replace('/', '--')}",
            prepared / dataset.replace("/", "___"),
        )
    )


def _unreachable(url: str) -> str | None:
    """Why a server does not answer in time; `None` if it does, whatever it answers.

    In a thread, for looking a name up has no time limit of its own.
    """
    answers: list[str | None] = []

    def ask() -> None:
        try:
            with urlopen(Request(url, method="HEAD"), timeout=REACH_SECONDS):
                answers.append(None)
        except HTTPError:
            answers.append(None)
        except (OSError, HTTPException) as error:
            answers.append(str(getattr(error, "reason", error)) or type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    return answers[0] if answers else f"no answer within {REACH_SECONDS} s"

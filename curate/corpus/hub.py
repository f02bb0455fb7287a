"""Any Hugging Face dataset as input: a local folder, one saved to disk, or a name on the Hub."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import polars as pl

from curate.corpus.arrow import BROKEN_TABLE_ERRORS, arrow_batch, describe
from curate.corpus.batches import Batch, one_file
from curate.corpus.inputs import InputConfig
from curate.corpus.schema import BROKEN_FILE
from curate.errors import InputError

HUB = "https://huggingface.co"
# Long enough for a slow handshake, short enough that nobody waits for a missing network.
REACH_SECONDS = 1.0
BATCH_ROWS = 512


def read_dataset(config: InputConfig) -> Iterator[Batch]:
    """Batches of one split of a dataset.

    Raises:
        InputError: The Hub cannot be reached (said within two seconds), or the dataset, subset
            or split does not exist.
    """
    name = dataset_name(config)
    row = 1
    tables = _open(config).with_format("arrow").iter(batch_size=BATCH_ROWS)
    try:
        for table in tables:
            yield arrow_batch(table, name, row, config.text)
            row += table.num_rows
    except BROKEN_TABLE_ERRORS as error:
        detail = f"after row {row - 1}: {describe(error)}"
        yield one_file(name, (), pl.DataFrame(), rejects=[(name, None, BROKEN_FILE, detail, None)])


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


def _check_name(dataset: str) -> None:
    """A path that does not exist is no name on the Hub; asking the Hub would hide the typo."""
    if dataset.count("/") > 1 or dataset.startswith((".", "/", "~")):
        raise InputError(f"input.dataset {dataset!r}: no such folder, and no name on the Hub")


def check_hub(dataset: str) -> None:
    """Raise `InputError` at once if the Hub cannot be reached.

    Asking `datasets` instead would retry for half a minute. With `HF_HUB_OFFLINE=1` nothing is
    checked: `datasets` then reads its own cache, or fails at once.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return
    url = urlsplit(_proxy() or os.environ.get("HF_ENDPOINT") or HUB)
    if not _reachable(url.hostname or "", url.port or (80 if url.scheme == "http" else 443)):
        raise InputError(
            f"input.dataset {dataset!r} is a name on the Hub, and {url.hostname} cannot be"
            " reached. To go on without a network: give input.dataset a local folder (made"
            " elsewhere by `datasets.load_dataset(...).save_to_disk(folder)`), give input.path"
            " your own files, or, if this dataset is in the local cache already, set"
            " HF_HUB_OFFLINE=1"
        )


def _proxy() -> str | None:
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _reachable(host: str, port: int) -> bool:
    """Whether a connection opens in time; in a thread, for looking a name up has no limit."""
    opened = threading.Event()

    def connect() -> None:
        try:
            with socket.create_connection((host, port), timeout=REACH_SECONDS):
                opened.set()
        except OSError:
            pass
        finally:
            finished.set()

    finished = threading.Event()
    threading.Thread(target=connect, daemon=True).start()
    finished.wait(REACH_SECONDS)
    return opened.is_set()

"""What an input is, as one digest."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from curate.corpus.hub import check_hub, dataset_name, hub_cache, is_local
from curate.corpus.inputs import InputConfig, find_files
from curate.corpus.storage import file_digest, folder_digest
from curate.errors import InputError


def fingerprint(config: InputConfig) -> str:
    """Digest of the input's content: SHA-256 in hexadecimal, the same wherever the files lie.

    For files: names relative to the input root, sizes and contents, in reading order. For a
    dataset: name, subset, split, and the contents of its folder or its commit on the Hub.
    How columns are called or parts are cut does not count.

    Raises:
        InputError: Nothing is there, or a file cannot be read.

    >>> import tempfile
    >>> home = Path(tempfile.mkdtemp())
    >>> _ = (home / "a.jsonl").write_text('{"text": "a"}')
    >>> len(fingerprint(InputConfig(path=str(home))))
    64
    """
    facts = _dataset_facts(config) if config.dataset is not None else _file_facts(config)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _file_facts(config: InputConfig) -> list[Any]:
    return [
        (file.name, file.format, file.path.stat().st_size, _digest(file.path))
        for file in find_files(config)
    ]


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        # Ingest names an unreadable file as broken and goes on; so must this.
        return f"unreadable: {type(error).__name__}"


def _dataset_facts(config: InputConfig) -> list[Any]:
    dataset = config.dataset or ""
    if not is_local(dataset):
        return [dataset_name(config), _commit(dataset)]
    path = Path(dataset).expanduser()
    return [dataset_name(config), folder_digest(path) if path.is_dir() else file_digest(path)]


def _commit(dataset: str) -> str:
    """The dataset's newest commit on the Hub; offline, the one that the cache holds."""
    check_hub(dataset)
    cached = hub_cache() / f"datasets--{dataset.replace('/', '--')}" / "refs" / "main"
    if os.environ.get("HF_HUB_OFFLINE"):
        return cached.read_text().strip() if cached.exists() else "cached"
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return str(HfApi().dataset_info(dataset).sha)
    except (HfHubHTTPError, OSError) as error:
        raise InputError(f"input.dataset {dataset!r}: {error}") from error

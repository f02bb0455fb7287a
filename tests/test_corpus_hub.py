"""Hugging Face datasets as input: local ones read, remote ones refused at once when offline."""

import socket
import time

import polars as pl
import pytest

from curate.corpus import InputConfig, fingerprint, ingest
from curate.errors import InputError

ROWS = {"id": [f"d{i}" for i in range(700)], "text": [f"text {i}" for i in range(699)] + [None]}


@pytest.fixture(autouse=True)
def offline_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def saved_dataset(folder):
    import datasets

    datasets.Dataset.from_dict(ROWS).save_to_disk(str(folder))


def saved_splits(folder):
    import datasets

    train = datasets.Dataset.from_dict(ROWS)
    other = datasets.Dataset.from_dict({"text": ["other"]})
    datasets.DatasetDict({"train": train, "test": other}).save_to_disk(str(folder))


def parquet_folder(folder):
    folder.mkdir()
    pl.DataFrame(ROWS).write_parquet(folder / "train.parquet")


@pytest.mark.parametrize("make", [saved_dataset, saved_splits, parquet_folder])
@pytest.mark.parametrize("streaming", [False, True])
def test_local_datasets(tmp_path, capfd, make, streaming):
    make(tmp_path / "set")
    capfd.readouterr()

    config = InputConfig(dataset=str(tmp_path / "set"), streaming=streaming)
    result = ingest(config, tmp_path / "out")

    documents = pl.read_parquet(list(result.parts))
    assert (
        documents.select("id", "text").rows()[:699]
        == list(zip(ROWS["id"], ROWS["text"], strict=True))[:699]
    )
    assert documents["source"].unique().to_list() == ["set/train"]
    assert result.reasons == {"null text": 1}
    assert capfd.readouterr().err == ""  # no progress bars where nobody watches


@pytest.mark.parametrize("make", [saved_splits, parquet_folder])
@pytest.mark.parametrize("streaming", [False, True])
def test_an_unknown_split_names_the_known_ones(tmp_path, make, streaming):
    make(tmp_path / "set")

    config = InputConfig(dataset=str(tmp_path / "set"), split="dev", streaming=streaming)
    with pytest.raises(InputError, match=r"input.dataset .*dev.*train"):
        ingest(config, tmp_path / "out")


def test_a_fingerprint_of_a_local_dataset_knows_its_content_and_split(tmp_path):
    (tmp_path / "x").mkdir()
    parquet_folder(tmp_path / "set")
    parquet_folder(tmp_path / "x/set")

    def print_of(folder, **kwargs):
        return fingerprint(InputConfig(dataset=str(tmp_path / folder), **kwargs))

    assert print_of("set") == print_of("x/set")
    assert print_of("set") != print_of("set", split="test")
    pl.DataFrame({"text": ["new"]}).write_parquet(tmp_path / "x/set/train.parquet")
    assert print_of("set") != print_of("x/set")


@pytest.fixture
def silent_server():
    """An address where a connection opens and nothing ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["closed", "silent", "unknown name", "switched off"])
@pytest.mark.parametrize("use", [ingest, fingerprint])
def test_without_a_network_a_hub_name_fails_at_once_and_says_how_to_go_on(
    tmp_path, monkeypatch, silent_server, kind, use
):
    if kind == "switched off":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setenv("HF_HOME", str(tmp_path))
    endpoints = {
        "closed": "http://127.0.0.1:9",
        "silent": silent_server,
        "unknown name": "https://hub.invalid",
    }
    monkeypatch.setenv("HF_ENDPOINT", endpoints.get(kind, ""))
    config = InputConfig(dataset="organisation/dataset")

    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        use(config, *([tmp_path / "out"] if use is ingest else []))
    assert time.perf_counter() - started < 2
    for words in ("'organisation/dataset' is a name on the Hub", "save_to_disk", "HF_HUB_OFFLINE"):
        assert words in str(caught.value)


def test_with_the_network_switched_off_the_cache_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    refs = tmp_path / "datasets--org--set" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("commit-one\n")

    first = fingerprint(InputConfig(dataset="org/set"))
    (refs / "main").write_text("commit-two\n")

    assert fingerprint(InputConfig(dataset="org/set")) != first


def test_a_folder_that_is_not_there_is_no_name_on_the_hub(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        ingest(InputConfig(dataset=str(tmp_path / "none")), tmp_path / "out")

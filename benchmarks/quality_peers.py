"""One measured run of one scorer; prints a line of JSON.

Runs inside the virtual environment of the tool: `python quality_peers.py TOOL FOLDER`. FOLDER
holds `train.parquet` and `test.parquet` (`text`, `label`) and `speed.parquet` (`text`).
Seconds are CPU seconds of all threads.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from time import process_time


def load(folder: Path, name: str):
    frame = importlib.import_module("polars").read_parquet(folder / f"{name}.parquet")
    return frame["text"].to_list(), frame["label"].to_list() if "label" in frame.columns else []


def timed(score, texts):
    start = process_time()
    score(texts)
    return len(texts) / (process_time() - start)


def curate(folder: Path) -> dict[str, object]:
    pl, quality = importlib.import_module("polars"), importlib.import_module("curate.quality")
    train = pl.read_parquet(folder / "train.parquet")
    start = process_time()
    config = quality.QualityConfig(checks=False)
    model = quality.fit_labels(train, config=config)
    fitted = process_time() - start
    texts, _ = load(folder, "test")
    speed = pl.read_parquet(folder / "speed.parquet")["text"]
    model.score(speed.head(10))  # compiled once a machine
    return {
        "fit": fitted,
        "speed": timed(model.score, speed),
        "scores": model.score(texts).to_list(),
    }


def curate_importance(folder: Path) -> dict[str, object]:
    pl, quality = importlib.import_module("polars"), importlib.import_module("curate.quality")
    train = pl.read_parquet(folder / "train.parquet")
    sides = [train.filter(pl.col("label") == side)["text"] for side in (True, False)]
    quality.fit_importance(sides[0].head(9), sides[1].head(9)).score(sides[0].head(9))
    start = process_time()
    model = quality.fit_importance(*sides)
    fitted = process_time() - start
    texts, _ = load(folder, "test")
    speed = pl.read_parquet(folder / "speed.parquet")["text"]
    return {
        "fit": fitted,
        "speed": timed(model.score, speed),
        "scores": model.score(texts).to_list(),
    }


def scikit_learn(folder: Path) -> dict[str, object]:
    text = importlib.import_module("sklearn.feature_extraction.text")
    linear = importlib.import_module("sklearn.linear_model")
    hashing = text.HashingVectorizer(
        ngram_range=(1, 2), n_features=2**18, alternate_sign=False, norm="l2"
    )
    texts, labels = load(folder, "train")
    start = process_time()
    model = linear.LogisticRegression(C=10.0, class_weight="balanced", max_iter=500)
    model.fit(hashing.transform(texts), labels)
    fitted = process_time() - start

    def score(texts):
        return model.decision_function(hashing.transform(texts))

    speed = timed(score, load(folder, "speed")[0])
    return {"fit": fitted, "speed": speed, "scores": score(load(folder, "test")[0]).tolist()}


def dsir(folder: Path) -> dict[str, object]:
    tool = importlib.import_module("data_selection.hashed_ngram_dsir")
    np = importlib.import_module("numpy")
    texts, labels = load(folder, "train")
    start = process_time()
    totals = np.zeros((2, 10_000))
    for text, label in zip(texts, labels, strict=True):
        tool.get_ngram_counts(text, counts=totals[int(label)])
    shares = totals / totals.sum(1, keepdims=True)
    ratio = np.log(shares[1] + 1e-8) - np.log(shares[0] + 1e-8)  # as its fit does
    fitted = process_time() - start

    def score(texts):
        return [float(ratio @ tool.get_ngram_counts(text)) for text in texts]

    speed = timed(score, load(folder, "speed")[0][:1_000])
    return {"fit": fitted, "speed": speed, "scores": score(load(folder, "test")[0])}


def fasttext(folder: Path) -> dict[str, object]:
    tool = importlib.import_module("fasttext")
    texts, labels = load(folder, "train")
    lines = (
        f"__label__{int(label)} {' '.join(text.lower().split())}"
        for text, label in zip(texts, labels, strict=True)
    )
    path = folder / "train.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    start = process_time()
    model = tool.train_supervised(str(path), wordNgrams=2, dim=100, epoch=5, thread=1, verbose=0)
    fitted = process_time() - start

    def score(texts):
        flat = [" ".join(text.lower().split()) for text in texts]
        labels, chances = model.predict(flat, k=2)
        return [
            dict(zip(names, values, strict=True))["__label__1"]
            for names, values in zip(labels, chances, strict=True)
        ]

    speed = timed(score, load(folder, "speed")[0])
    scores = [float(value) for value in score(load(folder, "test")[0])]
    return {"fit": fitted, "speed": speed, "scores": scores}


TOOLS = (curate, curate_importance, scikit_learn, dsir, fasttext)

if __name__ == "__main__":
    chosen = {tool.__name__: tool for tool in TOOLS}[sys.argv[1]]
    print(json.dumps(chosen(Path(sys.argv[2]))))

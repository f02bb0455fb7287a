"""WEAT against the published effects, on word2vec: `python -m benchmarks.weat`.

The vectors (13,013 words of the Google News word2vec) and the ten pairs of word sets come with
the wheel of wefe 1.0.1 (MIT), fetched by pip into a temporary folder; nothing of it is installed,
imported or kept. The vectors are a pickle, of which only arrays and plain containers are read.
"""

import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.results import write_section
from curate.audits import weat

WHEEL, DATA = "wefe==1.0.1", "wefe/datasets/data"

# Sets, Caliskan's word2vec effect as commonly quoted, and the effect and one-sided p that a plain
# implementation in numpy gave on these very vectors (ddof 1); p `None` = at most 1e-5.
ROWS = (
    (("flowers", "insects", "pleasant_5", "unpleasant_5a"), 1.54, 1.539, None),
    (("instruments", "weapons", "pleasant_5", "unpleasant_5a"), 1.63, 1.628, None),
    (
        ("european_american_names_5", "african_american_names_5", "pleasant_5", "unpleasant_5b"),
        0.58,
        0.584,
        0.0085,
    ),
    (
        ("european_american_names_7", "african_american_names_7", "pleasant_5", "unpleasant_5b"),
        1.24,
        1.313,
        None,
    ),
    (
        ("european_american_names_7", "african_american_names_7", "pleasant_9", "unpleasant_9"),
        0.72,
        0.723,
        0.0144,
    ),
    (("male_names", "female_names", "career", "family"), 1.89, 1.890, 7.77e-5),
    (("math", "arts", "male_terms", "female_terms"), 0.97, 0.966, 0.0227),
    (("science", "arts_2", "male_terms_2", "female_terms_2"), 1.24, 1.244, 0.0040),
    (("mental_disease", "physical_disease", "temporary", "permanent"), 1.30, 1.297, 0.0076),
    (("young_people_names", "old_people_names", "pleasant_9", "unpleasant_9"), -0.08, -0.198, 0.65),
)


class _Held:
    """Stands for a class of gensim: keeps the attributes, runs nothing."""

    def __setstate__(self, state):
        self.__dict__.update(state)


class _Arrays(pickle.Unpickler):
    """Reads arrays and plain containers; any other class or function is refused."""

    def find_class(self, module, name):
        if module == "gensim.models.keyedvectors":
            return _Held
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if module == "numpy.core.multiarray" and name in {"_reconstruct", "scalar"}:
            return super().find_class("numpy._core.multiarray", name)
        raise pickle.UnpicklingError(f"{module}.{name} is not expected among word vectors")


def fetched():
    """Word → vector, and the named sets of words."""
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, WHEEL]
        clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        subprocess.run(call, check=True, env=clean)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            held = _Arrays(io.BytesIO(wheel.read(f"{DATA}/test_model.kv"))).load()
            words = json.loads(wheel.read(f"{DATA}/WEAT.json"))
    return dict(zip(map(str, held.index2word), held.vectors.astype(float), strict=True)), words


def measured(vectors, words, sets):
    """Our result, its seconds, and the words that the vectors lack."""
    missing = [w for k in sets for w in words[k] if w not in vectors]
    one, two, a, b = (np.array([vectors[w] for w in words[k] if w in vectors]) for k in sets)
    weat(one[:2], two[:2], (a, b))
    start = time.process_time()
    found = weat(one, two, (a, b))
    return found, time.process_time() - start, missing


def row_of(vectors, words, row):
    """One line of the table, and whether effect and p are those expected."""
    sets, published, effect, p = row
    found, seconds, missing = measured(vectors, words, sets)
    near = found.p <= 2e-5 if p is None else abs(found.p - p) <= (0.02 * p if found.exact else 1e-3)
    same = abs(found.effect - effect) <= 5e-4 and near
    kind = "exact" if found.exact else "drawn"
    said = f"{sets[0]} / {sets[1]}, {sets[2]} / {sets[3]}".replace("_", " ")
    said += f" (without {', '.join(missing)})" if missing else ""
    text = (
        f"| {said} | {found.effect:.3f} | {effect:.3f} | {published:.2f} | {found.p:.2g} |"
        f" {'≤ 1e-5' if p is None else format(p, '.2g')} | {found.partitions:,} {kind} |"
        f" {seconds:.3f} | {'yes' if same else 'NO'} |"
    )
    return text, same


def main():
    """Print and store the ten rows; exit code 1 where one differs."""
    vectors, words = fetched()
    rows = [row_of(vectors, words, row) for row in ROWS]
    same = sum(ok for _, ok in rows)
    close = "The published column is Caliskan et al.'s for all of word2vec, as commonly quoted."
    text = [
        f"`python -m benchmarks.weat`: {same} of {len(rows)} rows equal a plain implementation in"
        f" numpy on the same {len(vectors):,} vectors: effect (ddof 1) to three decimals, exact p"
        f" to 2 %, drawn p to .001. {close}",
        "",
        "| words, attributes | effect | expected | published | p | expected | partitions | CPU s |"
        " equal |",
        "|---|---|---|---|---|---|---|---|---|",
        *(line for line, _ in rows),
    ]
    print("\n".join(text))
    write_section("WEAT", "\n".join(text))
    return 0 if same == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())

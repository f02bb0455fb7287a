"""A small invented run folder with every table that the report reads."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl

RULES = [
    ("technical_prose.text_chars", "text_chars", 200.0, None),
    ("technical_prose.repeated_line_fraction", "repeated_line_fraction", None, 0.3),
    ("technical_prose.mean_word_chars", "mean_word_chars", 3.0, 11.0),
    ("quality.score", "quality", 0.2, None),
]
SOURCES = [f"{name}-{i}" for i in range(1, 4) for name in ("numpy", "polars", "pip", "tiny")]
EVALUATION = ["language_reference", "jinja2", "pygments", "urllib3"]
BUDGETS = [65_536, 131_072, 262_144, 524_288, 1_048_576]
ARMS = {"raw": 1.0, "curated": 1.57, "oracle": 1.66, "random": 1.01, "without_near": 1.38}
SCRIPT = '<script>alert("x")</script> & <b>bold</b>'


def write_run(folder: Path, *, measure: bool = True) -> Path:
    """The whole run folder, or one whose config had no `[measure]` table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text('seed = 17\n[input]\npath = "/secret/place/raw.parquet"\n')
    stages = {
        name: {"seconds": seconds, "done": True, "key": "k", "outputs": {}, "facts": {}}
        for name, seconds in (("ingest", 4.2), ("annotate", 31.0), ("measure", 140.5))
    }
    _json(folder / "manifest.json", {"header": {"versions": {"polars": "2.1.0"}}, "stages": stages})
    verdicts = _verdicts()
    tables = {
        "verdicts/part-00000": verdicts[:1500],
        "verdicts/part-00001": verdicts[1500:],
        "quarantine/part-00000": _quarantine(),
        "funnel": _funnel(),
        "controls/scoreboard": _scoreboard(),
        "shown": _shown(),
        "audit/impact": _impact(),
        "examples": _examples(),
        "rules": _rules(),
    }
    if measure:
        tables |= {"proxies/runs": _runs(), "scaling/multipliers": _multipliers()}
    for name, frame in tables.items():
        path = folder / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        frame.write_parquet(path)
    if measure:
        _json(folder / "scaling/verdicts.json", _sentences())
    _json(
        folder / "quality/evaluation.json",
        _evaluation(),
    )
    return folder


def _evaluation() -> dict:
    places = [0.05 + 0.1 * place for place in range(10)]
    bins = [{"mean_score": p, "reference_share": p**1.15, "n": 240, "weight": 0.1} for p in places]
    return {
        "documents": {"reference": 1200, "background": 1200},
        "auc": {"estimate": 0.9312, "low": 0.921, "high": 0.9409},
        "brier": {"estimate": 0.081, "low": 0.074, "high": 0.088},
        "calibration_error": {"estimate": 0.0213, "low": 0.0, "high": 0.03},
        "calibration": bins,
        "roc": {
            "false_positive_rate": [0.0, 1.0],
            "true_positive_rate": [0.0, 1.0],
            "low": [0.0, 1.0],
            "high": [0.1, 1.0],
        },
        "keep_rates": [
            {"cut": c, "reference": 1 - c / 2, "background": 1 - c, "background_chars": 1 - c}
            for c in (0.0, 0.5, 1.0)
        ],
        "learning_curve": [
            {"documents": n, "estimate": 0.8, "low": 0.7, "high": 0.9} for n in (100, 200)
        ],
        "warnings": ["Length alone reaches an AUC of 0.61."],
    }


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def _verdicts() -> pl.DataFrame:
    draw = np.random.default_rng(3)
    n = 3000
    names = [rule[0] for rule in RULES] + ["duplicates.exact", "duplicates.near"]
    shares = [0.06, 0.09, 0.03, 0.12, 0.11, 0.08]
    hits = draw.random((n, len(names))) < shares
    failed = [[name for name, hit in zip(names, row, strict=True) if hit] for row in hits]
    quality = np.where(hits[:, 3], draw.uniform(0, 0.2, n), draw.beta(5, 2, n) * 0.8 + 0.2)
    return pl.DataFrame(
        {
            "id": [f"doc-{i:05d}" for i in range(n)],
            "source": [SOURCES[i % len(SOURCES)] for i in range(n)],
            "control": [("random_letters" if i % 50 == 0 else None) for i in range(n)],
            "quality": quality.astype(np.float32),
            "failed": failed,
            "kept": [not row for row in failed],
        },
        schema_overrides={"failed": pl.List(pl.String)},
    )


def _quarantine() -> pl.DataFrame:
    reasons = ["invalid UTF-8"] * 3 + ["null text"] * 9 + ["repeated id"] * 2
    return pl.DataFrame({"row": range(len(reasons)), "reason": reasons})


def _funnel() -> pl.DataFrame:
    steps = ["read", "quarantined", "technical_prose", "quality", "duplicates.exact"]
    steps.append("duplicates.near")
    left = np.array([31_204, 31_190, 26_480, 24_011, 21_020, 20_118])
    entered = np.concatenate([left[:1], left[:-1]])
    alone = [0, 14, 2_810, 1_604, 2_090, 902]
    columns = {"step": steps, "documents_in": entered, "documents_out": left}
    for unit, weight in (("tokens", 251.0), ("bytes", 1_104.0)):
        columns[f"{unit}_in"] = (entered * weight).astype(np.int64)
        columns[f"{unit}_out"] = (left * weight * 1.02).astype(np.int64)
    return pl.DataFrame(columns | {"documents_removed_only_here": alone})


def _scoreboard() -> pl.DataFrame:
    rows = [
        ("exact_copy", 60, 60, 0.94, 1.0, "removed"),
        ("near_copy_2", 60, 59, 0.911, 0.997, "removed"),
        ("near_copy_5", 60, 51, 0.739, 0.919, "removed"),
        ("random_letters", 60, 60, 0.94, 1.0, "removed"),
        ("personal_data", 60, 58, 0.886, 0.991, "masked"),
        ("canary", 120, 1, 0.001, 0.046, "kept"),
    ]
    names = ("kind", "planted", "caught", "low", "high", "expected")
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return frame.with_columns(recall=pl.col("caught") / pl.col("planted"))


def _impact() -> pl.DataFrame:
    rows = [
        _impact_row(step, population, group, place)
        for step in ("technical_prose", "quality", "duplicates.near")
        for population in ("marginal", "cumulative")
        for place, group in enumerate(SOURCES)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _impact_row(step: str, population: str, group: str, place: int) -> dict:
    ratio = math.exp(0.9 * math.sin(1.7 * place + len(step)))
    ratio = 3.4 if (step, place) == ("quality", 2) else ratio
    width = 0.15 + 0.1 * (place % 5)
    state = "flag" if ratio > 3 else "not enough documents" if group == "tiny-3" else "no flag"
    rest = 0.08
    return {
        "step": step,
        "population": population,
        "weight": "documents",
        "group_column": "source",
        "group": group,
        "n": 240 + 90 * place,
        "n_rest": 2_700 - 90 * place,
        "removed": int((240 + 90 * place) * rest * ratio),
        "removed_rest": int((2_700 - 90 * place) * rest),
        "keep_ratio": (1 - rest * ratio) / (1 - rest),
        "keep_ratio_low": (1 - rest * ratio) / (1 - rest) - 0.03,
        "keep_ratio_high": (1 - rest * ratio) / (1 - rest) + 0.03,
        "removal_ratio": ratio,
        "removal_ratio_low": ratio * math.exp(-width),
        "removal_ratio_high": ratio * math.exp(width),
        "excess_removal": rest * (ratio - 1),
        "four_fifths": ratio < 2,
        "p": 0.001 if ratio > 3 else 0.4,
        "q": 0.004 if ratio > 3 else 0.6,
        "smallest_detectable_ratio": 1.6,
        "largest_group_share_of_rest_removals": 0.22,
        "state": state,
    }


def _runs() -> pl.DataFrame:
    draw = np.random.default_rng(11)
    rows = []
    for replicate in range(5):
        for place, name in enumerate(EVALUATION):
            shift = 0.15 * place + draw.normal(0, 0.012)
            for arm, gain in ARMS.items():
                for budget in BUDGETS:
                    loss = 1.5 + shift + 9.5 * (gain * budget) ** -0.19
                    loss += draw.normal(0, 0.004)
                    keys = (arm, "kneser_ney", "order5", 2_000_000, budget, replicate, name)
                    rows.append((*keys, loss))
    names = ("arm", "family", "size", "n_params", "n_tokens", "replicate", "eval_set", "loss")
    return pl.DataFrame(rows, schema=names, orient="row")


CONTRASTS = [
    ("raw → curated", "raw", "curated", 1.57, 1.42, 1.75, "worth"),
    ("raw → oracle", "raw", "oracle", 1.66, 1.50, 1.84, "worth"),
    ("without near duplicates → curated", "without_near", "curated", 1.14, 1.03, 1.26, "worth"),
    ("without quality → curated", "without_quality", "curated", 0.88, 0.80, 0.97, "harms"),
    ("raw → random same share", "raw", "random", 1.01, 0.95, 1.07, "no detectable effect"),
    ("null a → null b", "null_a", "null_b", 1.00, 0.96, 1.05, "no detectable effect"),
    ("calibrator", "calibrator_diluted", "calibrator", 1.98, 1.86, 2.11, "worth"),
]


def _multipliers() -> pl.DataFrame:
    rows = [
        _multiplier(contrast, n_tokens=budget, eval_set=name, shrink=0.4 + 0.15 * step)
        for contrast in CONTRASTS
        for step, budget in enumerate(BUDGETS)
        for name in ("all", *EVALUATION)
    ]
    rows += [
        _multiplier(contrast, n_tokens=BUDGETS[-1], quantity=quantity, shrink=0.2)
        for contrast in CONTRASTS[:4]
        for quantity in ("harm", "dilution")
    ]
    rows.append(_multiplier(CONTRASTS[0], n_tokens=None, quantity="slope_per_doubling", shrink=0.2))
    return pl.DataFrame(rows, infer_schema_length=None)


def _multiplier(
    contrast: tuple,
    *,
    n_tokens: int | None,
    shrink: float,
    eval_set: str = "all",
    quantity: str = "multiplier",
) -> dict:
    name, arm_a, arm_b, estimate, low, high, conclusion = contrast
    wide = 0.02 * ("all", *EVALUATION).index(eval_set)
    reached = not (arm_b == "oracle" and n_tokens == BUDGETS[-1])
    centre = estimate**shrink
    return {
        "contrast": name,
        "kind": "headline" if name == "raw → curated" else _kind(name),
        "arm_a": arm_a,
        "arm_b": arm_b,
        "family": "kneser_ney",
        "size": "order5",
        "n_tokens": n_tokens,
        "eval_set": eval_set,
        "quantity": quantity,
        "estimate": centre * math.exp(wide),
        "low": centre * low / estimate * math.exp(-wide) if reached else None,
        "high": centre * high / estimate * math.exp(2 * wide) if reached else None,
        "standard_error": 0.05,
        "degrees_of_freedom": 6.3,
        "confidence": 0.95 if name == "raw → curated" else 0.99,
        "n_replicates": 5,
        "n_sources": 4 if eval_set == "all" else 1,
        "reached": reached,
        "bound": None if reached else "≥",
        "admitted": True,
        "headline": name == "raw → curated" and n_tokens == BUDGETS[-1] and eval_set == "all",
        "decisive": n_tokens == BUDGETS[-1] and eval_set == "all" and reached,
        "conclusion": conclusion if quantity == "multiplier" else "cannot be told from empty",
        "conclusion_without_gate": conclusion,
        "note": "",
    }


def _kind(name: str) -> str:
    if "calibrator" in name:
        return "calibrator"
    return "control" if "null" in name or "random" in name else "secondary"


def _sentences() -> list[dict]:
    worth = (
        "does the work of 1.57 [1.42, 1.75] tokens of the noisy corpus, on text that neither saw"
    )
    alone = (
        "does the work of 1.03 [0.97, 1.10] tokens: no detectable effect (≥ 1.09 would have been"
    )
    scope = "(Kneser–Ney order 5, 1.05 M tokens, 4 evaluation sources, 5 paired draws)"
    return [
        {
            "name": "noisy corpus",
            "sentence": f"One curated token {worth} {scope}.",
            "conclusion": "worth",
        },
        {
            "name": "documentation alone",
            "sentence": f"Of the documentation alone one curated token {alone} seen) {scope}.",
            "conclusion": "no detectable effect",
        },
    ]


def _shown() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "set": ["gopher_quality", "gopher_repetition", "fineweb"],
            "documents_failing": [28_110, 20_300, 26_900],
            "share": [0.901, 0.651, 0.862],
            "tokens_share": [0.84, 0.6, 0.81],
        }
    )


def _examples() -> pl.DataFrame:
    rows = [
        ("technical_prose.text_chars", "doc-00007", "pip-1", "Short."),
        ("technical_prose.repeated_line_fraction", "doc-00011", "tiny-2", "Home | Next\n" * 8),
        ("quality.score", "doc-00019", "numpy-1", SCRIPT),
        ("duplicates.near", "doc-00023", "polars-2", "Return the mean of the array. " * 6),
    ]
    return pl.DataFrame(rows, schema=("reason", "id", "source", "excerpt"), orient="row")


def _rules() -> pl.DataFrame:
    rows = [(*rule, "quantile .01 of native documents") for rule in RULES]
    return pl.DataFrame(rows, schema=("name", "signal", "min", "max", "source"), orient="row")

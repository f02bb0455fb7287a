"""Case study: a recruiting corpus whose labels punish women's words.

Run it with `python examples/recruiting.py`. The CVs are synthetic. Skill is the same in both
groups; with a penalty the label "hired" loses that many logits for women. The audit trains on the
texts alone and must find the penalty, and must find nothing where there is none. Two remedies
are compared: `reweigh` gives both groups one rate of the label, `reweigh_alike` gives it to CVs
that say the same. Only the second takes the penalty away, and the more so the more text there is.
"""

import numpy as np
import polars as pl

from curate.audits.amplification import ClassifierDesign, audit_classifier
from curate.audits.swaps import Swaps

SKILLS = (
    *("python", "java", "sql", "c++", "linux", "statistics", "design", "sales", "excel", "go"),
    *("rust", "docker"),
)
WOMENS = ("women's chess club captain", "softball team", "women's college", "collaborated")
MENS = ("executed", "captured", "football team", "men's chess club")
SWAPS = Swaps(
    id="recruiting",
    sha256="",
    first="women",
    second="men",
    pairs=(("women's", "men's"), ("softball", "football"), ("collaborated", "executed")),
    pronouns=False,
)

CASES = ((0.0, "none"), (1.0, "none"), (1.0, "reweigh"), (1.0, "reweigh_alike"))


def make_cvs(n: int, *, penalty: float, seed: int, women: float = 0.4) -> pl.DataFrame:
    """CVs with `text`, `group` and `label`; `penalty` in logits falls on women only."""
    rng = np.random.default_rng(seed)
    woman = rng.random(n) < women
    skill = rng.normal(size=n)
    hired = rng.random(n) < 1 / (1 + np.exp(-(1.5 * skill - penalty * woman)))
    count = np.clip(4 + 2 * skill, 1, 10).astype(int)
    order = rng.random((n, len(SKILLS))).argsort(1)
    marked = rng.random((n, 4)) < 0.5
    texts = []
    for i in range(n):
        words = [SKILLS[j] for j in order[i, : count[i]]]
        markers = WOMENS if woman[i] else MENS
        texts.append("; ".join(words + [m for m, on in zip(markers, marked[i], strict=True) if on]))
    group = np.where(woman, "women", "men")
    return pl.DataFrame({"text": texts, "group": group, "label": hired})


def main() -> None:
    """Print the audit with, without and despite the penalty."""
    for penalty, remedy in CASES:
        design = ClassifierDesign(group="group", audited="women", swaps=SWAPS, remedy=remedy)
        found = audit_classifier(make_cvs(10_000, penalty=penalty, seed=1), design)
        ratio, shift = found.selection_ratio, found.swap_shift
        print(  # noqa: T201 - an example prints
            f"penalty {penalty:g}, remedy {remedy:13} selected women / men {ratio.estimate:.2f}"
            f" [{ratio.low:.2f}, {ratio.high:.2f}]"
            f"  swap {shift.estimate:+.2f} [{shift.low:+.2f}, {shift.high:+.2f}]"
            f"  amplification {found.amplification.estimate:+.3f}"
            f"  {'FLAG' if found.flagged else 'no flag'}"
        )


if __name__ == "__main__":
    main()

"""An audit in words: the free-text fields of a data card."""

from __future__ import annotations

from collections.abc import Sequence

from curate.audits._sentences import removes, unjudged_said
from curate.audits.lexicons import Lexicon
from curate.audits.result import POPULATION, Audit
from curate.audits.tables import explained

_MOST_FLAGS = 20


def responsible_ai_fields(found: Audit, lexicons: Sequence[Lexicon] = ()) -> dict[str, str]:
    """Fields of Croissant's responsible-AI vocabulary, filled from the audit's numbers.

    `rai:dataBiases` says what was found, `rai:dataLimitations` what cannot be told. Other
    fields are the author's: no number fills them.

    >>> import polars as pl
    >>> from curate.audits import audit
    >>> judged = pl.DataFrame({"source": ["a"] * 200 + ["b"] * 200, "failed": [["s.r"]] * 80
    ...                        + [[]] * 120 + [["s.r"]] * 20 + [[]] * 180})
    >>> responsible_ai_fields(audit(judged))["rai:dataBiases"].split(". ")[1]
    "s takes 40.0 % of source = 'a' against 10.0 % of the rest."
    """
    parts = set(found.table.filter(weight="touched")["step"])
    harmed = [
        removes(row, partial=row["step"] in parts)
        + (
            f" (once adjusted for {row['adjusted_for']}: {row['adjusted_removal_ratio']:.2f} times)"
            if row["adjusted_removal_ratio"]
            else ""
        )
        for row in found.flagged.head(_MOST_FLAGS).iter_rows(named=True)
    ]
    if (more := found.flagged.height - _MOST_FLAGS) > 0:
        harmed.append(f"{more} weaker flags stand in the audit's table")
    by = explained(found.flagged).height
    few = found.table.filter(state="not enough documents")
    names = sorted({f"{c} = {g!r}" for c, g in few.select("group_column", "group").rows()})
    unjudged = f" {said}" if (said := unjudged_said(found.table)) else ""
    lists = "".join(f" Word list {x.id}, sha256 {x.sha256}." for x in lexicons)
    unknown = f" Too few documents to tell at some step: {', '.join(names[:20])}." if names else ""
    return {
        "rai:dataBiases": " ".join([found.sentence, *(f"{text}." for text in harmed)]),
        "rai:dataLimitations": f"{POPULATION}{unknown}{unjudged}{lists}"
        + (f" {by} flags shrink below the least effect once adjusted." if by else ""),
    }

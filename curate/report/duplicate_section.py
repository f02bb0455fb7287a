"""The section about duplicates: what went, what speaks for it, and sampled pairs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from markupsafe import Markup

from curate.report.html import table_html
from curate.report.numerals import count, percent

__all__ = [
    "contamination_table",
    "false_removals_said",
    "folded_pairs",
    "passages_table",
    "removals_said",
    "stability_table",
]

_POLICIES = {
    "longest": "the longest",
    "best_quality": "the one with the best quality score",
    "earliest": "the earliest",
    "source_priority": "the one of the preferred source",
}


def removals_said(evidence: Mapping[str, Any]) -> str:
    """How many documents went as duplicates, and who stays.

    >>> removals_said({"removed": {"exact": 2}, "documents": 9, "survivor": "longest",
    ...                "clusters": 1, "largest_cluster": 3})
    'Of 9 native documents 2 went as duplicates (2 exact). Of each cluster the longest member that
    fails no other rule stays; the largest of 1 clusters has 3 members.'
    """
    removed = evidence["removed"]
    kinds = ", ".join(f"{count(n)} {kind}" for kind, n in removed.items()) or "none"
    if not evidence["clusters"]:
        return f"Of {count(evidence['documents'])} native documents none has a duplicate."
    failing = evidence.get("failing_a_rule", 0)  # in the funnel these count as the rule's
    also = f"; {count(failing)} of them fail{'s' * (failing == 1)} a rule as well" * (failing > 0)
    return (
        f"Of {count(evidence['documents'])} native documents {count(sum(removed.values()))} went "
        f"as duplicates ({kinds}{also}). Of each cluster {_POLICIES[evidence['survivor']]} member "
        "that fails no other rule stays; the largest of "
        f"{count(evidence['clusters'])} clusters has {count(evidence['largest_cluster'])} members."
    )


def false_removals_said(evidence: Mapping[str, Any]) -> str:
    """The false-removal rate of the sample, with its interval; empty where nothing was sampled.

    >>> false_removals_said({"false_removals": {"sampled": 500, "false": 0, "rate": 0.0,
    ...                                         "low": 0.0, "high": 0.0076}})
    'Of 500 removals drawn at random and counted anew, 0 are below the threshold: false-removal rate
    0.0 % [0.0, 0.8] %.'
    """
    found = evidence["false_removals"]
    if not found["sampled"]:
        return ""
    ends = f"[{100 * found['low']:.1f}, {100 * found['high']:.1f}] %"
    return (
        f"Of {count(found['sampled'])} removals drawn at random and counted anew, "
        f"{count(found['false'])} are below the threshold: false-removal rate "
        f"{percent(found['rate'])} {ends}."
    )


def stability_table(stability: pl.DataFrame) -> Markup:
    """Removals under other seeds.

    >>> frame = pl.DataFrame({"seed": [2], "removed": [9], "only_first": [1], "only_other": [0],
    ...                       "moved": [0.1]})
    >>> "10.0" in stability_table(frame)
    True
    """
    shown = stability.with_columns(
        pl.col("moved").map_elements(percent, return_dtype=pl.String)
    ).rename({"only_first": "only_with_the_run's_seed", "only_other": "only_with_this_seed"})
    caption = "The same search with other seeds: removals that hang on the seed"
    return table_html(shown, caption=caption, numbers=("moved",))


def passages_table(passages: pl.DataFrame) -> Markup:
    """Repeated lines, paragraphs and passages of kept documents.

    >>> frame = pl.DataFrame({"kind": ["passages"], "action": ["cut"], "documents": [1],
    ...     "spans": [2], "words": [120], "of_documents": [10], "of_words": [1200]})
    >>> "10.0 %" in passages_table(frame)
    True
    """
    share = pl.col("words") / pl.max_horizontal("of_words", 1)
    shown = passages.with_columns(share=share.map_elements(percent, return_dtype=pl.String))
    caption = "What kept documents repeat of others: later copies, cut after signals were measured"
    return table_html(
        shown.select("kind", "action", "documents", "spans", "words", share_of_words="share"),
        caption=caption,
        numbers=("share_of_words",),
    )


def contamination_table(sets: pl.DataFrame) -> Markup:
    """Overlaps with each evaluation set.

    >>> frame = pl.DataFrame({"set": ["wiki"], "texts": [9], "documents": [2], "most_shared": [4]})
    >>> "wiki" in contamination_table(frame)
    True
    """
    shown = sets.rename({"documents": "documents_that_share", "most_shared": "most_ngrams_shared"})
    caption = "Documents that share a long run of words with evaluation texts; no arm holds them"
    return table_html(shown, caption=caption)


def folded_pairs(shown: pl.DataFrame) -> list[tuple[str, Markup]]:
    """Each sampled pair as a heading and a table of two columns; what differs is marked.

    >>> frame = pl.DataFrame({"pair": [0], "id": ["a"], "kept_id": ["b"], "jaccard": [0.9],
    ...     "differs": [True], "removed_text": ["<i>"], "kept_text": [""]})
    >>> heading, table = folded_pairs(frame)[0]
    >>> heading, "<del>&lt;i&gt;</del>" in table, "<ins>" in table
    ('a, removed for b: Jaccard 0.900', True, False)
    """
    return [
        (
            f"{group['id'][0]}, removed for {group['kept_id'][0]}: "
            f"Jaccard {group['jaccard'][0]:.3f}",
            _columns(group),
        )
        for group in shown.partition_by("pair", maintain_order=True)
    ]


def _columns(passages: pl.DataFrame) -> Markup:
    rows = Markup("").join(
        Markup("<tr><td>{}</td><td>{}</td></tr>").format(
            _marked("del", gone, differs), _marked("ins", kept, differs)
        )
        for differs, gone, kept in passages.select(
            "differs", "removed_text", "kept_text"
        ).iter_rows()
    )
    head = Markup("<thead><tr><th>removed</th><th>kept</th></tr></thead>")
    return Markup('<table class="sides">{}<tbody>{}</tbody></table>').format(head, rows)


def _marked(tag: str, text: str, differs: bool) -> Markup:
    if not differs or not text:
        return Markup("{}").format(text)
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), text)

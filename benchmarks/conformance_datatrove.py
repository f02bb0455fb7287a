"""Runs inside datatrove's environment: which of its rules each document fails, one line each.

Every rule by itself, so that a document's later failures show too; words and sentences are split
once a document, by datatrove's own functions.
"""

import json
import sys
from functools import lru_cache
from pathlib import Path

import py3langid
from datatrove.data import Document
from datatrove.pipeline import filters
from datatrove.pipeline.filters import (
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from datatrove.utils.text import split_into_words

OFF_QUALITY = dict.fromkeys(
    (
        *("min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length"),
        *("max_symbol_word_ratio", "max_bullet_lines_ratio", "max_ellipsis_lines_ratio"),
        *("max_non_alpha_words_ratio", "min_stop_words"),
    )
)
OFF_REPETITION = {
    **dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")),
    "top_n_grams": (),
    "dup_n_grams": (),
}
OFF_FINEWEB = {
    "line_punct_thr": -1.0,
    "short_line_thr": 2.0,
    "char_duplicates_ratio": 2.0,
    "new_line_ratio": 1e9,
}


def quality(**on):
    return filters.GopherQualityFilter(**{**OFF_QUALITY, **on})


def repetition(**on):
    return filters.GopherRepetitionFilter(**{**OFF_REPETITION, **on})


def fineweb(**on):
    return filters.FineWebQualityFilter(**{**OFF_FINEWEB, **on})


RULES = {
    "gopher_quality.word_count": quality(min_doc_words=50, max_doc_words=100_000),
    "gopher_quality.mean_word_length": quality(min_avg_word_length=3, max_avg_word_length=10),
    "gopher_quality.bullet_lines": quality(max_bullet_lines_ratio=0.9),
    "gopher_quality.ellipsis_lines": quality(max_ellipsis_lines_ratio=0.3),
    "gopher_quality.alphabetic_words": quality(max_non_alpha_words_ratio=0.8),
    "gopher_quality.stop_words": quality(min_stop_words=2),
    "gopher_repetition.duplicate_paragraphs": repetition(dup_para_frac=0.3),
    "gopher_repetition.duplicate_paragraph_chars": repetition(dup_para_char_frac=0.2),
    "gopher_repetition.duplicate_lines": repetition(dup_line_frac=0.3),
    "gopher_repetition.duplicate_line_chars": repetition(dup_line_char_frac=0.2),
    "fineweb.terminal_punctuation": fineweb(line_punct_thr=0.12),
    "fineweb.short_lines": fineweb(short_line_thr=0.67),
    "fineweb.duplicate_line_chars": fineweb(char_duplicates_ratio=0.01),
    "fineweb.newlines": fineweb(new_line_ratio=0.3),
}
for n, share in ((2, 0.2), (3, 0.18), (4, 0.16)):
    RULES[f"gopher_repetition.top_{n}gram"] = repetition(top_n_grams=((n, share),))
for n in range(5, 11):
    RULES[f"gopher_repetition.duplicate_{n}grams"] = repetition(dup_n_grams=((n, 0.2 - n / 100),))
RULES["c4.whole_set"] = filters.C4QualityFilter()  # its rules change the text on the way


def main(source: str, target: str) -> None:
    cached = lru_cache(maxsize=2)(split_into_words)
    for module in (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
        module.split_into_words = cached
    sentences = lru_cache(maxsize=2)(c4_filters.split_into_sentences)
    c4_filters.split_into_sentences = sentences
    with Path(source).open(encoding="utf-8") as rows, Path(target).open("w") as out:
        for row in map(json.loads, rows):
            failed = [n for n, rule in RULES.items() if fails(rule, row["text"])]
            text, words = row["text"], max(len(cached(row["text"], "eng")), 1)
            if text.count("#") / words > 0.1:
                failed.append("gopher_quality.hashes")
            if (text.count("...") + text.count("…")) / words > 0.1:
                failed.append("gopher_quality.ellipses")
            language = py3langid.classify(text)[0]
            out.write(json.dumps({"id": row["id"], "failed": failed, "language": language}) + "\n")


def fails(rule, text: str) -> bool:
    try:
        return rule.filter(Document(text=text, id="")) is not True
    except ZeroDivisionError:  # no line or word: datatrove's filter ends there
        return True


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

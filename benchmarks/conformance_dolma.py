"""Runs inside Dolma's environment: which Gopher rules its tagger's attributes fail.

The thresholds are those of `configs/dolma-v1_6/mixing/cc-head.yaml`; the columns of the top
n-grams are read by the names that the tagger writes (the file names others).
"""

import json
import sys
from pathlib import Path

from dolma.taggers.gopher import get_attributes

TOP = {2: 0.2, 3: 0.18, 4: 0.16}


def failed_rules(text: str) -> list[str]:
    a = get_attributes(text)
    rules = {
        "gopher_quality.word_count": not 50 <= a.word_count <= 100_000,
        "gopher_quality.mean_word_length": not 3 <= a.median_word_length <= 10,
        "gopher_quality.hashes": a.symbol_to_word_ratio > 0.1,
        "gopher_quality.bullet_lines": a.fraction_of_lines_starting_with_bullet_point > 0.9,
        "gopher_quality.ellipsis_lines": a.fraction_of_lines_ending_with_ellipsis > 0.3,
        "gopher_quality.alphabetic_words": a.fraction_of_words_with_alpha_character < 0.8,
        "gopher_quality.stop_words": a.required_word_count < 2,
        "gopher_repetition.duplicate_lines": a.fraction_of_duplicate_lines > 0.3,
        "gopher_repetition.duplicate_line_chars": a.fraction_of_characters_in_duplicate_lines > 0.3,
    }
    for n, value in a.fraction_of_characters_in_most_common_ngram:
        rules[f"gopher_repetition.top_{n}gram"] = value > TOP[n]
    for n, value in a.fraction_of_characters_in_duplicate_ngrams:
        rules[f"gopher_repetition.duplicate_{n}grams"] = value > round(0.2 - n / 100, 2)
    return [name for name, out in rules.items() if out]


def main(source: str, target: str) -> None:
    with Path(source).open(encoding="utf-8") as rows, Path(target).open("w") as out:
        for row in map(json.loads, rows):
            out.write(json.dumps({"id": row["id"], "failed": failed_rules(row["text"])}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

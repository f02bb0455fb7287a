"""Runs inside an environment with NeMo Curator's files but none of its heavy dependencies.

The package itself imports Ray and CUDA libraries; its two modules of heuristic filters need only
`regex` and `loguru`. They are imported under an empty parent package.
"""

import json
import sys
import types
from pathlib import Path

# The package's own __init__ files, whose imports are not needed here, are passed over.
ROOT = Path(next(p for p in sys.path if (Path(p) / "nemo_curator").is_dir())) / "nemo_curator"
for name in (
    "",
    ".stages",
    ".stages.text",
    ".stages.text.filters",
    ".stages.text.filters.heuristic",
    ".stages.text.filters.heuristic.repetition",
    ".stages.text.utils",
):
    module = types.ModuleType(f"nemo_curator{name}")
    module.__path__ = [str(ROOT.joinpath(*name.split(".")))]
    sys.modules[module.__name__] = module

from nemo_curator.stages.text.filters.heuristic import string  # noqa: E402
from nemo_curator.stages.text.filters.heuristic.repetition import repetition  # noqa: E402

RULES = {
    "gopher_quality.word_count": string.WordCountFilter(),
    "gopher_quality.mean_word_length": string.MeanWordLengthFilter(),
    "gopher_quality.hashes": string.SymbolsToWordsFilter(),
    "gopher_quality.bullet_lines": string.BulletsFilter(),
    "gopher_quality.ellipsis_lines": string.EllipsisFilter(),
    "gopher_quality.alphabetic_words": string.WordsWithoutAlphabetsFilter(),
    "gopher_quality.stop_words": string.CommonEnglishWordsFilter(),
    "gopher_repetition.duplicate_lines": repetition.RepeatedLinesFilter(),
    "gopher_repetition.duplicate_line_chars": repetition.RepeatedLinesByCharFilter(),
    "gopher_repetition.duplicate_paragraphs": repetition.RepeatedParagraphsFilter(),
    "gopher_repetition.duplicate_paragraph_chars": repetition.RepeatedParagraphsByCharFilter(),
}
for n, share in ((2, 0.2), (3, 0.18), (4, 0.16)):
    RULES[f"gopher_repetition.top_{n}gram"] = repetition.RepeatingTopNGramsFilter(n, share)
for n in range(5, 11):
    share = round(0.2 - n / 100, 2)
    RULES[f"gopher_repetition.duplicate_{n}grams"] = repetition.RepeatingDuplicateNGramsFilter(
        n, share
    )


def fails(rule, text: str) -> bool:
    try:
        return not rule.keep_document(rule.score_document(text))
    except (ZeroDivisionError, ValueError):  # an empty text ends its filters
        return True


def main(source: str, target: str) -> None:
    with Path(source).open(encoding="utf-8") as rows, Path(target).open("w") as out:
        for row in map(json.loads, rows):
            failed = [name for name, rule in RULES.items() if fails(rule, row["text"])]
            out.write(json.dumps({"id": row["id"], "failed": failed}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

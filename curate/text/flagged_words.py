r"""How often words of a list stand in a text: words that somebody does not want to see.

An entry counts wherever it stands with no word character right before or after it, in any case;
word characters are letters, marks, numbers and the underscore, those of which the words of the
standard token view are made. `ass` stands in `Ass!` and in `ass-hole`, not in `class`. An entry
that begins or ends in Han or Kana, each character of which is a word there, counts anywhere.
Places do not overlap; of entries at one place the longest counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from curate.errors import ConfigError, InputError
from curate.text._characters import SINGLE_RANGES
from curate.text.language import languages

__all__ = ["WordLists", "flagged_words", "load_word_lists"]

ANY = ""  # the list of every language
_WORD = r"\p{L}\p{M}\p{N}_"
_EDGE = rf"[^{_WORD}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class WordLists:
    """Words by language.

    Attributes:
        words: Language code, or `""` for texts of any language → its entries, lower case, the
            longest first.
        sha256: The same → digest of the file.
    """

    words: Mapping[str, tuple[str, ...]]
    sha256: Mapping[str, str]


def load_word_lists(source: str | Mapping[str, str]) -> WordLists:
    r"""Read a list of words, or one a language.

    Args:
        source: Path of a UTF-8 text file with one word or phrase a line; blank lines and those that
            begin with `#` are passed over. Or language code (ISO 639-1) → path: each text is then
            searched for the words of the language that py3langid (extra `language`) calls it.

    Raises:
        InputError: A file cannot be read.
        ConfigError: A file holds no word, or the source is neither path nor mapping.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "words.txt"
    >>> _ = path.write_text("# ours\nDarn\nhot dog\n")
    >>> load_word_lists(str(path)).words
    {'': ('hot dog', 'darn')}
    """
    paths = {ANY: source} if isinstance(source, str | Path) else source
    if not isinstance(paths, Mapping) or not all(isinstance(p, str | Path) for p in paths.values()):
        raise ConfigError(
            f"flagged_words is {source!r}; allowed: the path of a list, or a table of one path a "
            'language, e.g. { en = "en.txt" }'
        )
    raw = {language: _read(path) for language, path in paths.items()}
    return WordLists(
        words={language: _entries(data, paths[language]) for language, data in raw.items()},
        sha256={language: hashlib.sha256(data).hexdigest() for language, data in raw.items()},
    )


def flagged_words(text: pl.Series, lists: WordLists) -> pl.Series:
    """How often entries of the lists stand in each text.

    Args:
        text: String column without nulls.
        lists: From `load_word_lists`.

    Returns:
        Int64; 0 for a text whose language has no list.

    Raises:
        ConfigError: The lists are by language and py3langid is not installed.

    >>> lists = WordLists(words={"": ("hot dog", "darn")}, sha256={})
    >>> flagged_words(pl.Series(["Darn, DARN hot dog!", "darned"]), lists).to_list()
    [3, 0]
    """
    if ANY in lists.words:
        return _count(text, lists.words[ANY])
    told = languages(text)["language"]
    counts = pl.Series([0], dtype=pl.Int64).new_from_index(0, len(text))
    for language, words in lists.words.items():
        rows = (told == language).arg_true()
        counts = counts.scatter(rows, _count(text.gather(rows), words))
    return counts


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise InputError(f"flagged_words {str(path)!r} cannot be read: {error.strerror}") from None


def _entries(data: bytes, path: str) -> tuple[str, ...]:
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"flagged_words {path!r} is no UTF-8 text: {error}") from None
    stripped = pl.Series([line.strip() for line in lines], dtype=pl.String).str.to_lowercase()
    words = dict.fromkeys(word for word in stripped if word and not word.startswith("#"))
    if not words:
        raise ConfigError(f"flagged_words {path!r} holds no word")
    # Of alternatives in a pattern the first that fits counts.
    return tuple(sorted(words, key=lambda word: (-len(word), word)))


def _count(text: pl.Series, words: Sequence[str]) -> pl.Series:
    spaced = [word for word in words if not _unspaced(word)]
    dense = [word for word in words if _unspaced(word)]
    counts = pl.Series([0], dtype=pl.Int64).new_from_index(0, len(text))
    if dense:
        counts += text.str.count_matches(f"(?i){_either(dense)}").cast(pl.Int64)
    return counts + _between_edges(text, spaced) if spaced else counts


def _between_edges(text: pl.Series, words: Sequence[str]) -> pl.Series:
    """Places with an edge on both sides, which two of them may share.

    The fast engine cannot look around, so that it finds chains of words with one edge between two
    of them; what a chain holds is counted by one that can, once for all chains that are alike.
    """
    one = _either(words)
    chain = rf"(?i)(?:^|{_EDGE}){one}(?:{_EDGE}{one})*(?:$|{_EDGE})"
    found = pl.DataFrame({"chain": text.str.extract_all(chain)}).with_row_index("row")
    found = found.filter(pl.col("chain").list.len() > 0).explode("chain")
    single = re.compile(rf"(?<!\w){one}(?!\w)", re.IGNORECASE)
    alike = found.group_by("row", "chain").agg(times=pl.len().cast(pl.Int64))
    inside = {each: max(len(single.findall(each)), 1) for each in alike["chain"].unique()}
    sizes = pl.Series([inside[each] for each in alike["chain"]], dtype=pl.Int64)
    sums = alike.with_columns(n=sizes * alike["times"]).group_by("row").agg(pl.col("n").sum())
    counts = pl.Series([0], dtype=pl.Int64).new_from_index(0, len(text))
    return counts.scatter(sums["row"], sums["n"])


def _either(words: Sequence[str]) -> str:
    return f"(?:{'|'.join(map(_escaped, words))})"


def _escaped(word: str) -> str:
    """A word as a pattern; one space stands for any white space."""
    return r"\s+".join(re.escape(piece) for piece in word.split())


def _unspaced(word: str) -> bool:
    return any(low <= ord(c) < high for c in (word[0], word[-1]) for low, high in SINGLE_RANGES)

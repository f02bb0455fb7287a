"""A slow, readable twin of the compiled text statistics: plain Python over strings."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

from curate.text._characters import SENTENCE_RANGES, SINGLE_RANGES, TERMINAL_CHARACTERS
from curate.text.statistics import ABBREVIATIONS

PAGE = (Path(__file__).parents[1] / "docs" / "tokenisation.md").read_text(encoding="utf-8")
SHINGLE_TWIN = {}
exec(PAGE.split("```python\n")[1].split("```")[0], SHINGLE_TWIN)
split_words = SHINGLE_TWIN["words"]

ELLIPSIS_WORDS = {"...", "[...]", "…", "(...)", "[…]", "-»"}
STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}


CLITIC = re.compile(
    r"(?:['’](?:[sdm]|ll|re|ve|[SDM]|[lL]{2}|[rRvV][eE])|(?<=.[nN])['’][tT])$", re.DOTALL
)
ENDS = [marks.partition("-") for marks in SENTENCE_RANGES.split()]


@cache
def ends_sentence(c):
    return any(int(first, 16) <= ord(c) <= int(last or first, 16) for first, _, last in ENDS)


@cache
def is_space(c):
    return c.isspace()


@cache
def is_control(c):
    return unicodedata.category(c) == "Cc" and not c.isspace()


@cache
def is_word(c):
    return unicodedata.category(c)[0] in "LN" or c == "_"


@cache
def is_extend(c):
    return (unicodedata.category(c)[0] == "M" or unicodedata.category(c) == "Cf") and not is_space(
        c
    )


@cache
def is_letter(c):
    return unicodedata.category(c)[0] == "L"


@cache
def is_digit(c):
    return unicodedata.category(c) == "Nd"


@cache
def is_single(c):
    return is_letter(c) and any(low <= ord(c) < high for low, high in SINGLE_RANGES)


def stays_inside_word(text, i):
    """Whether the punctuation at i joins the characters beside it to one word."""
    if i + 1 >= len(text):
        return False
    before, mark, after = text[i - 1], text[i], text[i + 1]
    if mark in ".'’@&#":
        return (is_word(before) or is_extend(before)) and is_word(after) and not is_single(after)
    return mark in ",:/" and is_digit(before) and is_digit(after)


def tokenize(text):
    """Tokens with their kind: word, symbol or single."""
    tokens = []
    kind = None
    for i, c in enumerate(text):
        if kind and is_extend(c):
            joins = True
        elif kind == "word":
            joins = (is_word(c) and not is_single(c)) or (
                not is_word(c) and stays_inside_word(text, i)
            )
        elif kind == "symbol":
            joins = c == tokens[-1][0][0]
        else:
            joins = False
        if joins:
            tokens[-1][0] += c
        elif is_space(c) or is_control(c):
            kind = None
        else:
            kind = "single" if is_single(c) else "word" if is_word(c) or is_extend(c) else "symbol"
            tokens.append([c, kind])
    return tokens


def duplicates(pieces):
    seen, n, chars = set(), 0, 0
    for piece in pieces:
        if piece in seen:
            n, chars = n + 1, chars + len(piece)
        seen.add(piece)
    return n, chars


def ngrams(tokens, n):
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def size(gram):
    return sum(map(len, gram))


def top_ngrams(tokens, n):
    """The most frequent n-gram: with spaces, without, and of several that repeat the longest."""
    counts = Counter(ngrams(tokens, n))
    if not counts:
        return {"": 0, "bare": 0, "longest": 0}
    gram, count = counts.most_common(1)[0]
    longest = max(size(g) for g, k in counts.items() if k == count)
    return {
        "": count * len(" ".join(gram)),
        "bare": count * size(gram),
        "longest": count * longest if count > 1 else 0,
    }


def duplicate_ngram_chars(tokens, n):
    seen, chars, i = set(), 0, 0
    while i + n <= len(tokens):
        gram = tuple(tokens[i : i + n])
        if gram in seen:
            chars += size(gram)
            i += n
        else:
            seen.add(gram)
            i += 1
    return chars


def covered_ngram_chars(tokens, n):
    """Characters of tokens that stand in a repeated n-gram, each token once."""
    counts = Counter(ngrams(tokens, n))
    inside = {i + j for i, g in enumerate(ngrams(tokens, n)) if counts[g] > 1 for j in range(n)}
    return sum(len(tokens[i]) for i in inside)


def later_ngram_chars(tokens, n):
    """As NeMo counts them: what a later copy adds, with the spaces between its tokens."""
    seen, chars, done = set(), 0, 0
    for i, gram in enumerate(ngrams(tokens, n)):
        if gram in seen:
            new = tokens[max(i, done) : i + n]
            chars += size(new) + min(len(new), n - 1)
            done = i + n
        seen.add(gram)
    return chars


def count_ngrams(tokens, every_way=True):
    tops = {n: top_ngrams(tokens, n) for n in (2, 3, 4)}
    return (
        {"distinct_tokens": len(set(tokens))}
        | {f"top_{n}gram_chars": top[""] for n, top in tops.items()}
        | {f"top_{n}gram_bare_chars": top["bare"] for n, top in tops.items()}
        | {f"longest_top_{n}gram_bare_chars": top["longest"] for n, top in tops.items()}
        | {f"duplicate_{n}gram_chars": duplicate_ngram_chars(tokens, n) for n in range(5, 11)}
        | (further_ngrams(tokens) if every_way else {})
    )


def further_ngrams(tokens):
    counts = {n: Counter(ngrams(tokens, n)) for n in range(5, 11)}
    return (
        {
            f"repeated_{n}gram_chars": sum(k * size(g) for g, k in of.items() if k > 1)
            for n, of in counts.items()
        }
        | {f"covered_{n}gram_chars": covered_ngram_chars(tokens, n) for n in range(5, 11)}
        | {f"later_{n}gram_chars": later_ngram_chars(tokens, n) for n in range(5, 11)}
        | {
            f"all_{n}gram_chars": sum(k * size(g) for g, k in of.items())
            for n, of in counts.items()
        }
        | {"later_2gram_chars": later_ngram_chars(tokens, 2)}
    )


def median(lengths):
    lengths = sorted(lengths)
    middle = len(lengths) // 2
    return (lengths[middle] + lengths[-middle - 1]) if lengths else 0


def count_words(words, tokens):
    return {
        "tokens": len(tokens),
        "words": len(words),
        "word_chars": sum(map(len, words)),
        "longest_word_chars": max(map(len, words), default=0),
        "twice_median_word_chars": median(map(len, words)),
        "alphabetic_tokens": sum(any(map(is_letter, token)) for token in tokens),
        "stop_words": sum(token in STOP_WORDS for token in tokens),
        "any_case_stop_words": sum(
            token.isascii() and token.lower() in STOP_WORDS for token in tokens
        ),
        "distinct_stop_words": len(STOP_WORDS & set(tokens)),
        "clitics": 0,
        "abbreviation_stops": 0,
        "ellipsis_words": sum(token in ELLIPSIS_WORDS for token in tokens),
        "hash_words": 0,
        "marked_words": 0,
        "long_words": sum(len(word) > 6 for word in words),
        "sentence_marks": 0,
    }


def whitespace_view(text):
    words = text.split()
    signs = {
        "hash_words": sum("#" in word or "…" in word for word in words),
        "marked_words": sum(2 * len(re.findall("#+", word)) > len(word) for word in words),
    }
    return count_words(words, words) | signs | count_ngrams(words)


def shingle_view(text):
    words = split_words(text)
    return count_words(words, words) | count_ngrams(words)


def lines_of(text):
    return text.removesuffix("\n").split("\n") if text else []


def ends_in_ellipsis(line):
    return line.rstrip().endswith(("...", "…"))


def consonant_run_letters(text):
    runs = re.findall(r"[b-df-hj-np-tv-xzB-DF-HJ-NP-TV-XZ]{5,}", text)
    return sum(map(len, runs))


def entropy_bits(text):
    counts = Counter(c.lower() for c in text if c.isascii() and c.isalpha())
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values())


def count_characters(text):
    categories = [unicodedata.category(c) for c in text]
    ascii_letters = [c for c in text if c.isascii() and c.isalpha()]
    return {
        "text_bytes": len(text.encode()),
        "text_chars": len(text),
        "letter_chars": sum(map(is_letter, text)),
        "upper_chars": sum(c in ("Lu", "Lt") for c in categories),
        "digit_chars": sum(map(is_digit, text)),
        "space_chars": sum(map(is_space, text)),
        "punctuation_chars": sum(c[0] in "PS" for c in categories),
        "non_ascii_chars": sum(not c.isascii() for c in text),
        "latin_1_chars": sum(0x80 <= ord(c) < 0x100 for c in text),
        "newlines": text.count("\n"),
        "hashes": text.count("#"),
        "ellipses": text.count("...") + text.count("…"),
        "curly_brackets": text.count("{") + text.count("}"),
        "ascii_letters": len(ascii_letters),
        "ascii_vowels": sum(c in "aeiouyAEIOUY" for c in ascii_letters),
        "consonant_run_letters": consonant_run_letters(text),
        "vowel_runs": len(re.findall("[aeiouyAEIOUY]+", text)),
        "silent_es": len(
            re.findall("(?=[A-Za-z]{2}[b-df-hj-np-tv-xzB-DF-HJ-NP-TV-XZ][eE](?![A-Za-z]))", text)
        ),
    }


def count_lines(text):
    lines = lines_of(text)
    nonblank = [line for line in lines if line.strip()]
    pieces = re.split(r"\n+", text)
    paragraphs = re.split(r"\n{2,}", text.strip()) if text.strip() else []
    return {
        "lines": len(lines),
        "bullet_lines": sum(line.lstrip().startswith(("•", "-")) for line in lines),
        "ellipsis_lines": sum(map(ends_in_ellipsis, lines)),
        "nonblank_lines": len(nonblank),
        "terminal_lines": sum(line[-1] in TERMINAL_CHARACTERS for line in nonblank),
        "sentence_lines": sum(ends_sentence(line[-1]) for line in nonblank),
        "short_lines": sum(len(line) <= 30 for line in nonblank),
        "duplicate_nonblank_line_chars": duplicates(nonblank)[1],
        "split_lines": len(pieces),
        "duplicate_lines": duplicates(pieces)[0],
        "duplicate_line_chars": duplicates(pieces)[1],
        "paragraphs": len(paragraphs),
        "duplicate_paragraphs": duplicates(paragraphs)[0],
        "duplicate_paragraph_chars": duplicates(paragraphs)[1],
    }


def abbreviation_stops(text, pairs):
    """Full stops right after a word that is written with one."""
    count, at, previous = 0, 0, None
    for token, kind in pairs:
        start = text.index(token, at)
        if token == "." and previous and previous[1] == start and previous[0] == "word":
            word = text[previous[2] : start]
            count += (len(word) == 1 and is_letter(word)) or word in ABBREVIATIONS
        at = start + len(token)
        previous = (kind, at, start)
    return count


def standard_view(text):
    pairs = tokenize(text)
    tokens = [token for token, _ in pairs]
    words = [token for token, kind in pairs if kind != "symbol"]
    own = {
        "clitics": sum(bool(CLITIC.search(token)) for token, kind in pairs if kind == "word"),
        "abbreviation_stops": abbreviation_stops(text, pairs),
        "sentence_marks": sum(
            kind == "symbol" and ends_sentence(token[0]) for token, kind in pairs
        ),
    }
    return count_words(words, tokens) | own | count_ngrams(tokens, every_way=False)


def statistics(text, views=("standard",)):
    """All columns of `curate.text.statistics.text_statistics` for one text."""
    counts = (
        count_characters(text) | count_lines(text) | {"letter_entropy_bits": entropy_bits(text)}
    )
    for view, count, prefix in VIEWS:
        if view in views:
            counts |= {f"{prefix}{name}": number for name, number in count(text).items()}
    return counts


VIEWS = (
    ("standard", standard_view, ""),
    ("whitespace", whitespace_view, "whitespace_"),
    ("shingle", shingle_view, "shingle_"),
)

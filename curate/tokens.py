"""Byte-level byte-pair encoding: text to token ids, once for a whole experiment.

Training is Hugging Face's (`tokenizers`), and a saved tokenizer is its JSON. Encoding is compiled
here: at a small vocabulary most words recur, so a cache of encoded words does nearly all the work
(some fifteen times the speed of `encode_batch_fast`, equal ids).

Words are split by ASCII rules alone, so that the rule is the same for every Unicode version: runs
of letters (every character beyond ASCII counts as one), of digits, of other marks, each with one
space before it where there is one, and of white space. Runs are cut to a limited length. Nothing
is normalised: decoding gives back the bytes.

Id 0 is the boundary that ends each document. No text can contain it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from curate.errors import ConfigError, InputError

BOUNDARY = 0
_BOUNDARY_NAME = "<|document|>"

# The kernel below and this pattern say the same; a test holds them together.
_LETTERS, _DIGITS, _MARKS, _SPACES = 24, 3, 16, 16
_PATTERN = (
    r" ?[^\x00-\x40\x5B-\x60\x7B-\x7F]{1,24}"
    r"| ?[0-9]{1,3}"
    r"| ?[\x00-\x08\x0E-\x1F\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7F]{1,16}"
    r"|[\x09-\x0D\x20]{1,16}(?![^\x09-\x0D\x20])"
    r"|[\x09-\x0D\x20]"
)
_LONGEST = 4 * _LETTERS + 1  # bytes of a word: UTF-8 takes up to four a letter, and a space
_CACHE_SLOTS = 1 << 16
_LETTER, _DIGIT, _MARK, _SPACE = range(4)
_NONE = np.int64(1) << 62


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokenizer:
    """A trained byte-pair encoding.

    Attributes:
        json: The tokenizer in Hugging Face's format.
        vocabulary: Number of ids, the boundary included.
        byte_ids: Id of each of the 256 bytes.
        merges: Shape (n, 3): left id, right id, id of the two together; earlier rows go first.
    """

    json: str
    vocabulary: int
    byte_ids: NDArray[np.uint16]
    merges: NDArray[np.uint16]


def train_tokenizer(texts: Iterable[str], *, vocabulary: int = 1024) -> Tokenizer:
    """Learn a byte-pair encoding; the same texts give the same bytes on any number of threads.

    Args:
        texts: Training text, read once.
        vocabulary: Number of ids wanted, 257 (bytes and boundary) to 65,536. A short text yields
            fewer.

    Raises:
        ConfigError: `vocabulary` is out of range.

    >>> train_tokenizer(["low lower lowest"] * 3, vocabulary=260).vocabulary
    260
    """
    if not 257 <= vocabulary <= 1 << 16:
        raise ConfigError(f"vocabulary must be 257 to 65536 ids, got {vocabulary}")
    from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as HuggingFaceTokenizer

    model = HuggingFaceTokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[_BOUNDARY_NAME],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    return _from_json(model.to_str())


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write the tokenizer as JSON that `tokenizers.Tokenizer.from_file` reads too.

    >>> import tempfile
    >>> tokenizer = train_tokenizer(["low lower lowest"], vocabulary=258)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_tokenizer(tokenizer, Path(folder) / "tokenizer.json")
    ...     load_tokenizer(Path(folder) / "tokenizer.json").json == tokenizer.json
    True
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tokenizer.json, encoding="utf-8")


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer that `save_tokenizer` wrote.

    Raises:
        InputError: The file is missing, or not such a tokenizer.

    >>> load_tokenizer(Path("nowhere.json"))
    Traceback (most recent call last):
    curate.errors.InputError: cannot read tokenizer nowhere.json: ...
    """
    try:
        return _from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read tokenizer {path}: {error}") from error


def _from_json(text: str) -> Tokenizer:
    whole = json.loads(text)
    model = whole["model"]
    if whole["pre_tokenizer"]["pretokenizers"][0]["pattern"] != {"Regex": _PATTERN}:
        raise ValueError("its words are split by another pattern")
    ids: dict[str, int] = model["vocab"]
    if ids[_BOUNDARY_NAME] != BOUNDARY:
        raise ValueError(f"{_BOUNDARY_NAME} must have id {BOUNDARY}")
    merges = [(ids[left], ids[right], ids[left + right]) for left, right in model["merges"]]
    return Tokenizer(
        json=text,
        vocabulary=len(ids),
        byte_ids=np.array([ids[sign] for sign in _byte_signs()], np.uint16),
        merges=np.array(merges, np.uint16).reshape(-1, 3),
    )


def _byte_signs() -> list[str]:
    """The printable character that stands for each byte in the JSON (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    signs = {byte: chr(byte) for byte in printable}
    signs |= {byte: chr(256 + rank) for rank, byte in enumerate(others)}
    return [signs[byte] for byte in range(256)]


def encode(tokenizer: Tokenizer, texts: pl.Series) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Token ids of each text, a boundary token (id 0) after each.

    Args:
        tokenizer: What `train_tokenizer` gave.
        texts: String column without nulls.

    Returns:
        All ids one after the other, and `n + 1` offsets: document `d` is
        `ids[offsets[d]:offsets[d + 1]]`, its boundary included. An empty text is its boundary.

    Raises:
        InputError: A text is null, or the column is not of type String.

    >>> tokenizer = train_tokenizer(["low lower lowest"] * 3, vocabulary=260)
    >>> ids, offsets = encode(tokenizer, pl.Series(["low", ""]))
    >>> len(ids), offsets.tolist(), int(ids[-1])
    (3, [0, 2, 3], 0)
    """
    if texts.dtype != pl.String or texts.null_count():
        raise InputError(
            f"texts must be a String column without nulls, got {texts.dtype} with "
            f"{texts.null_count()} nulls"
        )
    data, starts = _utf8(texts)
    ids = np.empty(len(data) + len(texts), np.uint16)
    offsets = np.zeros(len(texts) + 1, np.int64)
    _encode(data, starts, tokenizer.byte_ids, *_merge_table(tokenizer.merges), ids, offsets)
    return ids[: offsets[-1]].copy(), offsets


def _utf8(texts: pl.Series) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The texts' bytes in one buffer, and where each begins and the last ends."""
    array = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, starts, data = array.buffers()
    view = np.frombuffer(starts, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data or b"", np.uint8), view


def _merge_table(merges: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Open-addressing table of pairs; each slot's value is rank · 2^16 + merged id."""
    slots = 1 << max(4, (4 * len(merges)).bit_length())
    pairs = np.full(slots, -1, np.int64)
    values = np.full(slots, _NONE, np.int64)
    for rank, (left, right, merged) in enumerate(merges.tolist()):
        slot = _pair_slot(pairs, left << 16 | right)
        pairs[slot], values[slot] = left << 16 | right, rank << 16 | merged
    return pairs, values


@njit(nogil=True, cache=True)
def _pair_slot(pairs: NDArray[np.int64], pair: int) -> int:
    mask = len(pairs) - 1
    slot = ((pair * 2654435761) >> 15) & mask
    while pairs[slot] != pair and pairs[slot] != -1:
        slot = (slot + 1) & mask
    return slot


@njit(nogil=True, cache=True)
def _kind(byte: int) -> int:
    if byte >= 128 or 65 <= byte <= 90 or 97 <= byte <= 122:
        return _LETTER
    if 48 <= byte <= 57:
        return _DIGIT
    if byte == 32 or 9 <= byte <= 13:
        return _SPACE
    return _MARK


@njit(nogil=True, cache=True)
def _word_end(data: NDArray[np.uint8], start: int, stop: int) -> int:
    """End of the word that begins at `start`: `_PATTERN`, byte by byte."""
    at = start
    if data[at] == 32 and at + 1 < stop and _kind(data[at + 1]) != _SPACE:
        at += 1
    kind = _kind(data[at])
    if kind == _SPACE:
        while at < stop and at - start < _SPACES and _kind(data[at]) == _SPACE:
            at += 1
        # The last space before a word is left for it.
        if at < stop and at - start > 1 and _kind(data[at]) != _SPACE:
            at -= 1
        return at
    limit = _LETTERS if kind == _LETTER else _DIGITS if kind == _DIGIT else _MARKS
    taken = 0
    while at < stop and _kind(data[at]) == kind:
        taken += data[at] & 0xC0 != 0x80  # a continuation byte is no new character
        if taken > limit:
            break
        at += 1
    return at


@njit(nogil=True, cache=True)
def _merge_word(
    word: NDArray[np.int64], length: int, pairs: NDArray[np.int64], values: NDArray[np.int64]
) -> int:
    """Merge pairs in place, lowest rank first and leftmost among equals; the new length."""
    while length > 1:
        best, where = _NONE, 0
        for index in range(length - 1):
            value = values[_pair_slot(pairs, word[index] << 16 | word[index + 1])]
            if value < best:
                best, where = value, index
        if best == _NONE:
            break
        word[where] = best & 0xFFFF
        length -= 1
        for index in range(where + 1, length):
            word[index] = word[index + 1]
    return length


@njit(nogil=True, cache=True)
def _same_bytes(data: NDArray[np.uint8], one: int, other: int, size: int) -> bool:
    for index in range(size):  # noqa: SIM110 - compiled: a generator would not be
        if data[one + index] != data[other + index]:
            return False
    return True


@njit(nogil=True, cache=True)
def _cache_slot(data: NDArray[np.uint8], start: int, end: int) -> np.uint64:
    digest = np.uint64(end - start)
    for at in range(start, end):
        digest = (digest ^ np.uint64(data[at])) * np.uint64(0x9E3779B97F4A7C15)
    slot: np.uint64 = (digest >> np.uint64(40)) & np.uint64(_CACHE_SLOTS - 1)
    return slot


@njit(nogil=True, cache=True)
def _encode(  # noqa: PLR0913 - a kernel takes flat arrays
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    byte_ids: NDArray[np.uint16],
    pairs: NDArray[np.int64],
    values: NDArray[np.int64],
    ids: NDArray[np.uint16],
    offsets: NDArray[np.int64],
) -> None:
    """Encode every text; a word met before is copied from where it was encoded last.

    A cache slot holds that place: first byte, bytes (0 = empty slot), first id, ids.
    """
    cache = np.zeros((_CACHE_SLOTS, 4), np.int64)
    word = np.empty(_LONGEST, np.int64)
    out = 0
    for text in range(len(starts) - 1):
        start, stop = starts[text], starts[text + 1]
        while start < stop:
            end = _word_end(data, start, stop)
            size = end - start
            seen = cache[_cache_slot(data, start, end)]
            if seen[1] == size and _same_bytes(data, start, seen[0], size):
                length = seen[3]
                for index in range(length):
                    ids[out + index] = ids[seen[2] + index]
            else:
                for index in range(size):
                    word[index] = byte_ids[data[start + index]]
                length = _merge_word(word, size, pairs, values)
                for index in range(length):
                    ids[out + index] = word[index]
            seen[0], seen[1], seen[2], seen[3] = start, size, out, length
            out += length
            start = end
        ids[out] = BOUNDARY
        out += 1
        offsets[text + 1] = out

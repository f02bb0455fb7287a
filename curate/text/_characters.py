"""Character classes: one flag word for every Unicode code point.

The flags follow the general category of Python's own Unicode table, so they change only with
the Python version. Code points without an entry below (unassigned, private use) are symbols.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

SPACE = 1  # str.isspace()
WORD = 2  # letters, numbers, underscore
EXTEND = 4  # marks and format characters: they stay with the character before them
LETTER = 8
UPPER = 16
DIGIT = 32  # decimal digits
PUNCTUATION = 64  # categories P and S
SINGLE = 128  # a word by itself: Han and kana, which are written without spaces
INNER = 256  # joins two word characters: don't, 3.14, os.path, x@y, R&D
NUMERIC_INNER = 512  # joins two digits: 1,000, 10:30, 1/2
TERMINAL = 1024  # ends a sentence, or closes a quotation that does
CONTROL = 2048  # control characters that are no white space: they separate tokens, like space
SENTENCE_END = 4096  # ends a sentence in Unicode's sense: no ellipsis, no quotation mark
FORMAT = 8192  # of those that extend, the format characters (category Cf)

INNER_CHARACTERS = ".'’@&#"
NUMERIC_INNER_CHARACTERS = ",:/"
# Sentence_Terminal marks of the scripts in wide use, the ellipsis, and closing quotes.
TERMINAL_CHARACTERS = ".!?…\"'”’»。！？｡．؟۔।॥։።፧၊။។៕‼‽⁇⁈⁉"
# Unicode's Sentence_Terminal marks, as first-last in hexadecimal.
SENTENCE_RANGES = """
21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E
1735-1736 17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E
1C3B-1C3C 1C7E-1C7F 203C-203D 2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7
A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61
10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD
111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642
1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F
16AF5 16B37-16B38 16B44 16E98 1BC9F 1DA88
"""
SINGLE_RANGES = (
    (0x3005, 0x3008),
    (0x3021, 0x302A),
    (0x3040, 0x3100),
    (0x31F0, 0x3200),
    (0x3400, 0x4DC0),
    (0x4E00, 0xA000),
    (0xF900, 0xFB00),
    (0xFF66, 0xFFA0),
    (0x1B000, 0x1B170),
    (0x20000, 0x32400),
)
_CODE_POINTS = 0x110000
_SPACES_BELOW = 0x3001  # U+3000 is the last white space
_ASSIGNED_BELOW = 0x32400  # planes above hold only tags and variation selectors (0xE0000 …)

_BY_CATEGORY = {"L": WORD | LETTER, "N": WORD, "M": EXTEND, "P": PUNCTUATION, "S": PUNCTUATION}
_BY_SUBCATEGORY = {
    "Lu": WORD | LETTER | UPPER,
    "Lt": WORD | LETTER | UPPER,
    "Nd": WORD | DIGIT,
    "Cf": EXTEND | FORMAT,
    "Cc": CONTROL,
}


@cache
def character_flags() -> NDArray[np.uint16]:
    """Flags of every code point, shape (1114112,), built once a process.

    >>> flags = character_flags()
    >>> bool(flags[ord("é")] & LETTER), bool(flags[0x4E2D] & SINGLE), bool(flags[0] & CONTROL)
    (True, True, True)
    """
    flags = np.zeros(_CODE_POINTS, np.uint16)
    for start, stop in ((0, _ASSIGNED_BELOW), (0xE0000, 0xE0200)):
        flags[start:stop] = _category_flags(start, stop)
    flags[[code for code in range(_SPACES_BELOW) if chr(code).isspace()]] = SPACE
    for low, high in SINGLE_RANGES:
        block = flags[low:high]
        block[(block & LETTER) > 0] |= SINGLE
    for characters, flag in (
        (INNER_CHARACTERS, INNER),
        (NUMERIC_INNER_CHARACTERS, NUMERIC_INNER),
        (TERMINAL_CHARACTERS, TERMINAL),
    ):
        flags[[ord(c) for c in characters]] |= flag
    for marks in SENTENCE_RANGES.split():
        first, _, last = marks.partition("-")
        flags[int(first, 16) : int(last or first, 16) + 1] |= SENTENCE_END
    flags[ord("_")] |= WORD
    return flags


def _category_flags(first: int, last: int) -> NDArray[np.uint16]:
    """The flags of a range by general category: two letters each, read as one number."""
    names = "".join(map(unicodedata.category, map(chr, range(first, last)))).encode()
    numbers = np.frombuffer(names, np.uint16)
    by_number = np.zeros(1 << 16, np.uint16)
    for number in np.flatnonzero(np.bincount(numbers)):
        name = int(number).to_bytes(2, sys.byteorder).decode()
        by_number[number] = _BY_SUBCATEGORY.get(name, _BY_CATEGORY.get(name[0], 0))
    return by_number[numbers]

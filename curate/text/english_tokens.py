"""English tokens as spaCy's rules cut them, which datatrove's word counts rest on.

The rules of `spacy.blank("en")`: a text is cut at white space; of each piece marks are taken off
the front and the back as long as any is left, except that known forms (`e.g.`, `don't`, `:)`) stay
as they are; what remains is one token if it looks like a web address, and is otherwise cut at
infixes (a hyphen between letters, an ellipsis, `a.B`, `a,b`, `a:b`). Everything else inside a
piece stays whole: `covid-19` after a digit, `said--"It`, `src="/blog`. Emoji as prefixes and
rare forms of spaCy's list of exceptions are left out.

The patterns below are the definition. Counts come from compiled code that follows them step by step
(`curate.text._english_rules`), with the same characters, forms and units.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.text._characters import DIGIT, EXTEND, FORMAT, LETTER, WORD, character_flags
from curate.text._english_kernel import COUNTS, count_english
from curate.text._english_rules import (
    ALNUM,
    ALPHA,
    BEFORE_STOP,
    CAPITAL,
    CURRENCY,
    DECIMAL,
    DOT_AHEAD,
    DOT_BEHIND,
    FORM_BITS,
    FORM_END,
    HASH_FACTOR,
    ICON,
    NO_MARK,
    ONE_TOKEN,
    PREFIX,
    SUFFIX,
    TOP_LEVEL,
    UNFOLDED,
    UNIT_END,
)
from curate.text.arrow import text_view

_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_MARKS = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_CURRENCY = "$£€¥฿₽₴₩₪₫₹₿"
_ICONS = "¦©®°→↑↓←★☆✓✔►▶◀■□●○◦▪▫♥♦♣♠☎☺"
_HYPHEN = r"(?:--|---|——|[-–—~])"
_UNITS = (
    "km km² km³ m m² m³ dm cm mm µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph hPa Pa mbar "
    "mb MB kb KB gb GB tb TB T G M K %"
)
_LOWER, _UPPER = r"a-zà-öø-ÿа-яё", r"A-ZÀ-ÖØ-ÞА-ЯЁ"
_ALPHA = r"[^\W\d_]"
_PREFIX = re.compile(
    rf"\.\.+|…|US\$|C\$|A\$|[§%=—–{re.escape(_MARKS + _QUOTES + _CURRENCY + _ICONS)}]|\+(?![0-9])"
)
_SUFFIX = re.compile(
    rf"(?:\.\.+|…|'s|'S|’s|’S|[—–{re.escape(_MARKS + _QUOTES + _ICONS)}]|(?<=[0-9])\+"
    rf"|(?<=[0-9])(?:[{re.escape(_CURRENCY)}]|{'|'.join(sorted(_UNITS.split(), key=len)[::-1])})"
    rf"|(?<=[0-9{_LOWER}%²\-+{re.escape(_MARKS + _QUOTES)}])\.|(?<=[{_UPPER}][{_UPPER}])\.)$"
)
_INFIX = re.compile(
    rf"\.\.+|…|[{re.escape(_ICONS)}]|(?<=[0-9])[+\-*^](?=[0-9-])"
    rf"|(?<=[{_LOWER}{re.escape(_QUOTES)}])\.(?=[{_UPPER}{re.escape(_QUOTES)}])"
    rf"|(?<={_ALPHA}),(?={_ALPHA})|(?<=[^\W_]){_HYPHEN}(?={_ALPHA})|(?<=[^\W_])[:<>=/](?={_ALPHA})"
)
_TOP_LEVEL = "a-zß-öø-ÿ"
_HOST = rf"(?:(?:[^\W_][\w-]{{0,62}})?[^\W_]\.)+[{_TOP_LEVEL}]{{2,63}}"
_ADDRESS = re.compile(
    rf"(?:[\w+\-.]{{2,}}://)?(?:\S+(?::\S*)?@)?(?:{_HOST}|\d{{1,3}}(?:\.\d{{1,3}}){{3}})"
    r"(?::\d{2,5})?(?:[/?#]\S*)?"
)
_SHORT_FORMS = (
    "Adm. Ak. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. Co. Colo. Conn. Corp. D.C. Dec. Del. Dr. "
    "E.G. E.g. Feb. Fla. Ga. Gen. Gov. I.E. I.e. Ia. Id. Ill. Inc. Ind. Jan. Jr. Jul. Jun. "
    "Kan. Ky. La. Ltd. Mar. Mass. Md. Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. Mt. "
    "N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nev. Nov. Oct. Okla. Ore. Pa. Ph.D. Prof. Rep. Rev. "
    "S.C. Sen. Sep. Sept. St. Tenn. Va. Wash. Wis. a.m. co. e.g. i.e. p.m. v.s. vs. "
    ":( :) :-( :-) ;) ;-) :/ :* :| =( =) =] (: (; (= ): :> :] :} C++ o'clock ma'am "
    "'em 'cos 'cause 'll 'd 're 's and/or 8) 8-)"
)
_SHORT = frozenset(_SHORT_FORMS.split())
_SUBJECTS = "i|you|he|she|it|we|they|who|what|when|where|why|how|there|that|this|these|those"
_ENDINGS = "s|d|ll|re|ve|m"
_MODALS = "could|should|would|might|must"
_VERBS = (
    "ai|are|ca|could|dare|did|does|do|had|has|have|is|may|might|must|need|ought|sha|should|"
    "was|were|wo|would"
)
_VERBS_WITHOUT_MARK = "ai|are|ca|could|did|do|does|had|has|have|is|should|was|wo|would"
_CLITIC = re.compile(
    rf"((?:{_SUBJECTS})(?:['’](?:{_ENDINGS})){{1,2}}|(?:{_MODALS})['’]ve|let['’]s"
    rf"|(?:{_VERBS})n['’]t(?:['’]ve)?|cannot|gonna|gotta|y['’]all|(?:{_VERBS_WITHOUT_MARK})nt"
    r"|(?:[1-9]|1[0-2])(?:[ap]m|[ap]\.m\.))",
    re.IGNORECASE,
)
_LETTER_STOP = re.compile(r"[a-zäöü]\.", re.IGNORECASE)


def english_tokens(text: str) -> list[str]:
    """The tokens of a text, white space left out.

    >>> english_tokens("The cat's end-of-line, e.g. 3.14 don't --- ok...")  # doctest: +ELLIPSIS
    ['The', 'cat', "'s", 'end', '-', 'of', '-', 'line', ',', 'e.g.', '3.14', 'do', "n't", ...
    """
    return [token for piece in text.split() for token in _cut(piece)]


def english_token_counts(text: pl.Series) -> pl.DataFrame:
    """`tokens`, those `alphabetic` (with a letter), `words` (not all marks) and `word_chars`.

    >>> english_token_counts(pl.Series(["I don't -- well, 3!"])).row(0)
    (8, 4, 5, 11)
    """
    view = text_view(text)
    counts = np.zeros((len(text), len(COUNTS)), np.int64)
    tables = (character_flags(), _classes(), _forms())
    left = count_english(view.address, view.length, *tables, counts)
    encoded, current = b"", -1
    for document, start, end in left.tolist():
        if document != current:
            encoded, current = text[document].encode(), document
        counts[document] += _piece_counts(encoded[start:end].decode())
    return pl.DataFrame({name: counts[:, i] for i, name in enumerate(COUNTS)})


@cache
def _classes() -> NDArray[np.uint16]:
    """The classes of the kernel, one a code point."""
    flags = character_flags()
    classes = np.zeros(len(flags), np.uint16)
    for given, wanted in (
        (WORD, ALNUM | NO_MARK),
        (LETTER, ALPHA),
        (DIGIT, DECIMAL),
        (EXTEND, NO_MARK),
    ):
        classes[(flags & given) > 0] |= wanted
    classes[(flags & FORMAT) > 0] &= ~np.uint16(NO_MARK)
    classes[ord("_")] = 0
    for characters, wanted in (
        ("§%=—–" + _MARKS + _QUOTES + _CURRENCY + _ICONS, PREFIX),
        ("—–" + _MARKS + _QUOTES + _ICONS, SUFFIX),
        (_CURRENCY, CURRENCY),
        (_ICONS, ICON),
        ("0123456789%²-+" + _MARKS + _QUOTES, BEFORE_STOP),
        (_QUOTES, DOT_BEHIND | DOT_AHEAD),
        ("\u017f\u0130\u0131\u212a", UNFOLDED),
        (_form_ends(), FORM_END),
    ):
        classes[[ord(character) for character in characters]] |= wanted
    for pattern, wanted in (
        (_LOWER, BEFORE_STOP | DOT_BEHIND),
        (_UPPER, CAPITAL | DOT_AHEAD),
        (_TOP_LEVEL, TOP_LEVEL),
    ):
        letters = re.compile(f"[{pattern}]")
        found = [code for code in range(0x500) if letters.match(chr(code))]
        classes[found] |= wanted
    return classes


def known_forms() -> list[str]:
    """The forms that stay, or are cut in their own way; clitics in lower case.

    >>> {"e.g.", "don't", "6pm"} <= set(known_forms())
    True
    """
    return [*_SHORT_FORMS.split(), *_clitic_forms()]


def _form_ends() -> str:
    """The last characters of all forms, in both cases."""
    ends = {form[-1] for form in known_forms()}
    return "".join(sorted(ends | {end.upper() for end in ends}))


@cache
def _forms() -> tuple[NDArray[np.uint64], NDArray[np.uint16]]:
    """The hash table of the kernel: short forms, clitics in lower case, units."""
    values = {_hash(form): ONE_TOKEN for form in _SHORT}
    for form in _clitic_forms():
        tokens = _clitics(form)
        value = len(tokens) + 16 * sum(any(map(str.isalpha, token)) for token in tokens)
        values.setdefault(_hash(form), value)
    values |= {_hash(unit, UNIT_END): 1 for unit in _UNITS.split()}
    keys, found = np.zeros(1 << FORM_BITS, np.uint64), np.zeros(1 << FORM_BITS, np.uint16)
    for key, value in values.items():
        slot = key >> 64 - FORM_BITS
        while keys[slot]:
            slot = (slot + 1) % len(keys)
        keys[slot], found[slot] = key, value
    return keys, found


def _clitic_forms() -> list[str]:
    """Whatever `_CLITIC` matches, in lower case and with straight apostrophes."""
    once = [f"{who}'{clitic}" for who in _SUBJECTS.split("|") for clitic in _ENDINGS.split("|")]
    nots = [f"{verb}n't" for verb in _VERBS.split("|")]
    clocks = (f"{hour}{half}" for hour in range(1, 13) for half in ("am", "pm", "a.m.", "p.m."))
    return [
        *once,
        *(f"{form}'{clitic}" for form in once for clitic in _ENDINGS.split("|")),
        *(f"{verb}'ve" for verb in _MODALS.split("|")),
        *nots,
        *(f"{form}'ve" for form in nots),
        *(f"{verb}nt" for verb in _VERBS_WITHOUT_MARK.split("|")),
        *("let's", "cannot", "gonna", "gotta", "y'all"),
        *clocks,
    ]


def _hash(form: str, *end: int) -> int:
    """The hash of the kernel."""
    hash_ = 1
    for code in (*map(ord, form), *end):
        hash_ = (hash_ ^ code) * HASH_FACTOR % 2**64
        hash_ ^= hash_ >> 32
    return hash_


def _piece_counts(piece: str) -> tuple[int, int, int, int]:
    tokens = [piece] if piece.isalpha() and not _CLITIC.fullmatch(piece) else _cut(piece)
    words = [token for token in tokens if not all(map(_is_mark, token))]
    alphabetic = sum(any(map(str.isalpha, token)) for token in tokens)
    return len(tokens), alphabetic, len(words), sum(map(len, words))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PSC"


def _cut(piece: str) -> list[str]:
    before: list[str] = []
    after: list[str] = []
    rest, size = piece, -1
    while rest and len(rest) != size and not _is_form(rest):
        size = len(rest)
        front = _PREFIX.match(rest)
        if front:
            before.append(front.group())
            rest = rest[front.end() :]
            if _is_form(rest):
                break
        back = _SUFFIX.search(rest)
        if back and back.end() > back.start():
            after.append(back.group())
            rest = rest[: back.start()]
    return [*before, *_middle(rest), *after[::-1]]


def _is_form(rest: str) -> bool:
    """Whether it is in the list of forms that stay, or are cut in their own way."""
    known = rest in _SHORT or (len(rest) < 14 and _CLITIC.fullmatch(rest) is not None)
    return known or (len(rest) == 2 and _LETTER_STOP.fullmatch(rest) is not None)


def _middle(rest: str) -> list[str]:
    if not rest:
        return []
    if _is_form(rest):
        return _clitics(rest)
    if rest.isalnum() or _ADDRESS.fullmatch(rest):
        return [rest]
    parts, start = [], 0
    for infix in _INFIX.finditer(rest):
        if infix.start() > start:
            parts.append(rest[start : infix.start()])
        if infix.start() >= start:
            parts.append(infix.group())
            start = infix.end()
    return [*parts, rest[start:]] if start < len(rest) else parts


def _clitics(form: str) -> list[str]:
    if form in _SHORT or _LETTER_STOP.fullmatch(form):
        return [form]
    if form.lower() in ("cannot", "gonna", "gotta"):
        return [form[:3], form[3:]]
    if form[0].isdigit():
        return [form.rstrip("apmAPM."), form.lstrip("0123456789")]
    return re.sub(r"(?i)(n['’]?t(?![a-z])|['’](?:s|d|ll|re|ve|m)\b)", r" \1", form).split()

"""English tokens as spaCy's rules cut them, which datatrove's word counts rest on.

The rules of `spacy.blank("en")`: a text is cut at white space; of each piece marks are taken off
the front and the back as long as any is left, except that known forms (`e.g.`, `don't`, `:)`) stay
as they are; what remains is one token if it looks like a web address, and is otherwise cut at
infixes (a hyphen between letters, an ellipsis, `a.B`, `a,b`, `a:b`). Everything else inside a
piece stays whole: `covid-19` after a digit, `said--"It`, `src="/blog`. Emoji as prefixes and
rare forms of spaCy's list of exceptions are left out.
"""

from __future__ import annotations

import re
import unicodedata

import polars as pl

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
_HOST = r"(?:(?:[^\W_][\w-]{0,62})?[^\W_]\.)+[a-zß-öø-ÿ]{2,63}"
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
_CLITIC = re.compile(
    r"((?:i|you|he|she|it|we|they|who|what|when|where|why|how|there|that|this|these|those)"
    r"(?:['’](?:s|d|ll|re|ve|m)){1,2}|(?:could|should|would|might|must)['’]ve|let['’]s"
    r"|(?:ai|are|ca|could|dare|did|does|do|had|has|have|is|may|might|must|need|ought|sha|should|"
    r"was|were|wo|would)n['’]t(?:['’]ve)?|cannot|gonna|gotta|y['’]all"
    r"|(?:ai|are|ca|could|did|do|does|had|has|have|is|should|was|wo|would)nt"
    r"|(?:[1-9]|1[0-2])(?:[ap]m|[ap]\.m\.))",
    re.IGNORECASE,
)
_LETTER_STOP = re.compile(r"[a-zäöü]\.", re.IGNORECASE)
_MOST_KEPT = 1_000_000  # pieces whose counts are remembered
_known: dict[str, tuple[int, int, int, int]] = {}


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
    rows = [_counts(value) for value in text]
    names = ("tokens", "alphabetic", "words", "word_chars")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int64), orient="row")


def _counts(text: str) -> tuple[int, int, int, int]:
    if len(_known) > _MOST_KEPT:
        _known.clear()
    tokens = alphabetic = words = chars = 0
    for piece in text.split():
        found = _known.get(piece)
        if found is None:
            found = _known[piece] = _piece_counts(piece)
        tokens += found[0]
        alphabetic += found[1]
        words += found[2]
        chars += found[3]
    return tokens, alphabetic, words, chars


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

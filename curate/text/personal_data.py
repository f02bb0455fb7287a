"""Personal data in text: where it stands, by kind. No value is ever returned, only places.

A compiled sieve finds at signs and numbers; each kind has a pattern over the bytes around its
candidates and a check:

- `email`: a local part of unquoted ASCII words, a domain with a dot or an address literal;
- `ip`: IPv4 in canonical form, public or from a documentation range; private, loopback,
  link-local, shared, reserved and multicast addresses name no one; version and section numbers are
  left out where a word before them says so;
- `card`: 13 to 19 digits with an issuer's prefix and length, and a correct Luhn digit;
- `iban`: country code, the country's length, and remainder 1 modulo 97 (ISO 13616);
- `phone`: international (`+` and 8 to 15 digits) or North American (3-3-4 digits);
- `secret`: private keys and access tokens by the prefixes that their makers publish.

The order of `KINDS` decides where two patterns claim the same digits.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from curate.text._numbers import ACCOUNT, AT, DOTTED, LITERAL, LONG, WHOLE, candidates
from curate.text.arrow import text_view
from curate.text.spans import Span, add_disjoint

_DOCUMENTATION = tuple(
    ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
)
_IBAN_TABLE = (
    "AD24 AE23 AT20 BE16 BG22 BR29 CH21 CY28 CZ24 DE22 DK18 EE20 ES24 FI18 FR27 GB22 GR27 HR21 "
    "HU28 IE22 IL23 IS26 IT27 LI21 LT20 LU20 LV21 MC27 MT31 NL18 NO15 PL28 PT25 RO24 RS22 SA24 "
    "SE24 SI19 SK24 SM27 TR26 UA29"
)
_IBAN_CHARS = {entry[:2]: int(entry[2:]) for entry in _IBAN_TABLE.split()}
_ATOM = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_CHARS = 64  # RFC 5321, 4.5.3.1.1; looking back no further keeps every text linear
_LOCAL_BYTES = (
    b"".join(bytes([b]) for b in range(33, 127) if re.fullmatch(_ATOM, bytes([b]))) + b"."
)
_LOCAL = re.compile(rb"(?<![\x80-\xff])\b" + _ATOM + rb"(?:\." + _ATOM + rb")*$")
_LABEL = rb"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS = _OCTET + rb"(?:\." + _OCTET + rb"){3}"
_DOMAIN = (
    rb"@(?:\[" + _ADDRESS + rb"\]|(?:" + _LABEL + rb"\.)+" + _LABEL + rb")(?![A-Za-z0-9\x80-\xff-])"
)
_IP = rb"(?<![A-Za-z0-9_.\-\x80-\xff])" + _ADDRESS + rb"(?![A-Za-z0-9_\x80-\xff]|\.[0-9]|-[0-9])"
_NUMBERED_BEFORE = re.compile(
    rb"(?i)(?:\b(?:version|release|ver|v|build|firmware|sections?|sec|chapter|clause|rule|table"
    rb"|figure|rfc ?[0-9]{3,4})\.?|[=<>~^!]=|\xc2\xa7)[ :]*$"
)
_CARD = rb"(?<![0-9A-Za-z.,+\-])[3-6][0-9]{3}(?:[ -]?[0-9]){9,15}(?![0-9A-Za-z]|[.,-][0-9])"
_IBAN = rb"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])"
_PHONE = (
    rb"(?<![0-9A-Za-z.+\-_/\x80-\xff])(?:"
    rb"\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,4}\)?){2,6}"
    rb"|(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}"
    rb")(?![0-9A-Za-z_\-/]|[.,:][0-9])"
)
# Published prefixes of keys that open something; `candidate_masks` knows pieces of them.
SECRET_MARKS = (
    *(b"PRIVATE KEY-----", b"AKIA", b"ASIA", b"AIza", b"ghp_", b"gho_", b"ghs_", b"github_pat_"),
    *(b"glpat-", b"xoxb-", b"xoxp-", b"sk_live_", b"rk_live_", b"npm_", b"hf_"),
)
_SECRET = (
    rb"-----BEGIN (?:[A-Z]+ ){0,2}PRIVATE KEY-----[A-Za-z0-9+/=\\\s:,.-]{40,}?"
    rb"-----END (?:[A-Z]+ ){0,2}PRIVATE KEY-----"
    rb"|(?<![A-Za-z0-9_])(?:A(?:KI|SI)A[A-Z2-7]{16}|AIza[A-Za-z0-9_-]{35}|gh[pos]_[A-Za-z0-9]{36}"
    rb"|github_pat_[A-Za-z0-9_]{82}|glpat-[A-Za-z0-9_-]{20}|xox[bp]-[0-9]{10,}-[A-Za-z0-9-]{20,}"
    rb"|[sr]k_live_[A-Za-z0-9]{24,}|npm_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{34})(?![A-Za-z0-9])"
)

Place = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """How one kind of personal data is found.

    Attributes:
        sieves: Kinds of candidates among which it may stand.
        pattern: Pattern over bytes.
        check: From the whole text and the span of the match to the span of the value, if it is one.
        anchored: The value begins where the candidate does.
    """

    sieves: tuple[int, ...]
    pattern: re.Pattern[bytes]
    check: Callable[[bytes, int, int], Place | None]
    anchored: bool = False


def _check_email(text: bytes, start: int, end: int) -> Place | None:
    """The domain was matched; the local part is what stands before it."""
    before = text[max(0, start - _LOCAL_CHARS - 1) : start]
    run = len(before) - len(before.rstrip(_LOCAL_BYTES))
    local = _LOCAL.search(text, start - run, start)
    if not local or start - local.start() > _LOCAL_CHARS:
        return None
    return local.start(), end


def _check_ip(text: bytes, start: int, end: int) -> Place | None:
    if not _names_someone(text[start:end]):
        return None
    numbered = _NUMBERED_BEFORE.search(text[max(0, start - 16) : start])
    return None if numbered else (start, end)


@lru_cache(maxsize=4096)
def _names_someone(value: bytes) -> bool:
    """Whether an address is public, or from a range for documentation."""
    address = ipaddress.ip_address(value.decode())
    documented = any(address in network for network in _DOCUMENTATION)
    return documented or (address.is_global and not address.is_multicast)


def _check_card(text: bytes, start: int, end: int) -> Place | None:
    digits = re.sub(rb"[ -]", b"", text[start:end]).decode()
    return (start, end) if _is_issued(digits) and luhn(digits) else None


def _is_issued(digits: str) -> bool:
    """Prefix and length of one of the card networks (ISO/IEC 7812)."""
    two, four, n = int(digits[:2]), int(digits[:4]), len(digits)
    return any(
        (
            digits[0] == "4" and n in (13, 16, 19),
            n == 16 and (51 <= two <= 55 or 2221 <= four <= 2720),
            n == 15 and two in (34, 37),
            n in (16, 19) and (four == 6011 or two == 65),
            n == 14 and (two in (36, 38) or 300 <= int(digits[:3]) <= 305),
            n == 16 and 3528 <= four <= 3589,
        )
    )


def _check_iban(text: bytes, start: int, end: int) -> Place | None:
    country = text[start : start + 2].decode()
    wanted = _IBAN_CHARS.get(country, 0)
    number = re.match(rb"(?: ?[A-Z0-9]){%d}" % wanted, text[start:end])
    if not (wanted and number):
        return None
    stop = start + number.end()  # upper-case words may follow the number
    value = number.group().replace(b" ", b"").decode()
    rest = text[stop : stop + 1]
    whole = not (rest.isalnum() and text[stop - 1 : stop + 1].isalnum())
    return (start, stop) if whole and mod97(value) == 1 else None


def _check_phone(text: bytes, start: int, end: int) -> Place | None:
    if text[end - 1 : end] == b")" and b"(" not in text[start:end]:
        end -= 1  # it closes a bracket that was opened before the number
    digits = sum(48 <= b < 58 for b in text[start:end])
    return (start, end) if 8 <= digits <= 15 else None


KINDS: Mapping[str, Kind] = {
    "email": Kind(
        sieves=(AT, LITERAL), pattern=re.compile(_DOMAIN), check=_check_email, anchored=True
    ),
    "ip": Kind(sieves=(DOTTED,), pattern=re.compile(_IP), check=_check_ip),
    "iban": Kind(sieves=(ACCOUNT,), pattern=re.compile(_IBAN), check=_check_iban, anchored=True),
    "card": Kind(sieves=(LONG,), pattern=re.compile(_CARD), check=_check_card),
    "phone": Kind(sieves=(DOTTED, LONG), pattern=re.compile(_PHONE), check=_check_phone),
    "secret": Kind(sieves=(WHOLE,), pattern=re.compile(_SECRET), check=lambda _, *span: span),
}
"""Every kind of personal data by name."""


def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 * (d > 9) for d in doubled) % 10 == 0


def mod97(iban: str) -> int:
    """Remainder modulo 97 of an IBAN without spaces; 1 for a correct one (ISO 13616-1).

    >>> mod97("GB82WEST12345698765432")
    1
    """
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97


def find_personal_data(text: pl.Series) -> pl.DataFrame:
    """Every place that holds personal data, in the order of the text.

    Args:
        text: String column without nulls.

    Returns:
        `document` UInt32 (row of `text`), `kind` String, `start` and `end` Int64: byte offsets
        in the UTF-8 text. Places of one document do not overlap.

    >>> find_personal_data(pl.Series(["no", "Ann <a@site.org>, 8.8.8.8"])).rows()
    [(1, 'email', 5, 15), (1, 'ip', 18, 25)]
    """
    view = text_view(text)
    count, room = 1, 0
    while count > room:
        room = max(count, int(view.length.sum()) // 512)
        found = np.empty((room, 4), np.int64)
        count = candidates(view.address, view.length, found)
    documents, first = np.unique(found[:count, 0], return_index=True)
    of_document = np.split(found[:count, 1:], first[1:])
    rows: list[tuple[int, str, int, int]] = []
    for document, own in zip(documents.tolist(), of_document, strict=False):
        if (own[:, 0] == AT).all() and (own[1:, 1] >= own[:-1, 2]).all():
            rows += [(document, "email", start, end) for _, start, end in own.tolist()]
            continue  # found whole, and none begins in another
        places = _places(text[document].encode(), own.tolist())
        rows += [(document, *place) for place in places]
    columns = zip(*rows, strict=True) if rows else ((),) * 4
    schema = {"document": pl.UInt32, "kind": pl.String, "start": pl.Int64, "end": pl.Int64}
    return pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema)


def _places(raw: bytes, found: list[list[int]]) -> list[tuple[str, int, int]]:
    spans: list[Span] = []
    windows: dict[tuple[int, ...], list[list[int]]] = {}
    for name, kind in KINDS.items():
        if kind.sieves not in windows:
            windows[kind.sieves] = [own for own in found if own[0] in kind.sieves]
        for place in _values(raw, kind, windows[kind.sieves]):
            add_disjoint(spans, (*place, name))
    return [(name, start, end) for start, end, name in spans]


def _values(raw: bytes, kind: Kind, windows: list[list[int]]) -> Iterator[Place]:
    for sieve, start, end in windows:
        if sieve == AT:  # the sieve has found the address itself
            yield start, end
            continue
        if sieve == WHOLE and not any(mark in raw for mark in SECRET_MARKS):
            continue
        for match in _matches(raw, kind, start, end):
            place = kind.check(raw, *match.span())
            if place:
                yield place


def _matches(raw: bytes, kind: Kind, start: int, end: int) -> Iterable[re.Match[bytes]]:
    if kind.anchored:
        match = kind.pattern.match(raw, start)
        return () if match is None else (match,)
    # The pattern may begin with a sign or a bracket, and it looks two bytes ahead.
    return kind.pattern.finditer(raw, max(0, start - 2), end + 3)

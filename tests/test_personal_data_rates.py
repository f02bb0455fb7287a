"""Precision and recall of personal data on values and look-alikes that the test makes."""

import ipaddress
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.statistics import wilson
from curate.text.personal_data import _IBAN_CHARS, KINDS, find_personal_data
from curate.text.spans import add_disjoint

EACH = 400  # positives and as many look-alikes of each of the six kinds: 2,400 of either
LETTERS, CAPITALS, DIGITS = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
FRAMES = [
    "Please write to {} before Friday.",
    "contact: {}",
    "({})",
    "On Monday she noted {}; nobody asked why.",
    "{}",
    "Naïve café – {}\nNext line.",
    "first\n{}\nlast",
]


def some(rng, alphabet, n):
    return "".join(rng.choice(list(alphabet), n))


def luhn_digit(digits):
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(digits))]
    return str(-sum(d - 9 * (d > 9) for d in doubled) % 10)


def grouped(text, n, sep):
    return sep.join(text[i : i + n] for i in range(0, len(text), n))


def card(rng, *, valid):
    prefix, length = [("4", 16), ("51", 16), ("55", 16), ("34", 15), ("37", 15), ("6011", 16)][
        rng.integers(6)
    ]
    body = prefix + some(rng, DIGITS, length - 1 - len(prefix))
    check = luhn_digit(body)
    digits = body + (check if valid else str((int(check) + 1 + int(rng.integers(9))) % 10))
    return grouped(digits, 4, ["", " ", "-"][rng.integers(3)])


def iban(rng, *, valid):
    country = list(_IBAN_CHARS)[rng.integers(len(_IBAN_CHARS))]
    length = _IBAN_CHARS[country] - 4
    body = some(rng, DIGITS, length)
    if country in ("GB", "NL", "IE", "LV", "MT", "RO", "BG", "GI"):
        body = some(rng, CAPITALS, 4) + body[4:]
    number = int("".join(str(int(c, 36)) for c in body + country + "00"))
    check = 98 - number % 97
    if not valid:
        check = (check + int(rng.integers(1, 90))) % 97 + 1 if check != 97 else 50
        if int("".join(str(int(c, 36)) for c in body + country + f"{check:02d}")) % 97 == 1:
            check = check % 97 + 1
    whole = f"{country}{check:02d}{body}"
    return grouped(whole, 4, " ") if rng.random() < 0.5 else whole


def public_ip(rng):
    while True:
        address = ipaddress.ip_address(int(rng.integers(1 << 32)))
        if address.is_global and not address.is_multicast:
            return str(address)


def email(rng):
    local = some(rng, LETTERS, 5) + ["", "." + some(rng, LETTERS, 4), "+tag", "_9"][rng.integers(4)]
    domain = some(rng, LETTERS, 7) + [".org", ".co.uk", ".com", "-x.net"][rng.integers(4)]
    return f"{local}@{domain}"


def phone(rng):
    a, b, c = (str(rng.integers(2, 10)) + some(rng, DIGITS, 2) for _ in range(3))
    four = some(rng, DIGITS, 4)
    forms = [
        f"({a}) {b}-{four}",
        f"{a}-{b}-{four}",
        f"{a}.{b}.{four}",
        f"+1 {a} {b} {four}",
        f"+44 20 7{c} {four}",
        f"+49 {a} {b}{four}",
        f"+33 {c[0]} {a[:2]} {b[:2]} {four[:2]} {four[2:]}",
    ]
    return forms[rng.integers(len(forms))]


def secret(rng):
    alnum = LETTERS + CAPITALS + DIGITS
    forms = [
        "AKIA" + some(rng, CAPITALS + "234567", 16),
        "ghp_" + some(rng, alnum, 36),
        "AIza" + some(rng, alnum, 35),
        "glpat-" + some(rng, alnum, 20),
        "sk_live_" + some(rng, alnum, 24),
        "-----BEGIN RSA PRIVATE KEY-----\n"
        + grouped(some(rng, alnum, 192), 64, "\n")
        + "\n-----END RSA PRIVATE KEY-----",
    ]
    return forms[rng.integers(len(forms))]


def no_email(rng):
    a, b = some(rng, LETTERS, 6), some(rng, LETTERS, 6)
    return [f"@{a}", f"{a}@{b}", f"{a} @ {b}.org", f"{a}.@{b}.org", f"@{a}.{b}", f"{a}@-{b}.org"][
        rng.integers(6)
    ]


def no_ip(rng):
    a, b, c, d = rng.integers(0, 200, 4)
    return [
        f"version {a % 20}.{b % 20}.{c}.{d}",
        f"v{a % 20}.{b}.{c}.{d}",
        f"10.{a}.{b}.{c}",
        f"192.168.{a}.{b}",
        f"127.0.{a}.{b}",
        f"{a}.{b}.{c}",
        f"{a}.{b}.{c}.{256 + d}",
        f"224.{a}.{b}.{c}",
        f"section {a % 9}.{b % 9}.{c % 9}.{d % 9}",
        f"{a}.{b}.{c}.{d}.{a}",
    ][rng.integers(10)]


def no_phone(rng):
    year, n = int(rng.integers(1900, 2030)), rng.integers(1, 100, 4)
    return [
        f"{year}-{n[0] % 12 + 1:02d}-{n[1] % 28 + 1:02d} {n[2] % 24:02d}:{n[3] % 60:02d}:00",
        f"{year}-{year + 5}",
        f"{n[0] % 28 + 1:02d}.{n[1] % 12 + 1:02d}.{year}",
        f"{n[0]},{n[1] + 100},{n[2] + 100}",
        f"ISBN 978-{n[0] % 10}-{n[1]:03d}-{n[2]:05d}-{n[3] % 10}",
        f"{n[0]}.{n[1]:03d}{n[2]:03d}{n[3]}",
        f"ABC-{n[0] + 200}-{n[1] + 200}-{n[2] + 2000}",
        f"0x{int(rng.integers(1 << 40)):010d}",
        f"{n[0] + 100}-{n[1] % 90 + 10}-{n[2] + 2000}",
        f"lines {n[0] + 1000000} to {n[1] + 9000000}",
    ][rng.integers(10)]


def no_secret(rng):
    return [
        "AKIA" + some(rng, CAPITALS, 8),
        "ghp_" + some(rng, LETTERS, 9),
        "-----BEGIN PUBLIC KEY-----",
        "hf_token",
        "npm_" + some(rng, LETTERS, 12),
        some(rng, LETTERS + DIGITS, 40),
    ][rng.integers(6)]


MAKERS = {
    "email": (email, no_email),
    "ip": (public_ip, no_ip),
    "card": (lambda rng: card(rng, valid=True), lambda rng: card(rng, valid=False)),
    "iban": (lambda rng: iban(rng, valid=True), lambda rng: iban(rng, valid=False)),
    "phone": (phone, no_phone),
    "secret": (secret, no_secret),
}


def framed(rng, make):
    values = [make(rng) for _ in range(EACH)]
    frames = [FRAMES[rng.integers(len(FRAMES))] for _ in values]
    return values, [frame.format(value) for frame, value in zip(frames, values, strict=True)]


@pytest.mark.parametrize("kind", MAKERS)
def test_precision_and_recall(kind):
    rng = np.random.default_rng(sum(map(ord, kind)))
    make, make_hard = MAKERS[kind]
    values, texts = framed(rng, make)
    _, hard = framed(rng, make_hard)
    found = find_personal_data(pl.Series(texts + hard))
    spans = {
        (d, texts[d].encode()[s:e].decode()) if d < EACH else (d, None)
        for d, k, s, e in found.rows()
        if k == kind
    }
    hits = sum((d, value) in spans for d, value in enumerate(values))
    wrong = len(spans) - hits

    assert set(MAKERS) == set(KINDS)
    assert hits / EACH >= 0.95, wilson(hits, EACH)
    assert hits / (hits + wrong) >= 0.98, wilson(hits, hits + wrong)


PIECES = (
    *("a", "b.c", "..", ".", "@", "@", "@site.org", "-", "_", "é", "+", "<", ">", " ", "site.org"),
    *(
        "x" * 62,
        "x" * 64,
        "@[192.0.2.1]",
        "@[192.0.2.256]",
        "com",
        "9",
        "!",
        "=",
        ".c-",
        ".-c",
        "\n",
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=20))
def test_the_kernel_finds_the_addresses_that_the_pattern_finds(pieces):
    raw = "".join(pieces).encode()
    slow: list[tuple[int, int, str]] = []
    for sign in re.finditer(b"@", raw):
        domain = KINDS["email"].pattern.match(raw, sign.start())
        place = domain and KINDS["email"].check(raw, *domain.span())
        if place:
            add_disjoint(slow, (*place, "email"))
    found = find_personal_data(pl.Series([raw.decode()])).filter(pl.col("kind") == "email")
    assert found.select("start", "end", "kind").rows() == slow

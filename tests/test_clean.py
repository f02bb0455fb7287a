"""Cleaning: edits that fit the text, merge in step order, and can be replayed without a step."""

import sys
from importlib.util import find_spec

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.clean import CLEANERS, EDIT_SCHEMA, CleanConfig, apply_edits, clean
from curate.errors import ConfigError, IntegrityError
from curate.text import mixed_mojibake

STEPS = tuple(s for s in CLEANERS if s != "repair_mojibake" or find_spec("ftfy"))
PIECES = [
    "ann@site.org",
    "8.8.8.8",
    "+44 20 7946 0958",
    "4111 1111 1111 1111",
    "GB82 WEST 1234 5698 7654 32",
    "cafÃ©",
    "donâ€™t",
    "中é😀",
    "Home | About | Login",
    "We use cookies on this site.",
    "https://é.org/a?b",
    "www.site.org",
    "Plain words.",
    "\n",
    "\r\n",
    " ",
    "@",
    ".",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def frame(*texts):
    return pl.DataFrame({"id": [f"d{i}" for i in range(len(texts))], "text": list(texts)})


def cleaned(text, *steps):
    documents = frame(text)
    return apply_edits(documents, clean(documents, steps)).item()


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        ("mask_pii", "Ann <ann@site.org>, 8.8.8.8", "Ann <<EMAIL>>, <IP>"),
        ("mask_pii", "é +44 20 7946 0958, é", "é <PHONE>, é"),
        ("mask_pii", "4111 1111 1111 1111 GB82 WEST 1234 5698 7654 32", "<CARD> <IBAN>"),
        ("mask_pii", "nothing here, 10.0.0.1", "nothing here, 10.0.0.1"),
        ("drop_boilerplate_lines", "Home | Shop | Login\nText.\nWe use cookies here.", "Text.\n"),
        ("drop_boilerplate_lines", "é\n\nSubscribe to our newsletter!\n\nText.", "é\n\n\nText."),
        ("drop_boilerplate_lines", "Contact\n-------\nText.", "Contact\n-------\nText."),
        ("repair_encoding", "Ã©tÃ© donâ€™t", "été don’t"),
        ("repair_encoding", "été", "été"),
    ],
)
def test_steps(step, text, expected):
    assert cleaned(text, step) == expected


@pytest.mark.parametrize("step", STEPS)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_edits_of_a_step_fit_the_text_and_do_not_overlap(step, texts):
    documents = frame(*texts)
    edits = clean(documents, [step])

    assert edits.schema == EDIT_SCHEMA
    assert edits["step"].is_in([step]).all()
    last = {}
    for document, _, start, end, replacement in edits.iter_rows():
        raw = texts[int(document[1:])].encode()
        assert last.get(document, 0) <= start < end <= len(raw)
        raw[:start].decode(), raw[start:end].decode()  # raises where a character is cut
        assert raw[start:end] != replacement.encode()
        last[document] = end


@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_no_edits_change_nothing(texts):
    documents = frame(*texts)
    none = clean(documents, [])

    assert none.schema == EDIT_SCHEMA
    assert none.height == 0
    assert apply_edits(documents, none).to_list() == texts


@given(texts=st.lists(TEXTS, min_size=1, max_size=4), left_out=st.sampled_from(STEPS))
@settings(max_examples=60, deadline=None)
def test_leaving_a_step_out_replays_the_other_edits(texts, left_out):
    documents = frame(*texts)
    others = [step for step in STEPS if step != left_out]
    replayed = clean(documents, STEPS).filter(pl.col("step") != left_out)

    assert replayed.equals(clean(documents, others))
    assert apply_edits(documents, replayed).equals(apply_edits(documents, clean(documents, others)))


def test_the_earlier_step_wins_an_overlap_and_the_later_one_comes_back():
    text = "Enter your e-mail: ann@site.org\nText."
    both = clean(frame(text), ["drop_boilerplate_lines", "mask_pii"])
    masked_first = clean(frame(text), ["mask_pii", "drop_boilerplate_lines"])

    assert both["step"].to_list() == ["drop_boilerplate_lines", "mask_pii"]
    assert apply_edits(frame(text), both).item() == "Text."
    assert apply_edits(frame(text), masked_first).item() == "Enter your e-mail: <EMAIL>\nText."
    only_mask = both.filter(pl.col("step") == "mask_pii")
    assert apply_edits(frame(text), only_mask).item() == "Enter your e-mail: <EMAIL>\nText."


def test_repair_leaves_room_for_other_steps():
    assert cleaned("cafÃ© of ann@site.org", *STEPS) == "café of <EMAIL>"


def test_edits_are_sorted_by_document_then_step_then_start():
    documents = frame("b@site.org cafÃ© a@site.org", "no", "x@site.org donâ€™t")
    edits = clean(documents, ["mask_pii", "repair_encoding"])

    assert edits.select("id", "step", "start").rows() == [
        ("d0", "mask_pii", 0),
        ("d0", "mask_pii", 19),
        ("d0", "repair_encoding", 14),
        ("d2", "mask_pii", 0),
        ("d2", "repair_encoding", 14),
    ]


def test_documents_of_other_parts_are_ignored_and_order_is_kept():
    documents = frame("a@site.org", "plain", "b@site.org")
    edits = clean(documents, ["mask_pii"])

    assert apply_edits(documents[::-1], edits).to_list() == ["<EMAIL>", "plain", "<EMAIL>"]
    assert apply_edits(documents[1:2], edits).to_list() == ["plain"]
    assert apply_edits(documents.clear(), edits).to_list() == []


@pytest.mark.parametrize(("start", "end"), [(0, 99), (-1, 1), (3, 2), (0, 1), (1, 2)])
def test_edits_of_another_text_are_refused(start, end):
    edits = pl.DataFrame([("d0", "mask_pii", start, end, "")], schema=EDIT_SCHEMA, orient="row")

    with pytest.raises(IntegrityError, match="belong to another text"):
        apply_edits(frame("éé"), edits)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (("mask_pi",), "unknown cleaning step 'mask_pi'; did you mean 'mask_pii'"),
        (("mask_pii", "mask_pii"), "'mask_pii' is given twice"),
    ],
)
def test_faulty_steps_are_named(steps, message):
    with pytest.raises(ConfigError, match=message):
        CleanConfig(steps=steps)
    with pytest.raises(ConfigError, match=message):
        clean(frame("a"), steps)


def test_many_edits_in_one_document_take_no_quadratic_time():
    text = "ann@site.org\n" * 20_000

    assert cleaned(text, "mask_pii") == "<EMAIL>\n" * 20_000


def test_web_addresses_are_taken_out_and_nothing_else():
    text = "É see http://a.org/é?x=1#y, <www.site.org> or HTTPS://B.com; not http: or www."

    assert cleaned(text, "strip_urls") == "É see  <> or ; not http: or www."


NO_FTFY = pytest.mark.skipif(not find_spec("ftfy"), reason="needs the extra `repair`: skipped")


@NO_FTFY
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\nThe Mona Lisa doesnÃƒÂ¢Ã¢â€šÂ¬Ã¢â€žÂ¢t.\né", "one\nThe Mona Lisa doesn’t.\né"),
        ("voilÃ  le travail Ã  faire", "voilà le travail à faire"),
        ("‚Äúhello‚Äù she said", "“hello” she said"),
        ("Ã© " * 3_000 + "end", "é " * 3_000 + "end"),
        ("plain", "plain"),
        ("été, naïve, 中文, Ελλάδα, €5", "été, naïve, 中文, Ελλάδα, €5"),
        ("ÀÌ±Û·ç½º¿¡¼\xadµµ ´ÙÀ½ Á¡°Ë¶§ºÎÅÍ", "ÀÌ±Û·ç½º¿¡¼\xadµµ ´ÙÀ½ Á¡°Ë¶§ºÎÅÍ"),
        ("cďż˝ este totuna", "cďż˝ este totuna"),
    ],
)
def test_mojibake_of_any_code_page_is_undone_where_all_of_it_goes(text, expected):
    assert cleaned(text, "repair_mojibake") == expected


@NO_FTFY
def test_a_repaired_line_leaves_room_for_other_steps():
    text = "Ask Ã©mile: ann@site.org, doesnâ€™t cost â‚¬5, see https://a.org/b"

    edits = clean(frame(text), ["repair_mojibake", "strip_urls", "mask_pii"])

    assert edits["step"].value_counts().sort("step").rows() == [
        ("mask_pii", 1),
        ("repair_mojibake", 3),
        ("strip_urls", 1),
    ]
    assert apply_edits(frame(text), edits).item() == "Ask émile: <EMAIL>, doesn’t cost €5, see "


def test_a_step_whose_extra_is_missing_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "ftfy", None)
    mixed_mojibake._ftfy.cache_clear()

    with pytest.raises(ConfigError, match=r"pip install 'curate-corpus\[repair\]'"):
        clean(frame("é"), ["repair_mojibake"])

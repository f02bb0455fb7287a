"""The report: what it shows, what it says where nothing is, and what it must never do."""

import json
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from report_fixture import SCRIPT, write_run
from rich.console import Console

from curate.errors import InputError
from curate.report import markdown, summary, write_report
from curate.report.charts import bars, forest, lines
from curate.report.findings import MISSING, UNMEASURED, kept_said, sentences, tiles
from curate.report.shapes import NARROW, WIDE, About, Axis, Bar, ForestRow, Line, Point
from curate.report.tables import read_run

ABOUT = About(title="t", description="d")
HOSTILE = "<img src=//elsewhere.example/x onerror=alert(1)>"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("runs") / "demo")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(run_folder):
    return (run_folder / "report.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every start tag with its attributes, and all text outside of styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self._open = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_data(self, data):
        if "style" not in self._open[-1:]:
            self.text.append(data)

    def attributes(self, *names):
        return [value for _, attrs in self.tags for name, value in attrs.items() if name in names]


def charts_of(page):
    return re.findall(r'<svg role="img".*?</svg>', page, flags=re.DOTALL)


def dot(drawn):
    return [float(x) for x in re.findall(r'<circle class="dot" cx="([\d.]+)"', drawn)]


def numbers_in(drawn, names=("x", "x1", "x2", "cx", "width")):
    return [float(v) for name in names for v in re.findall(rf'(?<!\w){name}="([-\d.]+)"', drawn)]


# ── the page ─────────────────────────────────────────────────────────────────────────────────


def test_every_chart_says_what_it_shows(page):
    """At least five charts; each is well-formed, with a title, a description and axis words."""
    drawn = [ElementTree.fromstring(chart) for chart in charts_of(page)]
    titles = {chart.findtext("title") for chart in drawn}

    assert len(titles) >= 8
    assert all(chart.findtext("desc") for chart in drawn)
    assert all(chart.findall(".//text[@class='label']") for chart in drawn)


def test_every_figure_has_caption_and_numbers(page):
    """A caption with n or the level of its intervals, and the table behind the chart."""
    figures = re.findall(r"<figure>.*?</figure>", page, flags=re.DOTALL)

    assert len(figures) >= 8
    for figure in figures:
        caption = re.search(r"<figcaption>(.*?)</figcaption>", figure, flags=re.DOTALL).group(1)
        assert "n = " in caption
        assert "interval" in caption
        assert "<table" in figure.partition("<details")[2]


def test_page_loads_nothing_and_runs_nothing(page):
    """No scripts, no handlers, and no address but anchors of the page itself."""
    found = Elements(page)

    assert not {"script", "iframe", "img", "link", "object"} & {tag for tag, _ in found.tags}
    assert all(address.startswith("#") for address in found.attributes("src", "href", "action"))
    assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
    assert not re.search(r"url\(|@import", page)


def test_script_in_a_document_is_shown_as_text(page):
    """A removed document that holds markup is quoted, not executed."""
    assert SCRIPT not in page
    assert SCRIPT in "".join(Elements(page).text)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("funnel", "step"),
        ("controls/scoreboard", "kind"),
        ("audit/impact", "group"),
        ("audit/impact", "step"),
        ("scaling/multipliers", "contrast"),
        ("scaling/multipliers", "conclusion"),
        ("proxies/runs", "eval_set"),
        ("proxies/runs", "arm"),
        ("examples", "reason"),
        ("examples", "source"),
        ("rules", "source"),
        ("shown", "set"),
    ],
)
def test_names_are_escaped_wherever_they_stand(tmp_path, table, column):
    """Names come from data: markup in them reaches the page and the terminal as text."""
    folder = write_run(tmp_path / "run")
    path = folder / f"{table}.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(pl.lit(HOSTILE).alias(column)).write_parquet(path)
    html, _ = write_report(folder)
    found = Elements(html.read_text(encoding="utf-8"))

    assert "img" not in {tag for tag, _ in found.tags}
    assert "elsewhere" in "".join(found.text)
    assert "<img" not in markdown(folder)


def test_verdicts_of_noisy_and_clean_text_lead_the_page(page):
    """The headline is the only h1; the verdict on the clean text alone follows it."""
    head = page.partition("<main>")[0]

    assert head.count("<h1>") == 1
    assert head.index("1.57 [1.42, 1.75]") < head.index("1.03 [0.97, 1.10]")


@pytest.mark.parametrize(
    ("table", "section"),
    [
        ("funnel.parquet", "funnel"),
        ("controls/scoreboard.parquet", "controls"),
        ("audit/impact.parquet", "groups"),
        ("scaling/multipliers.parquet", "worth"),
        ("examples.parquet", "examples"),
        ("rules.parquet", "rules"),
    ],
)
def test_missing_table_is_explained(tmp_path, table, section):
    """Where a stage did not run its section says so, and only then."""
    folder = write_run(tmp_path / "run")
    before = write_report(folder)[0].read_text(encoding="utf-8")
    (folder / table).unlink()
    after = write_report(folder)[0].read_text(encoding="utf-8")
    words = MISSING[section]

    assert words not in "".join(Elements(before).text)
    assert words in "".join(Elements(after).text)


def test_empty_folder_has_a_page_of_explanations(tmp_path):
    """Nothing ran: the page and the terminal still come, and say so."""
    text = "".join(Elements(write_report(tmp_path)[0].read_text(encoding="utf-8")).text)

    assert all(words in text for words in MISSING.values())
    assert UNMEASURED in markdown(tmp_path)


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        write_report(tmp_path / "nowhere")


def test_run_without_measure_stage(tmp_path):
    """Charts of the curation stay; what it was worth is said to be unknown."""
    folder = write_run(tmp_path / "run", measure=False)
    page = write_report(folder)[0].read_text(encoding="utf-8")

    assert len(charts_of(page)) >= 8
    assert MISSING["worth"] in page.replace("&#39;", "'")


# ── the JSON twin ────────────────────────────────────────────────────────────────────────────


def test_json_depends_on_the_tables_alone(tmp_path, run_folder):
    """Another folder, other paths, other times: the same bytes."""
    other = write_run(tmp_path / "elsewhere")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["stages"]["measure"]["seconds"] = 999.0
    (other / "manifest.json").write_text(json.dumps(manifest))
    (other / "config.toml").write_text('seed = 17\n[input]\npath = "/other"\n')
    written = write_report(other)[1].read_bytes()

    assert written == (run_folder / "report.json").read_bytes()
    assert b"secret" not in written
    assert b"seconds" not in written


def test_json_has_no_nan(tmp_path):
    """Unknown numbers are null: any JSON parser can read the file."""
    folder = write_run(tmp_path / "run")
    path = folder / "audit/impact.parquet"
    pl.read_parquet(path).with_columns(q=pl.lit(math.nan), p=pl.lit(math.inf)).write_parquet(path)
    text = write_report(folder)[1].read_text(encoding="utf-8")

    assert json.loads(text, parse_constant=pytest.fail)["impact"][0]["q"] is None


def test_reasons_count_native_documents_only(tmp_path):
    """A document counts for each rule it fails, alone only where it fails one; no controls."""
    home = tmp_path / "verdicts"
    home.mkdir()
    frame = pl.DataFrame(
        {
            "control": [None, None, None, "exact_copy"],
            "failed": [["a.x"], ["a.x", "b.y"], [], ["a.x"]],
            "kept": [False, False, True, False],
        }
    )
    frame.write_parquet(home / "part-00000.parquet")
    run = read_run(tmp_path)

    assert run.native == 3
    assert run.reasons.rows() == [("a.x", 2, 1), ("b.y", 1, 0)]


def test_only_canaries_count_as_lost(tmp_path):
    """Near copies below the threshold must be kept too, but they are no known-good texts."""
    folder = write_run(tmp_path / "run")
    path = folder / "controls/scoreboard.parquet"
    board = pl.read_parquet(path)
    loose = board.filter(kind="canary").with_columns(kind=pl.lit("near_copy, jaccard < 0.8"))
    pl.concat([board, loose]).write_parquet(path)
    details = {tile.label: tile.detail for tile in tiles(read_run(folder))}

    assert details["planted defects caught"] == "1 of 120 canaries lost"


# ── verdict sentences ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sentence", "claim", "scope"),
    [
        ("It is 1.5 [1.4, 1.6] (n-grams, 1 M)", "It is 1.5 [1.4, 1.6]", "n-grams, 1 M"),
        ("None (≥ 2 seen): 1.0 (n-grams; 4 sets).", "None (≥ 2 seen): 1.0", "n-grams; 4 sets"),
        ("cannot tell: no neutral set", "cannot tell: no neutral set", ""),
    ],
)
def test_scope_is_set_apart_from_the_claim(tmp_path, sentence, claim, scope):
    (tmp_path / "scaling").mkdir()
    stored = [{"sentence": sentence, "conclusion": "worth", "headline": True}]
    (tmp_path / "scaling/verdicts.json").write_text(json.dumps(stored))
    (found,) = sentences(read_run(tmp_path))

    assert (found.claim, found.scope) == (claim, scope)


def test_only_the_headline_and_the_clean_text_lead(tmp_path):
    """The verdicts of all other contrasts stay in the table."""
    (tmp_path / "scaling").mkdir()
    cell = {"family": "kneser_ney", "size": "order3", "conclusion": "worth"}
    stored = [
        cell | {"contrast": "raw → curated", "sentence": "first", "headline": True},
        cell | {"contrast": "raw → random", "sentence": "other", "headline": False},
        cell | {"contrast": "oracle → curated_oracle", "sentence": "clean", "headline": False},
        cell
        | {
            "contrast": "oracle → curated_oracle",
            "sentence": "small",
            "size": "order2",
            "headline": False,
        },
    ]
    (tmp_path / "scaling/verdicts.json").write_text(json.dumps(stored))

    assert [found.sentence for found in sentences(read_run(tmp_path))] == ["first", "clean"]


def test_headline_without_evaluation_set(tmp_path):
    """The experiment's own "cannot tell" reaches the page, with no chart of nothing."""
    folder = write_run(tmp_path / "run")
    (folder / "proxies/runs.parquet").unlink()
    path = folder / "scaling/multipliers.parquet"
    empty = {"family": None, "size": None, "n_tokens": None, "estimate": None, "low": None}
    empty |= {"high": None, "confidence": None, "reached": False, "decisive": True}
    words = "cannot tell: no neutral evaluation set"
    head = pl.read_parquet(path).filter("headline")
    columns = [pl.lit(value, head[name].dtype).alias(name) for name, value in empty.items()]
    head.with_columns(*columns, conclusion=pl.lit(words)).write_parquet(path)
    stored = [{"sentence": f"raw → curated: {words}", "headline": True, "conclusion": words}]
    (folder / "scaling/verdicts.json").write_text(json.dumps(stored))
    page = write_report(folder)[0].read_text(encoding="utf-8")

    assert f"<h1>raw → curated: {words}</h1>" in page
    assert "Tokens that each change is worth" not in page


# ── terminal and Markdown ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [80, 100])
def test_summary_fits_the_terminal(run_folder, width):
    """Funnel, controls, flags, verdicts and the page's path, in plain text of the given width."""
    console = Console(width=width)
    with console.capture() as captured:
        console.print(summary(run_folder))
    text = captured.get()

    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    flat = " ".join(text.split())
    for words in (
        "technical_prose",
        "20,118",
        "exact copy",
        "3.40 [2.40, 4.82]",
        "1.57 [1.42, 1.75]",
    ):
        assert words in flat
    assert "report.html" in "".join(text.split())


@pytest.mark.parametrize(("steps", "said"), [("[]", True), ('["mask_pii"]', False)])
def test_personal_data_that_stays_names_what_masks_it(tmp_path, steps, said):
    folder = write_run(tmp_path / "run")
    (folder / "config.toml").write_text(f"[clean]\nsteps = {steps}\n")

    assert ("2 of 60 planted texts with personal data stay" in markdown(folder)) is said


@pytest.mark.parametrize(
    ("reasons", "said"), [(4, " and 1 other reason."), (5, " 2 other reasons.")]
)
def test_reasons_beyond_three_are_counted(tmp_path, reasons, said):
    folder = write_run(tmp_path / "run")
    rows = pl.read_parquet(folder / "quarantine/part-00000.parquet")
    names = [f"reason {k}" for k in range(reasons)]
    again = pl.concat([rows.head(1).with_columns(reason=pl.lit(name)) for name in names])
    again.write_parquet(folder / "quarantine/part-00000.parquet")

    assert kept_said(read_run(folder)).endswith(said)


def test_summary_says_that_nothing_was_flagged(tmp_path):
    folder = write_run(tmp_path / "run")
    path = folder / "audit/impact.parquet"
    pl.read_parquet(path).with_columns(state=pl.lit("no flag")).write_parquet(path)
    console = Console(width=100)
    with console.capture() as captured:
        console.print(summary(folder))

    assert "Audit: no flags in 36 tests" in markdown(folder)
    assert "No group was flagged." in captured.get()


def test_a_filter_that_removes_good_text_is_warned_of(tmp_path):
    folder = write_run(tmp_path / "run")
    before = markdown(folder)
    path = folder / "controls/scoreboard.parquet"
    lost = {"caught": 60, "low": 0.41, "high": 0.59}
    canary = pl.col("kind") == "canary"
    board = pl.read_parquet(path).with_columns(
        pl.when(canary).then(pl.lit(value)).otherwise(name).alias(name)
        for name, value in lost.items()
    )
    board.write_parquet(path)

    assert "known-good documents (canaries) were removed" not in before
    assert "60 of 120 known-good documents (canaries) were removed" in markdown(folder)


def test_markdown_cells_hold_pipes(tmp_path):
    """A group named `a|b` stays one cell."""
    folder = write_run(tmp_path / "run")
    path = folder / "audit/impact.parquet"
    pl.read_parquet(path).with_columns(group=pl.lit("a|b")).write_parquet(path)
    row = next(line for line in markdown(folder).splitlines() if "a\\|b" in line)

    assert len(re.findall(r"(?<!\\)\|", row)) == 8


# ── charts ───────────────────────────────────────────────────────────────────────────────────


def test_bars_are_as_long_as_their_values():
    """Widths are proportional to values, the solid part to the part."""
    rows = [Bar(label="a", value=10, part=5), Bar(label="b", value=20, part=0)]
    drawn = bars(rows, axis=Axis(label="n", low=0, high=20), about=ABOUT)
    widths = [float(w) for w in re.findall(r'<rect class="bar \w+"[^>]* width="([\d.]+)"', drawn)]

    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    assert widths[2] == pytest.approx(2 * widths[0], abs=0.2)
    assert widths[3] == 0


def test_forest_is_logarithmic():
    """Equal ratios are equally far apart."""
    rows = [ForestRow(label="r", estimate=m, low=m, high=m) for m in (1.0, 2.0, 4.0)]
    axis = Axis(label="ratio", low=0.5, high=8, log=True)
    first, second, third = dot(forest(rows, axis=axis, about=ABOUT))

    assert third - second == pytest.approx(second - first, abs=0.2)


@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    ("low", "estimate", "high", "bound"),
    [
        (0.0, 1.0, math.inf, ""),
        (0.001, 0.002, 900.0, ""),
        (None, 99.0, None, "≥"),
        (None, 0.01, None, "≤"),
        (None, 1.0, None, ""),
    ],
)
def test_extreme_estimates_stay_inside_the_chart(layout, low, estimate, high, bound):
    """Zero, infinite and absent ends are drawn at the edge of the axis, never outside."""
    row = ForestRow(label="x" * 90, estimate=estimate, low=low, high=high, bound=bound)
    axis = Axis(label="ratio", low=0.5, high=2, log=True)
    drawn = forest([row], axis=axis, about=ABOUT, layout=layout)

    assert all(0 <= value <= layout.width for value in numbers_in(drawn))
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_lines_show_bands_only_where_known():
    """A curve of one replicate has no band."""
    banded = (Point(x=1, y=1, low=0, high=2), Point(x=2, y=1, low=0, high=2))
    known = Line(label="a", style=0, points=banded)
    alone = Line(label="b", style=1, points=(Point(x=1, y=1), Point(x=2, y=2)))
    across, up = Axis(label="tokens", low=1, high=2, log=True), Axis(label="loss", low=0, high=2)
    drawn = lines([known, alone], across=across, up=up, about=ABOUT, size=(300, 200))

    assert re.findall(r'class="band (s\d)"', drawn) == ["s0"]


# ── in a browser ─────────────────────────────────────────────────────────────────────────────

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
# The network log marks what a page itself asks for; the browser's own calls bear other marks.
PAGE_REQUEST = re.compile(r'"traffic_annotation":101845102,"url":"((?:https?|file):[^"]*)"')


def browse(path: Path, folder: Path) -> tuple[str, set[str]]:
    """The document as the browser sees it, and the addresses that the page asked for."""
    log = folder / f"{path.stem}-net.json"
    flags = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
        "disable-component-update disable-sync virtual-time-budget=2000 dump-dom"
    )
    command = [CHROMIUM, *(f"--{flag}" for flag in flags.split())]
    command += [f"--user-data-dir={folder / path.stem}", f"--log-net-log={log}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, set(PAGE_REQUEST.findall(log.read_text(encoding="utf-8")))


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium browser, not found: skipped")
def test_page_opens_in_a_browser_and_asks_for_nothing(tmp_path, run_folder):
    """The charts are there, markup in documents is text, and no request leaves the page."""
    control = tmp_path / "control.html"
    control.write_text('<img src="http://elsewhere.example/x.png">')
    _, asked = browse(control, tmp_path)
    if "http://elsewhere.example/x.png" not in asked:
        pytest.skip("this Chromium's network log does not show a page's requests: skipped")
    document, asked = browse(run_folder / "report.html", tmp_path)

    assert asked == set()
    assert document.count('<svg role="img"') >= 5
    assert "<script" not in document
    assert SCRIPT in "".join(Elements(document).text)

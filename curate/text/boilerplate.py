"""Lines that are part of a web page's frame and not of its text, told by their words.

Three kinds of lines are known, all without regard to case:

- *notices*: consent banners, newsletter and account prompts, social links, links to policies
  (but no copyright lines: those are attribution, and licences consist of them);
- *menus*: two or more menu entries, set apart by `|`, `·`, `>` or the like;
- *entries*: one menu entry that is the whole line.

The words are English. A heading such as "Contact" in a README is an entry too, so that only
shares of such lines mean anything. Lines that are hardly ever text are called *removable*:
notices, and menus of three entries or more. Longer lines than `LONGEST_LINE_BYTES` are text.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import polars as pl

from curate.text.keywords import Keywords, keywords, lines_with

LONGEST_LINE_BYTES = 240

_ENTRIES = """
home|homepage|about|about us|contact|contact us|search|menu|main menu|navigation|site ?map|faqs?
help|help cent(?:er|re)|support|careers|jobs|press|advertise|advertise with us|newsletters?|news
blog|events|shop|store|products|services|pricing|plans|features|solutions|resources|gallery
forums?|community|log ?in|log ?out|sign ?in|sign ?up|sign ?out|register|subscribe|join|join now
join us|my account|account|cart|basket|checkout|view cart|add to (?:cart|basket)|wish ?list
buy now|order now|shop now|next|previous|prev|older posts|newer posts|next (?:post|page)
previous (?:post|page)|load more|show more|see more|view all|see all|read more|learn more
find out more|continue reading|more|share|tweet|like|follow|print|e-?mail|comments?
leave a (?:reply|comment)|reply|report|save|close|facebook|twitter|instagram|linkedin|youtube
pinterest|whatsapp|reddit|tiktok|rss(?: feed)?|related (?:posts|articles|stories|products)
popular (?:posts|articles)|recent (?:posts|comments)|most (?:read|popular)|trending(?: now)?
latest(?: news)?|top stories|categories|tags|archives?|topics|sports?|politics|business
technology|entertainment|lifestyle|opinion|weather|videos?|photos|travel|health|world|local
money|culture|women|men|kids|sale|new in|brands|gifts|privacy(?: policy| notice)?
cookies?(?: policy| settings| preferences)?|terms(?: of use| of service)?|terms (?:and|&) conditions
legal(?: notice)?|imprint|accessibility|disclaimer|back to top|top|skip|my profile|profile
settings|dashboard|notifications|messages|download(?: app)?|get the app|language|english|deutsch
français|español
"""

_NOTICES = (
    r"\b(?:uses?|using|store|sets?|accept|reject|allow|decline|manage|refuse)\b.*\bcookies\b",
    r"\b(?:necessary|essential|functional|marketing|analytics|advertising)\b.*\bcookies\b",
    r"\bcookies?\b.*\b(?:policy|preferences|consent|experience|notice|personali[sz]e)",
    r"\bcookies?\b.*\b(?:necessary|improve|analy[sz]e|collect|partners|disabled|enabled)",
    r"\bby (?:continuing|using|browsing|clicking|signing|subscribing)\b.*\b(?:site|agree)\b",
    r"\b(?:accept|reject|allow) all(?: cookies| and\b|\W*$)",
    r"\bmanage (?:your |my )?(?:preferences|choices|consent|settings)",
    r"\byour (?:privacy|consent|choices?)\b.*\b(?:matters?|important|settings|at any time)",
    r"\blegitimate interest",
    r"\bpersonali[sz]ed (?:ads|content|advertising)",
    r"\bthird[- ]party (?:vendors|partners|cookies)",
    r"\btracking technologies",
    r"\bnewsletters?\b",
    r"\b(?:subscribe|sign up|signup|join)\b.*\b(?:mailing list|updates|inbox|offers|alerts)",
    r"\b(?:enter|submit) your e-?mails?\b|\byour e-?mail address\b",
    r"\bno spam\b",
    r"\bunsubscribe\b.*\b(?:any ?time|whenever)",
    r"\b(?:follow|find|connect with|watch) us on\b|\bfollow us\b",
    r"\bshare (?:this|on|via)\b.*\b(?:post|page|article|story|facebook|e-?mail|friends?)",
    r"\bfacebook\b\W+\b(?:x|twitter|instagram|linkedin|youtube|pinterest)\b",
    r"\btwitter\b\W+\b(?:facebook|instagram|linkedin|youtube|pinterest)\b",
    r"\bprivacy (?:policy|notice|statement|settings)\b",
    r"\bterms of (?:use|service|sale)\b",
    r"\bpowered by (?:wordpress|drupal|joomla|shopify|blogger|squarespace|wix)",
    r"\bskip to (?:the )?(?:main )?(?:content|navigation)|\bback to (?:the )?top\b",
    r"\b(?:log|sign) in to\b.*\b(?:account|continue|comment|view|see|read|your)",
    r"\balready (?:have an account|a member|a subscriber)|^\W*already registered\?",
    r"\bcreate (?:an|your|a free) (?:account|profile)",
    r"\bforgot(?:ten)? (?:your )?(?:password|username)",
    r"\bremember me\b|\bkeep me (?:signed|logged) in",
    r"\b(?:enable|turn on|requires?)\b.*\bjavascript\b|\bjavascript is (?:dis|en)abled",
    r"\byour (?:shopping )?(?:cart|basket|bag)\b",
    r"\bfree (?:shipping|delivery|returns)\b",
    r"\badd(?:ed)? to (?:your )?(?:cart|basket|bag|wish ?list)",
    r"\bcustomers? (?:who bought|also (?:bought|viewed))",
    r"\bbe the first to (?:comment|like|review|share)",
    r"\b\d+ (?:comments|likes|shares|views|followers|reviews|replies)\s*$",
    r"\b\d+ min(?:ute)?s? read\b",
    r"\b(?:download|get) (?:our|the) (?:free )?app\b|\bon the app ?store\b",
    r"\byou (?:may|might) also like\b",
    r"\bmore from this\b|\bmore stories\b|\bread more\s*(?:\.\.\.|…|»|›|→)?\s*$",
    r"\brecommended for you\b",
    r"^\W*sponsored\b",
    r"^\W*advertisement\W*$",
    r"\b(?:select|choose|change) your (?:language|country|region|currency|location|store)\b",
    r"^\W*page \d+ of \d+\b",
    r"\bshowing \d+\s*[-–]\s*\d+ of",
    r"\b(?:update|upgrade) your browser\b|\bbrowser is (?:out of date|not supported)",
    r"\bopens in (?:a )?new (?:window|tab)\b",
    r"\bcustomer (?:support|service|care)\b",
)
_ENTRY = "(?:" + _ENTRIES.strip().replace("\n", "|") + ")"
_SEPARATOR = r"(?:[ \t]*[|·•›»>/–—-][ \t]*|[ \t]*::[ \t]*|\t+| {2,})"
_AROUND = r"[ \t]*(?:[-*•·»›>+][ \t]*)?", r"[ \t]*[!:.…»›>→]*\s*"
_FRAME = rf"(?i)^{_AROUND[0]}{_ENTRY}(?:{_SEPARATOR}{_ENTRY})*{_AROUND[1]}$"
_MENU = rf"(?i)^{_AROUND[0]}{_ENTRY}(?:{_SEPARATOR}{_ENTRY}){{2,}}{_AROUND[1]}$"


def _any_of(patterns: Iterable[str]) -> str:
    # Word bounds that know ASCII letters alone: with Unicode ones the engine leaves its automaton.
    joined = "|".join(patterns).replace(r"\b", r"(?-u:\b)").replace(r"\W", "[^a-zA-Z0-9_]")
    return f"(?i){joined}"


# What holds `.*` multiplies the states of the automaton, hence by itself.
_NOTICES_ACROSS = _any_of(notice for notice in _NOTICES if ".*" in notice)
_NOTICES_WITHIN = _any_of(notice for notice in _NOTICES if ".*" not in notice)
# A line that fits a pattern holds one of these words, one word of each set of a combination, or
# menu words alone.
_ENOUGH = """
cookie cookies subscribe signup join manage legitimate personalized personalised tracking
newsletter newsletters spam unsubscribe facebook twitter forgot forgotten javascript cart basket
bag comments likes shares views followers reviews replies app appstore sponsored advertisement
showing browser
"""
_COMBINATIONS = """
continuing|using|browsing|clicking|signing|subscribing & by & site|agree
all & accept|reject|allow
privacy|consent|choice|choices & your
party & third
sign & up
email|emails|mail|mails & your
us & follow|find|connect|watch
share & this|on|via
privacy & policy|notice|statement|settings
terms & of & use|service|sale
powered & by
skip & to
back & to & top
log|sign & in & to
already & have|a|registered
create & an|your|a
me & remember|keep
free & shipping|delivery|returns
add|added & to
customer|customers & who|also|support|service|care
first & be & the & to
read & min|mins|minute|minutes|more
also & like
more & stories
more & this & from
recommended & for & you
select|choose|change & your & language|country|region|currency|location|store
page & of
opens & in & new
"""
_FIRST_MENU_WORDS = """
about accessibility account add advertise archive archives back basket blog brands business buy
careers cart categories checkout close comment comments community contact continue cookie cookies
culture dashboard deutsch disclaimer download e email english entertainment espa events facebook
faq faqs features find follow forum forums fran gallery get gifts health help home homepage imprint
instagram jobs join kids language latest learn leave legal lifestyle like linkedin load local log
login logout main men menu messages money more most my navigation new newer news newsletter
newsletters next notifications older opinion order photos pinterest plans politics popular press
prev previous pricing print privacy products profile read recent reddit register related reply
report resources rss sale save search see services settings share shop show sign signin signout
signup site sitemap skip solutions sport sports store subscribe support tags technology terms
tiktok top topics travel trending tweet twitter video videos view weather whatsapp wish wishlist
women world youtube
"""
_FURTHER_MENU_WORDS = """
a ais all and app articles center centre conditions feed in list mail map notice now of ol out page
policy post posts preferences reading service stories the to up us use with
"""


def frame_lines(text: pl.Series) -> pl.DataFrame:
    r"""The lines that belong to a page's frame.

    Args:
        text: String column without nulls.

    Returns:
        `document` UInt32 (row of `text`), `start` Int64 (byte offset of the line), `line` String,
        `removable` Boolean, in the order of the text.

    >>> page = "Home | About us | Login\nWe use cookies on this site.\n\nContact\nA sentence."
    >>> frame_lines(pl.Series([page])).select("start", "removable").rows()
    [(0, True), (24, True), (54, False)]
    """
    lines = lines_with(text, _sieve(), longest_bytes=LONGEST_LINE_BYTES)[0]
    return _judged(lines).select("document", "start", "line", "removable")


def _judged(lines: pl.DataFrame) -> pl.DataFrame:
    """Those lines that are of a frame, and whether they are removable."""
    line = lines["line"].unique(maintain_order=True)  # lines of frames come again and again
    notice = line.str.contains(_NOTICES_WITHIN) | line.str.contains(_NOTICES_ACROSS)
    entry = _only(line, _FRAME, among=~notice)
    menu = _only(line, _MENU, among=entry)
    frame = pl.DataFrame({"line": line, "removable": notice | menu}).filter(notice | entry)
    return lines.join(frame, on="line", maintain_order="left")


def frame_line_fraction(text: pl.Series) -> pl.Series:
    r"""Share of a document's non-blank lines that belong to a page's frame; 0 without lines.

    Args:
        text: String column without nulls.

    Returns:
        Float64, one value a document.

    >>> frame_line_fraction(pl.Series(["Login\nRegister\nA sentence.\nOne more.", ""])).to_list()
    [0.5, 0.0]
    """
    lines, solid = lines_with(text, _sieve(), longest_bytes=LONGEST_LINE_BYTES)
    found = np.bincount(_judged(lines)["document"].to_numpy(), minlength=len(text))
    return pl.Series(found / np.maximum(solid, 1))


@cache
def _sieve() -> Keywords:
    combinations = ["|".join(_ENOUGH.split()), *_COMBINATIONS.strip().split("\n")]
    return keywords(
        combinations, first=_FIRST_MENU_WORDS.split(), further=_FURTHER_MENU_WORDS.split()
    )


def _only(lines: pl.Series, pattern: str, *, among: pl.Series) -> pl.Series:
    """Which lines match, asked of some of them alone; Boolean."""
    rows = among.arg_true()
    matches = lines.gather(rows).str.contains(pattern)
    none = pl.repeat(False, len(lines), dtype=pl.Boolean, eager=True)
    return none.scatter(rows, matches) if len(rows) else none

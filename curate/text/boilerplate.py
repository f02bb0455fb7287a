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

from functools import cache

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
    r"\b(?:uses?|using|store|sets?|accept|reject|allow|decline|manage|refuse)\b.*\bcookies",
    r"\b(?:necessary|essential|functional|marketing|analytics|advertising)\b.*\bcookies",
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
    r"\b(?:enter|submit) your e-?mail|\byour e-?mail address\b",
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
    r"\b(?:enable|turn on|requires?)\b.*\bjavascript|\bjavascript is (?:dis|en)abled",
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
# Word bounds that know ASCII letters alone: with Unicode ones the engine leaves its automaton.
_NOTICE = "(?i)" + "|".join(_NOTICES).replace(r"\b", r"(?-u:\b)").replace(r"\W", "[^a-zA-Z0-9_]")
# A line that fits a pattern holds one of these words, or begins with one of an entry's first words.
_WORDS = """
agree site cookie cookies accept reject allow manage privacy consent choice choices legitimate
personalized personalised third tracking newsletter newsletters mailing updates inbox offers
alerts email emails mail mails spam unsubscribe us share facebook twitter terms powered skip top
log sign account member subscriber registered profile forgot forgotten remember keep javascript
cart basket bag shipping delivery returns wish wishlist customer customers first comments likes
shares views followers reviews replies read app appstore also more stories recommended sponsored
advertisement language country region currency location store page showing browser opens
"""
_FIRST_WORDS = """
home homepage about contact search menu main navigation site sitemap faq faqs help support careers
jobs press advertise newsletter newsletters news blog events shop store products services pricing
plans features solutions resources gallery forum forums community log login logout sign signin
signup signout register subscribe join my account cart basket checkout view add wish wishlist buy
order next previous prev older newer load show see read learn find continue more share tweet like
follow print e email comment comments leave reply report save close facebook twitter instagram
linkedin youtube pinterest whatsapp reddit tiktok rss related popular recent most trending latest
top categories tags archive archives topics sport sports politics business technology
entertainment lifestyle opinion weather video videos photos travel health world local money culture
women men kids sale new brands gifts privacy cookie cookies terms legal imprint accessibility
disclaimer back skip profile settings dashboard notifications messages download get language
english deutsch fran espa stories
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
    lines = lines_with(text, _sieve(), longest_bytes=LONGEST_LINE_BYTES)
    notice = lines["line"].str.contains(_NOTICE)
    entry = _only(lines["line"], _FRAME, among=~notice)
    menu = _only(lines["line"], _MENU, among=entry)
    frame = lines.with_columns(removable=notice | menu).filter(notice | entry)
    return frame.select("document", "start", "line", "removable")


def frame_line_fraction(text: pl.Series) -> pl.Series:
    r"""Share of a document's non-blank lines that belong to a page's frame; 0 without lines.

    Args:
        text: String column without nulls.

    Returns:
        Float64, one value a document.

    >>> frame_line_fraction(pl.Series(["Login\nRegister\nA sentence.\nOne more.", ""])).to_list()
    [0.5, 0.0]
    """
    found = frame_lines(text).group_by("document", maintain_order=True).len()
    lines = text.gather(found["document"]).str.count_matches(r"(?m)^.*\S.*$")
    shares = pl.zeros(len(text), dtype=pl.Float64, eager=True)
    return shares.scatter(found["document"], found["len"] / lines) if len(found) else shares


@cache
def _sieve() -> Keywords:
    return keywords(_WORDS.split(), first=_FIRST_WORDS.split())


def _only(lines: pl.Series, pattern: str, *, among: pl.Series) -> pl.Series:
    """Which lines match, asked of some of them alone; Boolean."""
    rows = among.arg_true()
    matches = lines.gather(rows).str.contains(pattern)
    none = pl.repeat(False, len(lines), dtype=pl.Boolean, eager=True)
    return none.scatter(rows, matches) if len(rows) else none

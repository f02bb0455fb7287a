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

import polars as pl

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

# (words of which each matching line holds one, pattern): the words are a cheap first sieve.
_NOTICES = (
    (
        "cookie",
        r"\b(?:uses?|using|store|sets?|accept|reject|allow|decline|manage|refuse)\b.*\bcookies",
    ),
    (
        "cookie",
        r"\b(?:necessary|essential|functional|marketing|analytics|advertising)\b.*\bcookies",
    ),
    ("cookie", r"\bcookies?\b.*\b(?:policy|preferences|consent|experience|notice|personali[sz]e)"),
    (
        "cookie",
        r"\bcookies?\b.*\b(?:necessary|improve|analy[sz]e|collect|partners|disabled|enabled)",
    ),
    (
        "by ",
        r"\bby (?:continuing|using|browsing|clicking|signing|subscribing)\b.*\b(?:site|agree)\b",
    ),
    (" all", r"\b(?:accept|reject|allow) all(?: cookies| and\b|\W*$)"),
    ("manage", r"\bmanage (?:your |my )?(?:preferences|choices|consent|settings)"),
    (
        "your ",
        r"\byour (?:privacy|consent|choices?)\b.*\b(?:matters?|important|settings|at any time)",
    ),
    ("legitimate interest", r"\blegitimate interest"),
    ("personali", r"\bpersonali[sz]ed (?:ads|content|advertising)"),
    ("third", r"\bthird[- ]party (?:vendors|partners|cookies)"),
    ("tracking", r"\btracking technologies"),
    ("newsletter", r"\bnewsletters?\b"),
    ("s", r"\b(?:subscribe|sign up|signup|join)\b.*\b(?:mailing list|updates|inbox|offers|alerts)"),
    ("mail", r"\b(?:enter|submit) your e-?mail|\byour e-?mail address\b"),
    ("spam", r"\bno spam\b"),
    ("unsubscribe", r"\bunsubscribe\b.*\b(?:any ?time|whenever)"),
    (" us", r"\b(?:follow|find|connect with|watch) us on\b|\bfollow us\b"),
    (
        "share",
        r"\bshare (?:this|on|via)\b.*\b(?:post|page|article|story|facebook|e-?mail|friends?)",
    ),
    ("facebook", r"\bfacebook\b\W+\b(?:x|twitter|instagram|linkedin|youtube|pinterest)\b"),
    ("twitter", r"\btwitter\b\W+\b(?:facebook|instagram|linkedin|youtube|pinterest)\b"),
    ("privacy", r"\bprivacy (?:policy|notice|statement|settings)\b"),
    ("terms of", r"\bterms of (?:use|service|sale)\b"),
    ("powered by", r"\bpowered by (?:wordpress|drupal|joomla|shopify|blogger|squarespace|wix)"),
    (" to ", r"\bskip to (?:the )?(?:main )?(?:content|navigation)|\bback to (?:the )?top\b"),
    (" in to", r"\b(?:log|sign) in to\b.*\b(?:account|continue|comment|view|see|read|your)"),
    ("already", r"\balready (?:have an account|a member|a subscriber)|^\W*already registered\?"),
    ("create", r"\bcreate (?:an|your|a free) (?:account|profile)"),
    ("forgot", r"\bforgot(?:ten)? (?:your )?(?:password|username)"),
    ("me", r"\bremember me\b|\bkeep me (?:signed|logged) in"),
    (
        "javascript",
        r"\b(?:enable|turn on|requires?)\b.*\bjavascript|\bjavascript is (?:dis|en)abled",
    ),
    ("your ", r"\byour (?:shopping )?(?:cart|basket|bag)\b"),
    ("free ", r"\bfree (?:shipping|delivery|returns)\b"),
    (" to ", r"\badd(?:ed)? to (?:your )?(?:cart|basket|bag|wish ?list)"),
    ("customers", r"\bcustomers? (?:who bought|also (?:bought|viewed))"),
    ("be the first", r"\bbe the first to (?:comment|like|review|share)"),
    ("s", r"\b\d+ (?:comments|likes|shares|views|followers|reviews|replies)\s*$"),
    ("min", r"\b\d+ min(?:ute)?s? read\b"),
    (" app", r"\b(?:download|get) (?:our|the) (?:free )?app\b|\bon the app ?store\b"),
    ("like", r"\byou (?:may|might) also like\b"),
    ("more", r"\bmore from this\b|\bmore stories\b|\bread more\s*(?:\.\.\.|…|»|›|→)?\s*$"),
    ("recommended", r"\brecommended for you\b"),
    ("sponsored", r"^\W*sponsored\b"),
    ("advertisement", r"^\W*advertisement\W*$"),
    (
        "your ",
        r"\b(?:select|choose|change) your (?:language|country|region|currency|location|store)\b",
    ),
    ("page", r"^\W*page \d+ of \d+\b"),
    ("showing", r"\bshowing \d+\s*[-–]\s*\d+ of"),
    ("browser", r"\b(?:update|upgrade) your browser\b|\bbrowser is (?:out of date|not supported)"),
    ("opens in", r"\bopens in (?:a )?new (?:window|tab)\b"),
    ("customer", r"\bcustomer (?:support|service|care)\b"),
)
_ENTRY = "(?:" + _ENTRIES.strip().replace("\n", "|") + ")"
_SEPARATOR = r"(?:[ \t]*[|·•›»>/–—-][ \t]*|[ \t]*::[ \t]*|\t+| {2,})"
_AROUND = r"[ \t]*(?:[-*•·»›>+][ \t]*)?", r"[ \t]*[!:.…»›>→]*\s*"
_FRAME = rf"(?i)^{_AROUND[0]}{_ENTRY}(?:{_SEPARATOR}{_ENTRY})*{_AROUND[1]}$"
_MENU = rf"(?i)^{_AROUND[0]}{_ENTRY}(?:{_SEPARATOR}{_ENTRY}){{2,}}{_AROUND[1]}$"
_NOTICE = "(?i)" + "|".join(pattern for _, pattern in _NOTICES)
_SIEVE = sorted({word for word, _ in _NOTICES if len(word) > 2})
# Two patterns have no rare word; their lines are short or begin with the verb.
_SIEVE += ["subscribe", "sign up", "signup", "join", "comments", "likes", "shares", "views"]
_SIEVE += ["followers", "reviews", "replies", "remember me", "keep me"]


def frame_lines(text: pl.Series) -> pl.DataFrame:
    r"""Every line that is not blank, and whether it belongs to a page's frame.

    Args:
        text: String column without nulls.

    Returns:
        `document` UInt32 (row of `text`), `line` String, `start` Int64 (its byte offset),
        `frame` Boolean, `removable` Boolean, in the order of the text.

    >>> page = "Home | About us | Login\nWe use cookies on this site.\n\nContact\nA sentence."
    >>> frame_lines(pl.Series([page])).select("frame", "removable").rows()
    [(True, True), (True, True), (True, False), (False, False)]
    """
    lines = (
        pl.DataFrame({"document": pl.int_range(len(text), dtype=pl.UInt32, eager=True)})
        .with_columns(line=text.str.split("\n"))
        .explode("line")
        .with_columns(size=pl.col("line").str.len_bytes().cast(pl.Int64) + 1)
        .with_columns(start=pl.col("size").cum_sum().over("document") - pl.col("size"))
        .filter(pl.col("line").str.contains(r"\S"))
    )
    short = pl.col("line").str.len_bytes() <= LONGEST_LINE_BYTES
    candidate = pl.col("line").str.contains_any(_SIEVE, ascii_case_insensitive=True)
    lines = lines.with_row_index("row")
    notices = lines.filter(short & candidate).filter(pl.col("line").str.contains(_NOTICE))["row"]
    # A line of text rarely has the shape of a menu: the anchored pattern fails at once.
    entries = lines.filter(short).filter(pl.col("line").str.contains(_FRAME))
    menus = entries.filter(pl.col("line").str.contains(_MENU))["row"]
    is_notice = pl.col("row").is_in(notices.implode())
    return lines.select(
        "document",
        "line",
        "start",
        frame=is_notice | pl.col("row").is_in(entries["row"].implode()),
        removable=is_notice | pl.col("row").is_in(menus.implode()),
    )


def frame_line_fraction(text: pl.Series) -> pl.Series:
    r"""Share of a document's lines that belong to a page's frame, Float64; 0 without lines.

    >>> frame_line_fraction(pl.Series(["Login\nRegister\nA sentence.\nOne more.", ""])).to_list()
    [0.5, 0.0]
    """
    shares = frame_lines(text).group_by("document").agg(fraction=pl.col("frame").mean())
    documents = pl.DataFrame({"document": pl.int_range(len(text), dtype=pl.UInt32, eager=True)})
    joined = documents.join(shares, on="document", how="left", maintain_order="left")
    return joined["fraction"].fill_null(0.0)

"""The C4 rules about lines as patterns: the slow form that defines what the kernel says."""

import re

LONGEST_WORD_CHARS = 1000
FEWEST_WORDS = 3
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
UNWANTED = (
    *("javascript", "terms of use", "privacy policy", "cookie policy"),
    *("uses cookies", "use of cookies", "use cookies"),
)
# Python's \s knows the four separators U+001C to U+001F, Unicode's White_Space does not.
SPACE = "[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
SOLID = SPACE.replace("[", "[^")
SENTENCE_END = re.compile(rf"""[.?!]+["'”’)\]]*(?:{SPACE}|\Z)""")
ABBREVIATION = re.compile(
    rf"(?<![0-9A-Za-z_])(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|Prof|Co|Inc|vs|e\.g|i\.e|[A-Z])\.{SPACE}"
)


def judged(raw: str) -> tuple[bool, bool, bool, int]:
    """Kept, lorem ipsum, curly bracket, and sentences of a line."""
    whole = re.sub(rf"^{SPACE}+|{SPACE}+\Z", "", raw)
    line = CITATION.sub("", whole)
    words = re.findall(f"{SOLID}+", whole)
    ends = re.search(r"""[.?!"']\Z""", line) and not line.endswith("...")
    if not ends or len(words) < FEWEST_WORDS or max(map(len, words)) > LONGEST_WORD_CHARS:
        return False, False, False, 0
    lower = re.sub("[A-Z]", lambda capital: capital.group().lower(), line)
    kept = not any(phrase in lower for phrase in UNWANTED)
    sentences = len(SENTENCE_END.findall(line)) - len(ABBREVIATION.findall(line))
    lorem = re.search("lorem ipsum", line, re.IGNORECASE) is not None
    script = re.search("javascript", line, re.IGNORECASE) is not None
    return kept, lorem, "{" in line and not script, max(sentences, 1) if kept else 0

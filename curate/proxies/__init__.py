"""Small models whose losses say what a text is worth as training data."""

from collections.abc import Mapping

from curate.proxies.gpt import Gpt, GptSettings
from curate.proxies.kneser_ney import KneserNey
from curate.proxies.protocol import Evaluation, LadderPoint, ProxyFamily

FAMILIES: Mapping[str, ProxyFamily] = {"kneser_ney": KneserNey(), "gpt": Gpt()}

__all__ = [
    "FAMILIES",
    "Evaluation",
    "Gpt",
    "GptSettings",
    "KneserNey",
    "LadderPoint",
    "ProxyFamily",
]

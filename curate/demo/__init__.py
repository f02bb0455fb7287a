"""The demo's corpus: documentation of the running installation, with declared crawl noise."""

from curate.demo.build import NOISE, DemoCorpus, build_demo_corpus, demo_config
from curate.demo.documentation import Environment, collect_documentation, language_reference

__all__ = [
    "NOISE",
    "DemoCorpus",
    "Environment",
    "build_demo_corpus",
    "collect_documentation",
    "demo_config",
    "language_reference",
]

"""Curate: clean a text corpus, and prove what the cleaning was worth."""

__version__ = "0.1.0"

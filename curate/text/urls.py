"""Web addresses in text."""

URL = r"(?i)\bhttps?://[^\s<>\"'`;]+|\bwww\.[a-z0-9-]+\.[a-z]{2,}"
"""Pattern of a web address; the same for Python and for Polars."""

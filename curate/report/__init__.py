"""Tables of a run folder to one self-contained page, its JSON twin, and words on a terminal."""

from curate.report.html import table_html
from curate.report.page import write_report
from curate.report.summary import markdown, summary

__all__ = ["markdown", "summary", "table_html", "write_report"]

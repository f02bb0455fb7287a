"""Text to numbers: one column a signal, each with its unit in its name.

Names end in `_chars`, `_bytes`, `_count` or are plain plurals such as `words` (counts,
Int64), `_fraction` (Float64 in [0, 1]), `_per_token`, `_ratio`, `_bits` or start with `mean_`
or `median_` (Float64). What a token, a word, a line and a duplicate is says
`curate.text.statistics`. A fraction of nothing is 0. Signals decide nothing: rules do
(`curate.rules`).
"""

from curate.signals.config import SignalsConfig
from curate.signals.measuring import (
    DEFAULT_SIGNALS,
    SIGNALS,
    SIGNALS_PAGE,
    check_signals,
    measure_signals,
    signals_page,
)
from curate.signals.table import FLAGGED_SIGNALS, LANGUAGE_SIGNALS, Signal, signal_unit

__all__ = [
    "DEFAULT_SIGNALS",
    "FLAGGED_SIGNALS",
    "LANGUAGE_SIGNALS",
    "SIGNALS",
    "SIGNALS_PAGE",
    "Signal",
    "SignalsConfig",
    "check_signals",
    "measure_signals",
    "signal_unit",
    "signals_page",
]

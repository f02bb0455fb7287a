"""What meets somebody who is new here: a first config for their data; rule sets, signals, keys."""

from curate.front.guesses import Guess
from curate.front.listings import Entry, rule_entries, rule_set_entries, signal_entries, table_of
from curate.front.starter import Start, input_of, start_config, write_start

__all__ = [
    "Entry",
    "Guess",
    "Start",
    "input_of",
    "rule_entries",
    "rule_set_entries",
    "signal_entries",
    "start_config",
    "table_of",
    "write_start",
]

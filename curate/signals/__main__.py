"""`python -m curate.signals > docs/signals.md` writes the page anew."""

import sys

from curate.signals import signals_page

sys.stdout.write(signals_page())

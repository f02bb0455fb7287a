"""Audits of the pipeline itself: whom does each step take more from, and is that certain?

`impact` compares removals of groups, `add_lexicon_groups` and `add_topics` find groups in text,
`swap_test` asks a scorer, `association` and `distinctive_words` the corpus, `audit_classifier` a
model trained on it, `representation` what is left of whom.
"""

from curate.audits._work import Losses
from curate.audits.amplification import ClassifierAudit, ClassifierDesign, audit_classifier
from curate.audits.association import association, npmi
from curate.audits.counterfactual import SwapDesign, SwapTest, swap_test
from curate.audits.difference import audit_difference
from curate.audits.edits import add_losses, losses_of
from curate.audits.gate import STRATA, AuditConfig, Gate, check_gate, forbidden_rows
from curate.audits.impact import impact
from curate.audits.lexicons import (
    NAMED,
    NOT_NAMED,
    Entry,
    Lexicon,
    add_lexicon_groups,
    load_lexicon,
)
from curate.audits.metrics import directional_amplification, group_metrics, zhao_amplification
from curate.audits.remedies import reweigh, reweigh_alike
from curate.audits.representation import Representation, representation, representation_rows
from curate.audits.result import POPULATION, Audit, audit
from curate.audits.scores import group_scores
from curate.audits.statements import responsible_ai_fields
from curate.audits.swaps import Swaps, load_swaps, swap
from curate.audits.tables import (
    edit_rows,
    explained,
    hardest_hit,
    state_said,
    strongest_first,
    tidy,
)
from curate.audits.topics import add_topics
from curate.audits.weat import Weat, resampled_weat, weat
from curate.audits.words import distinctive_words, log_odds_z

__all__ = [
    "NAMED",
    "NOT_NAMED",
    "POPULATION",
    "STRATA",
    "Audit",
    "AuditConfig",
    "ClassifierAudit",
    "ClassifierDesign",
    "Entry",
    "Gate",
    "Lexicon",
    "Losses",
    "Representation",
    "SwapDesign",
    "SwapTest",
    "Swaps",
    "Weat",
    "add_lexicon_groups",
    "add_losses",
    "add_topics",
    "association",
    "audit",
    "audit_classifier",
    "audit_difference",
    "check_gate",
    "directional_amplification",
    "distinctive_words",
    "edit_rows",
    "explained",
    "forbidden_rows",
    "group_metrics",
    "group_scores",
    "hardest_hit",
    "impact",
    "load_lexicon",
    "load_swaps",
    "log_odds_z",
    "losses_of",
    "npmi",
    "representation",
    "representation_rows",
    "resampled_weat",
    "responsible_ai_fields",
    "reweigh",
    "reweigh_alike",
    "state_said",
    "strongest_first",
    "swap",
    "swap_test",
    "tidy",
    "weat",
    "zhao_amplification",
]

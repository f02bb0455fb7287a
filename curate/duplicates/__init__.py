"""Exact and near duplicates: verified pairs, clusters, and who survives.

Pairs are evidence and are found once; who survives is decided by `resolve`, again for every
arm and every what-if, from the same pairs.
"""

from curate.duplicates.comparison import side_by_side
from curate.duplicates.evidence import (
    FalseRemovals,
    false_removal_rate,
    removal_evidence,
    seed_stability,
    texts_of,
)
from curate.duplicates.find import Duplicates, find_duplicates
from curate.duplicates.guard import WipeOutGuard, check_wipe_out
from curate.duplicates.index import add_to_index, compare_with_index, index_parts, index_state
from curate.duplicates.pairs import PAIRS_SCHEMA, DuplicatesConfig, find_pairs
from curate.duplicates.passages import (
    PassagesConfig,
    RepeatedUnits,
    find_passages,
    find_repeated_units,
    passage_edits,
)
from curate.duplicates.settings import PRESETS, EvidenceConfig, NearDuplicates, choose_bands
from curate.duplicates.settling import Compare, comparison, settle
from curate.duplicates.survivors import SURVIVOR_POLICIES, clusters, resolve
from curate.duplicates.verification import Parts

__all__ = [
    "PAIRS_SCHEMA",
    "PRESETS",
    "SURVIVOR_POLICIES",
    "Compare",
    "Duplicates",
    "DuplicatesConfig",
    "EvidenceConfig",
    "FalseRemovals",
    "NearDuplicates",
    "Parts",
    "PassagesConfig",
    "RepeatedUnits",
    "WipeOutGuard",
    "add_to_index",
    "check_wipe_out",
    "choose_bands",
    "clusters",
    "compare_with_index",
    "comparison",
    "false_removal_rate",
    "find_duplicates",
    "find_pairs",
    "find_passages",
    "find_repeated_units",
    "index_parts",
    "index_state",
    "passage_edits",
    "removal_evidence",
    "resolve",
    "seed_stability",
    "settle",
    "side_by_side",
    "texts_of",
]

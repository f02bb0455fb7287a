"""Intervals, tests, corrections and clustered variances: every room's one source of them.

Notable choices, and their price:

- Intervals near 0 and 1 are score intervals (Wilson for a share, Koopman for a ratio of
  shares). Katz intervals on keep-rates cover 64 % at n = 100 and p = .99.
- Dependence enters by linearisation over clusters with t(G − 1), or by dividing counts by
  their design effect (Rao & Scott) where a score interval is wanted as well. The price is
  wide intervals where clusters are few; that is the truth.
- Nothing here draws random numbers.

Functions take numbers and return an `Interval` or `Estimate`; those that say "arrays" work
row by row. Shares are fractions in [0, 1], never per cent.
"""

from curate.statistics.clustered import (
    ClusteredShare,
    RateComparison,
    Share,
    adjust_for_design,
    cluster_influence,
    clustered_share,
    compare_rates,
    difference_of_means,
)
from curate.statistics.corrections import benjamini_hochberg, holm, holm_levels
from curate.statistics.grouped import blocks, jackknife, jackknife_interval
from curate.statistics.intervals import (
    Estimate,
    Interval,
    binomial_band,
    clustered_ratio,
    satterthwaite,
    t_interval,
    t_quantile,
    wilson,
)
from curate.statistics.paired import SignTest, equivalence_p, mean_shift, sign_test
from curate.statistics.ranking import auc_interval
from curate.statistics.ratios import (
    half_corrected_ratio,
    removal_ratio,
    score_ratio_bounds,
    smallest_detectable_ratio,
)
from curate.statistics.stratified import (
    CommonOdds,
    Heterogeneity,
    Strata,
    StratifiedRatio,
    breslow_day,
    common_odds,
    heterogeneity_p,
    mantel_haenszel,
    odds_ratio,
    strata_of,
    stratified_odds_ratio,
    stratified_rate_ratio,
)

__all__ = [
    "ClusteredShare",
    "CommonOdds",
    "Estimate",
    "Heterogeneity",
    "Interval",
    "RateComparison",
    "Share",
    "SignTest",
    "Strata",
    "StratifiedRatio",
    "adjust_for_design",
    "auc_interval",
    "benjamini_hochberg",
    "binomial_band",
    "blocks",
    "breslow_day",
    "cluster_influence",
    "clustered_ratio",
    "clustered_share",
    "common_odds",
    "compare_rates",
    "difference_of_means",
    "equivalence_p",
    "half_corrected_ratio",
    "heterogeneity_p",
    "holm",
    "holm_levels",
    "jackknife",
    "jackknife_interval",
    "mantel_haenszel",
    "mean_shift",
    "odds_ratio",
    "removal_ratio",
    "satterthwaite",
    "score_ratio_bounds",
    "sign_test",
    "smallest_detectable_ratio",
    "strata_of",
    "stratified_odds_ratio",
    "stratified_rate_ratio",
    "t_interval",
    "t_quantile",
    "wilson",
]

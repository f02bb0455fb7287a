"""Intervals, tests, corrections and clustered variances: every room's one source of them.

Notable choices, and their price:

- Intervals near 0 and 1 are score intervals (Wilson for a share, Koopman for a ratio of
  shares). Katz intervals on keep-rates cover 64 % at n = 100 and p = .99.
- Dependence enters by linearisation over clusters with t(G − 1), or by dividing counts by
  their design effect (Rao & Scott) where a score interval is wanted as well; few and unequal
  clusters are corrected for under a working model. The price is wide intervals where clusters
  are few; that is the truth.
- Nothing here draws random numbers.

Functions take numbers and return an `Interval` or `Estimate`; those that say "arrays" work
row by row. Shares are fractions in [0, 1], never per cent.
"""

from curate.statistics._polynomials import Powers
from curate.statistics.clustered import (
    MeanDifference,
    RateComparison,
    cluster_influence,
    compare_means,
    compare_rates,
    difference_of_means,
    lean_p,
    lean_quantile,
    log_odds_ratio,
    odds_interval,
    rates_p,
)
from curate.statistics.corrections import benjamini_hochberg, holm, holm_levels
from curate.statistics.grouped import blocks, jackknife, jackknife_interval
from curate.statistics.intervals import (
    Estimate,
    Interval,
    binomial_band,
    satterthwaite,
    t_interval,
    t_quantile,
    wilson,
)
from curate.statistics.paired import SignTest, equivalence_p, mean_shift, sign_test
from curate.statistics.pairs import (
    DEGREE,
    ClusteredPair,
    Sides,
    clustered_pair,
    exponents,
    independent,
)
from curate.statistics.ranking import auc_interval
from curate.statistics.ratios import (
    ScoreError,
    half_corrected_ratio,
    score_odds_bounds,
    score_ratio_bounds,
    smallest_detectable_ratio,
)
from curate.statistics.sandwich import LEAST_CLUSTERS, LEAST_DF, effective_sides
from curate.statistics.share import (
    LEAST_DF_OF_ONE,
    Shares,
    clustered_mean,
    clustered_means,
    clustered_share,
    clustered_shares,
    shares_of,
)
from curate.statistics.skewed import leaning, skewed_p, skewed_quantiles, skewness_error
from curate.statistics.stratified import (
    CommonOdds,
    Heterogeneity,
    Strata,
    StratifiedRatio,
    breslow_day,
    common_odds,
    heterogeneity_p,
    strata_of,
    stratified_odds_ratio,
    stratified_rate_ratio,
)

__all__ = [
    "DEGREE",
    "LEAST_CLUSTERS",
    "LEAST_DF",
    "LEAST_DF_OF_ONE",
    "ClusteredPair",
    "CommonOdds",
    "Estimate",
    "Heterogeneity",
    "Interval",
    "MeanDifference",
    "Powers",
    "RateComparison",
    "ScoreError",
    "Shares",
    "Sides",
    "SignTest",
    "Strata",
    "StratifiedRatio",
    "auc_interval",
    "benjamini_hochberg",
    "binomial_band",
    "blocks",
    "breslow_day",
    "cluster_influence",
    "clustered_mean",
    "clustered_means",
    "clustered_pair",
    "clustered_share",
    "clustered_shares",
    "common_odds",
    "compare_means",
    "compare_rates",
    "difference_of_means",
    "effective_sides",
    "equivalence_p",
    "exponents",
    "half_corrected_ratio",
    "heterogeneity_p",
    "holm",
    "holm_levels",
    "independent",
    "jackknife",
    "jackknife_interval",
    "lean_p",
    "lean_quantile",
    "leaning",
    "log_odds_ratio",
    "mean_shift",
    "odds_interval",
    "rates_p",
    "satterthwaite",
    "score_odds_bounds",
    "score_ratio_bounds",
    "shares_of",
    "sign_test",
    "skewed_p",
    "skewed_quantiles",
    "skewness_error",
    "smallest_detectable_ratio",
    "strata_of",
    "stratified_odds_ratio",
    "stratified_rate_ratio",
    "t_interval",
    "t_quantile",
    "wilson",
]

"""Weights that take a group out of the labels before a classifier is trained.

`reweigh` makes label and group independent over all documents. That is not enough where the
texts tell merit: the penalty of two equals is larger than that of two averages (odds ratios do
not collapse), so equal averages leave a penalty among equals, which more text only brings to
light. `reweigh_alike` makes them independent among documents that say the same.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from curate.arrays import Bools, Floats
from curate.errors import ConfigError, check_name

Remedy = Literal["none", "reweigh", "reweigh_alike"]
REMEDIES: tuple[Remedy, ...] = ("none", "reweigh", "reweigh_alike")
# The group's column is this large, so that the penalty on coefficients hardly shrinks it.
_UNSHRUNK = 10.0


def reweigh(group: ArrayLike, label: ArrayLike) -> Floats:
    """Weights under which label and group are independent (Kamiran & Calders 2012).

    w = P(group) P(label) / P(group, label) = P(label) / P(label | group), one a document.

    >>> reweigh([1, 1, 1, 0], [1, 0, 0, 1]).tolist()
    [1.5, 0.75, 0.75, 0.5]
    """
    codes = [np.unique(np.asarray(v), return_inverse=True)[1] for v in (group, label)]
    n = codes[0].size
    alone = [np.bincount(c)[c] / n for c in codes]
    both = codes[0] * (int(codes[1].max()) + 1) + codes[1]
    return np.asarray(alone[0] * alone[1] / (np.bincount(both)[both] / n))


def reweigh_alike(own: ArrayLike, label: ArrayLike, features: Any) -> Floats:  # noqa: ANN401
    """Weights under which label and group are independent given the features.

    w = P(label | features) / P(label | group, features): `reweigh` among documents that are
    alike, which Žliobaitė, Kamiran & Calders (2011) do within strata. Here a logistic regression
    on features and group gives P(label | group, features); P(label | features) is its mean over
    the groups' shares. Features that stand for the group carry nothing beside the group itself.

    Args:
        own: Whether each document is of the audited group.
        label: Whether it was selected.
        features: Matrix, one row a document; dense or sparse.

    Raises:
        ConfigError: Only one group or one label.

    >>> skill, own = np.tile([0, 1], 200), np.repeat([False, True], 200)
    >>> label = (skill == 1) & ~(own & (np.arange(400) % 4 == 1))
    >>> weight = reweigh_alike(own, label, skill[:, None])
    >>> bool(weight[own & label].min() > 1 > weight[own & ~label & (skill == 1)].max())
    True
    """
    from scipy import sparse
    from scipy.special import expit
    from sklearn.linear_model import LogisticRegression

    side, y = np.asarray(own, dtype=np.float64), np.asarray(label, dtype=bool)
    share = float(side.mean())
    if share in (0.0, 1.0) or y.all() or not y.any():
        raise ConfigError("weights need both groups and both labels among the documents")
    matrix = sparse.csr_matrix(features)
    column = sparse.csr_matrix(_UNSHRUNK * (side - share)[:, None])
    model = LogisticRegression(max_iter=1000).fit(sparse.hstack([matrix, column]).tocsr(), y)
    words = matrix @ model.coef_[0, :-1] + model.intercept_[0]
    shift = _UNSHRUNK * model.coef_[0, -1]
    among = {s: expit(words + shift * (s - share)) for s in (0.0, 1.0)}
    given_group = np.where(side == 1.0, among[1.0], among[0.0])
    given_words = share * among[1.0] + (1 - share) * among[0.0]
    weight = np.where(y, given_words / given_group, (1 - given_words) / (1 - given_group))
    return np.asarray(weight / weight.mean())


def weights_of(remedy: Remedy, own: Bools, label: Bools, features: Any) -> Floats:  # noqa: ANN401
    """The weights of a remedy by name, one number a document.

    >>> weights_of("none", np.array([True]), np.array([True]), None).tolist()
    [1.0]
    """
    check_name("remedy", remedy, REMEDIES)
    if remedy == "none":
        return np.ones(own.size)
    return reweigh(own, label) if remedy == "reweigh" else reweigh_alike(own, label, features)

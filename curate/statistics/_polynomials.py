"""Polynomials in a cluster's shares of a group (s) and of the rest (t); their sums."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from curate.arrays import Floats

#: Sums over clusters of s^i t^j: s, t are a cluster's shares of the group and of the rest.
Powers = Mapping[tuple[int, int], Floats]
Polynomial = dict[tuple[int, int], Floats]


def times(first: Polynomial, *others: Polynomial) -> Polynomial:
    for other in others:
        product: Polynomial = {}
        for (i, j), a in first.items():
            for (k, m), b in other.items():
                product[i + k, j + m] = product.get((i + k, j + m), 0.0) + a * b
        first = product
    return first


def scaled(one: Polynomial, by: Floats) -> Polynomial:
    return {key: value * by for key, value in one.items()}


def plus(*parts: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total.get(key, 0.0) + value
    return total


def summed(polynomial: Polynomial, powers: Powers) -> Floats:
    return np.asarray(sum(value * powers[key] for key, value in polynomial.items()))

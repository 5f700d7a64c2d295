"""Variance-based sensitivity: which choice, alone or together with others, makes results differ, by SALib."""

import itertools
from collections.abc import Mapping as MappingType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from SALib.analyze import sobol as analysis
from SALib.sample import sobol as sampling

from memlib.base.checks import fail, whole
from memlib.exploration.space import Axis


def design(factors: MappingType[str, Axis], n: int, seed: int = 0) -> list[dict[str, Any]]:
    """The points at which a function must be known: Saltelli's scheme over a scrambled Sobol sequence.

    Args:
        factors: what varies, evenly, by name; at least two, all independent of each other.
        n: base points, a power of two; intervals shrink as 1/sqrt(n).
        seed: of the scrambling.

    Returns:
        n (2 D + 2) points for D factors. Where factors list values, some are equal.

    Raises:
        ValueError: for fewer than two factors, one with a condition or a single value, or an n that is no power of two.
    """
    _check(factors)
    n = whole("n", n, 2)
    seed = whole("seed", seed, 0)
    if n & (n - 1):
        fail("n", n, "a power of two")
    rows = sampling.sample(_problem(factors), n, calc_second_order=True, seed=seed)
    return [{name: f.at(share) for (name, f), share in zip(factors.items(), row, strict=True)} for row in rows]


def indices(factors: MappingType[str, Axis], values: ArrayLike, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Shares of the variance of a function's values, each with its 95 % interval.

    "first": what a factor explains alone (Saltelli et al., Comput. Phys. Commun. 181, 259, 2010); "total": with all its
    interactions (Jansen's estimator, ibid.); "second": what a pair explains beyond its two firsts (Saltelli, Comput.
    Phys. Commun. 145, 280, 2002). Estimates scatter below 0 and above 1. Intervals are 1.96 standard deviations of a
    bootstrap over base points to each side.

    Args:
        factors: as given to `design`.
        values: of the function at the points of `design`, in their order.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A row per factor, or pair, and kind: kind, factor, other (of pairs, else ""), index, low, high.

    Raises:
        ValueError: for a wrong number of values, values that are not finite, or all equal.
    """
    _check(factors)
    seed = whole("seed", seed, 0)
    resamples = whole("resamples", resamples, 2)
    known, names = np.asarray(values, float), list(factors)
    size = 2 * len(names) + 2
    if known.ndim != 1 or not len(known) or len(known) % size:
        fail("values", known.shape, f"one for each point of the design, a multiple of {size}")
    if not np.isfinite(known).all() or known.std() <= 1e-12 * abs(known).max():
        fail("values", known, "finite, and not all equal: else nothing varies that could be explained")
    options = {"num_resamples": resamples, "seed": seed + 1}  # SALib takes 0 for none, and then global random state
    found = analysis.analyze(_problem(factors), known, calc_second_order=True, **options)
    rows = []
    for kind, key in (("first", "S1"), ("total", "ST")):
        rows += [_row(kind, name, "", found[key][i], found[f"{key}_conf"][i]) for i, name in enumerate(names)]
    for i, j in itertools.combinations(range(len(names)), 2):
        rows.append(_row("second", names[i], names[j], found["S2"][i, j], found["S2_conf"][i, j]))
    return pd.DataFrame(rows)


def _row(kind: str, name: str, other: str, index: float, half: float) -> dict[str, Any]:
    return {"kind": kind, "factor": name, "other": other, "index": index, "low": index - half, "high": index + half}


def _check(factors: MappingType[str, Axis]) -> None:
    if len(factors) < 2:
        fail("factors", list(factors), "at least two")
    for name, axis in factors.items():
        if axis.when or (axis.values is not None and len(axis.values) < 2):
            fail(f"factor {name!r}", axis, "without a condition, and of at least two values")


def _problem(factors: MappingType[str, Axis]) -> dict[str, Any]:
    return {"num_vars": len(factors), "names": list(factors), "bounds": [[0, 1]] * len(factors)}

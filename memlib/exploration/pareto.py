"""Pareto fronts of designs whose qualities are known with intervals: a design is on the front with a probability."""

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from memlib.base.checks import fail, one_of

SENSES = ("min", "max")


def nondominated(values: ArrayLike, senses: Sequence[str]) -> np.ndarray:
    """Which designs no other one is at least as good as in everything and better in something: (designs,) bool.

    Args:
        values: (designs, objectives); equal designs do not dominate each other.
        senses: "min" or "max" of each objective.

    Raises:
        ValueError: for values that are not finite, or do not match `senses`.
    """
    return moocore.is_nondominated(_minimised(values, senses), keep_weakly=True)


def hypervolume(values: ArrayLike, senses: Sequence[str], reference: ArrayLike) -> float:
    """The volume that designs dominate, bounded by a reference that is worse than all that counts.

    Args:
        values, senses: as in `nondominated`, as errors are.
        reference: (objectives,); designs that are worse in an objective add nothing.
    """
    bound = _minimised(np.asarray(reference, float)[None], senses)[0]
    return float(moocore.hypervolume(_minimised(values, senses), ref=bound))


def mean_draws(hits: Sequence[np.ndarray], n: int, seed: int = 0, bounds: tuple[float, float] = (0, 1)) -> np.ndarray:
    """Joint draws of what the mean accuracies of designs, over chips and images, may truly be; or their mean losses.

    A multiplier bootstrap over seeds and images, both shared by designs: with z standard normals that all designs
    share,

        mean + t sum_s z_s (mean of seed s - mean)/sqrt(n (n - 1)) + sum_i z_i (mean of image i - mean)/sqrt(m (m - 1))
        + z sqrt((mean - low)^2 + (high - mean)^2)/m.

    low and high are the bounds of a value; t, sqrt((n - 1)/chi2), gives the part of n seeds Student's tails. So designs
    that fail on the same images, or chips, rise and fall together. The last part, of each design alone, is the spread
    of one image at each bound: without it, a design that errs on none of its images would be sure, and two whose images
    are the same would be equal. The joint effect of seed and image counts in both parts: spreads are a little wide.

    Args:
        hits: for each design (seeds, images), 0/1 for wrong and right. The first seed and the first image are the same
            in all designs, and so on; numbers of them may differ. With one seed, images alone vary; with one number per
            seed, an accuracy of all images, seeds alone.
        n: draws.
        seed: of the draws.
        bounds: of values; (-1, 1) for what a chip gets wrong that the float network gets right, less the converse.

    Returns:
        (n, designs); beyond the bounds too, as clipped draws would be equal where they are to be compared.

    Raises:
        ValueError: if there are no designs or values, or values beyond the bounds.
    """
    arrays = [np.atleast_2d(np.asarray(h, float)) for h in hits]
    if not arrays or not all(a.size for a in arrays):
        fail("hits", f"{len(arrays)} arrays", "at least one, each with at least one seed and image")
    for a in arrays:
        if not (a.min() >= bounds[0] and a.max() <= bounds[1]):
            fail("hits", f"{a.min():g} to {a.max():g}", f"from {bounds[0]:g} to {bounds[1]:g}")
    seeds, images = (max(a.shape[axis] for a in arrays) for axis in (0, 1))
    generator = np.random.default_rng(seed)
    by_seed, by_image, own = (generator.standard_normal((n, size)) for size in (seeds, images, len(arrays)))
    level = generator.random(n)
    normals = ((by_seed, by_image, z) for z in own.T)
    return np.stack([_draws(a, z, level, bounds) for a, z in zip(arrays, normals, strict=True)], 1)


def _draws(values: np.ndarray, normals: Sequence[np.ndarray], level: np.ndarray, bounds: Sequence[float]) -> np.ndarray:
    (n, m), mean, (by_seed, by_image, own) = values.shape, values.mean(), normals
    draws = np.full(len(level), mean)
    if n > 1:
        tails = np.sqrt((n - 1) / stats.chi2.ppf(level, n - 1))
        draws += tails * (by_seed[:, :n] @ (values.mean(1) - mean)) / np.sqrt(n * (n - 1))
    if m > 1:
        draws += by_image[:, :m] @ (values.mean(0) - mean) / np.sqrt(m * (m - 1))
        draws += own * np.hypot(mean - bounds[0], bounds[1] - mean) / m
    return draws


def front_probability(draws: ArrayLike, senses: Sequence[str]) -> np.ndarray:
    """The probability (designs,) of each design to be on the Pareto front: how often no other one dominates it.

    Args:
        draws: (n, designs, objectives), joint draws of all designs' qualities.
        senses: as in `nondominated`, as errors are.
    """
    draws = np.asarray(draws, float)
    if draws.ndim != 3 or not len(draws):
        fail("draws", draws.shape, "of shape (n, designs, objectives)")
    return np.mean([nondominated(draw, senses) for draw in draws], axis=0)


def _minimised(values: ArrayLike, senses: Sequence[str]) -> np.ndarray:
    values = np.asarray(values, float)
    for sense in senses:
        one_of("sense", sense, SENSES)
    if values.ndim != 2 or values.shape[1] != len(senses) or not np.isfinite(values).all():
        fail("values", values.shape, f"finite, of shape (designs, {len(senses)})")
    return values * np.where(np.array(senses) == "max", -1.0, 1.0)

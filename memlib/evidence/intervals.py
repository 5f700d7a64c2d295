"""Confidence intervals for accuracies of simulated chips on test images, and for differences between them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from memlib.base.checks import whole

QUANTILE = 0.975  #: of Student's t, for two-sided 95 % intervals
ALIKE = 1e-12  #: numbers that differ less, relatively, differ by rounding


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided confidence interval."""

    mean: float
    low: float
    high: float
    n: int  #: device seeds
    images: int
    #: The part of high - low that more device seeds cannot take away, because the images stay the same.
    floor: float = 0.0

    def __str__(self) -> str:
        """Such as "0.9412 [0.9391, 0.9433]"."""
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def columns(self, name: str = "accuracy") -> dict[str, Any]:
        """As columns of a table, the mean under `name`."""
        return {name: self.mean, "low": self.low, "high": self.high, "n": self.n, "images": self.images}

    def named(self, name: str) -> dict[str, float]:
        """The mean as `name`, and its interval as columns `name`_low and `name`_high."""
        return {name: self.mean, f"{name}_low": self.low, f"{name}_high": self.high}

    def scaled(self, factor: float) -> "Interval":
        """The interval of a positive multiple of the mean."""
        m, low, high, floor = (factor * value for value in (self.mean, self.low, self.high, self.floor))
        return Interval(m, low, high, self.n, self.images, floor)


def seed_interval(values: ArrayLike, images: int | None = None, constant: bool = False) -> Interval:
    """Student's interval of the mean of (seeds,), one number per device seed.

    A single seed says nothing of others, nor do seeds that are all alike of how far others may be off: without
    `images` such an interval is endless. With `images`, squares are added (Newcombe, Statistics in Medicine 17, 1998)
    of Student's interval over seeds and Wilson's over the images, which all seeds share, and it ends at 0 and 1. That
    counts what images add to the spread of chips twice, so it is rather too wide where chips differ little: 94 to
    100 % hold the truth. Where the answers to each image are known, `crossed_interval` does better.

    Args:
        values: any numbers, such as energies; with `images`, accuracies.
        images: how many test images each accuracy is the share of.
        constant: numbers may be alike by nature, such as costs that no chip changes; then alike ones have no width.

    Raises:
        ValueError: if there are no values, one is not finite or no accuracy, or `images` is no whole number.
    """
    found = np.asarray(values, float)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise ValueError(f"values={found}: must be there, and finite, one for each seed")
    n, mean = len(found), float(found.mean())
    half = float(special.stdtrit(n - 1, QUANTILE) * found.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    if images is not None:
        return _with_images(found, images, half)
    if not constant and np.ptp(found) <= ALIKE * np.abs(found).max():
        half = math.inf
    return Interval(mean, mean - half, mean + half, n, 0)


def _with_images(accuracies: np.ndarray, images: int, half: float) -> Interval:
    """The mean accuracy, +- half over seeds, with Wilson's interval (J. American Statistical Association 22, 1927)."""
    images = whole("images", images, 1)
    if not 0 <= accuracies.min() <= accuracies.max() <= 1:
        raise ValueError(f"values={accuracies}: must be accuracies from 0 to 1, as shares of {images} images")
    mean, z2 = float(accuracies.mean()), special.ndtri(QUANTILE) ** 2 / images
    center, spread = (mean + z2 / 2) / (1 + z2), math.sqrt(z2 * (mean * (1 - mean) + z2 / 4)) / (1 + z2)
    low, high = mean - math.hypot(half, mean - center + spread), mean + math.hypot(half, center + spread - mean)
    return Interval(mean, max(0.0, low), min(1.0, high), len(accuracies), images, float(2 * spread))


def crossed_interval(values: np.ndarray, low: float = 0.0, high: float = 1.0, extra: int = 2) -> Interval:
    """Interval of the mean over device seeds and images, both drawn at random and crossed.

    With the mean squares of a two-way analysis of variance, the variance of the mean is estimated by
    (MS_seeds + MS_images - MS_rest)/(n m), but at least by the part of seeds or of images alone; Student's t has the
    degrees of freedom of Satterthwaite (Biometrics Bulletin 2, 1946). Means of bounded values need a correction near
    the bounds, where a sample may not vary at all: `extra` images at each bound are added for the interval (two for 0
    and 1 are Agresti and Coull's interval, The American Statistician 52, 1998), which is clipped to the bounds. With
    one seed, a chip on which nothing is random, images alone vary.

    Coverage, measured by benchmarks/coverage.py: 93 to 97 % for chips whose accuracies are not very skewed. Few chips
    with rare disasters make the interval too narrow: 89 % for lognormal losses at n = 5, 91 % at n = 10. A bootstrap-t
    over seeds and images does worse there (85 and 88 %), and the percentile bootstrap for ordinary chips at n = 5
    (87 %).

    Args:
        values: (seeds, images), such as 0/1 for wrong and right, or the difference of two such arrays.
        low: the smallest possible value; -1 for a difference.
        high: the largest possible value.
        extra: images added at each bound.

    Raises:
        ValueError: if there are no values, or values out of bounds.
    """
    values = np.atleast_2d(np.asarray(values, float))
    if not values.size or not low <= values.min() <= values.max() <= high:  # nor is any of them NaN
        raise ValueError(f"values of shape {values.shape}: must be there, and lie from {low:g} to {high:g}")
    padded = np.hstack([values, np.tile([low, high] * extra, (len(values), 1))])
    variance, freedom, by_images = _variance_of_mean(padded)
    t, t_images = special.stdtrit([freedom, padded.shape[1] - 1], QUANTILE)  # Student's quantiles
    half, center, mean = t * math.sqrt(variance), float(padded.mean()), float(values.mean())
    bottom, top = max(low, min(mean, center - half)), min(high, max(mean, center + half))
    n, m = values.shape
    return Interval(mean, float(bottom), float(top), n, m, float(2 * t_images * math.sqrt(by_images)))


def _variance_of_mean(values: np.ndarray) -> tuple[float, float, float]:
    """Variance of the mean of (seeds, images), its degrees of freedom, and its part that comes from images alone."""
    n, m = values.shape
    by_image = values.mean(0)
    if n == 1:
        variance = by_image.var(ddof=1) / m
        return variance, m - 1, variance
    by_seed = values.mean(1)
    rest = values - by_seed[:, None] - by_image + values.mean()
    squares = m * by_seed.var(ddof=1), n * by_image.var(ddof=1), (rest**2).sum() / ((n - 1) * (m - 1))
    freedoms = n - 1, m - 1, (n - 1) * (m - 1)
    seeds, images, both = squares
    total = max(seeds + images - both, seeds, images)
    freedom = total**2 / sum(s**2 / f for s, f in zip(squares, freedoms, strict=True)) if total else n - 1
    return total / (n * m), max(freedom, 1), max(images - both, 0) / (n * m)


def standard_error(values: np.ndarray) -> float:
    """Standard error of the mean of (seeds, images), both random and crossed, as `crossed_interval` estimates it."""
    return math.sqrt(_variance_of_mean(values)[0])


def trainings_interval(values: np.ndarray) -> Interval:
    """Interval of a sum over networks, each the mean of several trainings, on chips and images that all share.

    The variance of the sum is that between a network's trainings, by their number, added up over networks, and that
    over chips and images of what all of them lose together, as in `crossed_interval`. What chips and images add to the
    differences between trainings counts in both: the interval is rather too wide.

    Args:
        values: (networks, trainings, seeds, images), at least 2 trainings; each network's by its weight in the sum.
    """
    networks, trainings = values.shape[:2]
    together = values.mean(1).sum(0)
    variance, freedom, _ = _variance_of_mean(together)
    variances = np.array([variance, *(values.mean((2, 3)).var(1, ddof=1) / trainings)])
    freedoms = np.array([freedom, *[trainings - 1] * networks])
    total = variances.sum()
    t = special.stdtrit(total**2 / (variances**2 / freedoms).sum() if total else 1, QUANTILE)
    mean, half = float(together.mean()), float(t * math.sqrt(total))
    n, m = together.shape
    return Interval(mean, mean - half, mean + half, n, m)


def training_variance(values: np.ndarray) -> float:
    """Variance between a network's trainings, without what chips and images add to their differences; 0 at least.

    By the mean squares of an analysis of variance with three crossed random factors, of which `values` are
    (trainings, seeds, images), at least 2 trainings and images; one seed if chips are alike.
    """
    trainings, seeds, images = values.shape
    mean, each = values.mean(), values.mean((1, 2))
    on_chips, on_images = values.mean(2), values.mean(1)
    with_chips = on_chips - each[:, None] - on_chips.mean(0) + mean
    with_images = on_images - each[:, None] - on_images.mean(0) + mean
    rest = values - each[:, None, None] - values.mean(0) + mean - with_chips[:, :, None] - with_images[:, None]
    added = (with_images**2).sum() / (images - 1) / images
    if seeds > 1:
        added += (with_chips**2).sum() / (seeds - 1) / seeds
        added -= (rest**2).sum() / ((seeds - 1) * (images - 1)) / (seeds * images)
    return float(max(each.var(ddof=1) - added / (trainings - 1), 0))


def difference_interval(first: np.ndarray, second: np.ndarray) -> Interval:
    """Interval of the difference of two accuracies, first minus second, measured on the same device seeds and images.

    Near 0 one image at each bound is enough (Bonett and Price, J. Educational and Behavioral Statistics 37, 2012). Both
    are (seeds, images) 0/1 for wrong and right, with one row if nothing is random there. Raises ValueError if seeds or
    images differ in number.
    """
    first, second = (np.atleast_2d(np.asarray(hits, float)) for hits in (first, second))
    if first.shape[1] != second.shape[1] or len({1, len(first), len(second)}) > 2:
        raise ValueError(f"hits of shapes {first.shape} and {second.shape}: must be of the same seeds and images")
    return crossed_interval(first - second, low=-1, extra=1)

"""Intervals for accuracies over simulated chips and test images."""

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided confidence interval."""

    mean: float
    low: float
    high: float
    n: int  #: device seeds
    images: int

    def scaled(self, factor: float) -> "Interval":
        """The interval of a multiple of the mean."""
        return Interval(factor * self.mean, factor * self.low, factor * self.high, self.n, self.images)


def crossed_interval(values: np.ndarray, low: float = 0.0, high: float = 1.0, confidence: float = 0.95) -> Interval:
    """Interval of the mean over device seeds and images, both drawn at random and crossed.

    The variance of the mean is s_seed^2/n + s_image^2/m with s_seed^2 the variance of the n seeds' means and s_image^2
    that of the m images' means; both contain the interaction, so the interval errs on the wide side. Student's t has
    the degrees of freedom of Welch and Satterthwaite. Means of bounded values need a correction near the bounds, where
    a sample may not vary at all: two images at each bound are added for the interval (for 0 and 1 this is Agresti and
    Coull's interval, The American Statistician 52, 1998), which is clipped to the bounds. With one seed, a chip on
    which nothing is random, images alone vary. Few chips with skewed accuracies, such as a rare disaster, make the
    interval too narrow: measured in tests/test_statistics.py.

    Args:
        values: (seeds, images), such as 0/1 for wrong and right, or the difference of two such arrays.
        low: the smallest possible value; -1 for a difference.
        high: the largest possible value.

    Raises:
        ValueError: if there are no values, or values out of bounds.
    """
    values = np.atleast_2d(np.asarray(values, float))
    n, m = values.shape
    if not values.size or values.min() < low or values.max() > high:
        raise ValueError(f"values of shape {values.shape}: must be there, and lie from {low:g} to {high:g}")
    images = np.append(values.mean(0), [low, low, high, high])
    variances, freedoms = [images.var(ddof=1) / len(images)], [len(images) - 1]
    if n > 1:
        variances.append(values.mean(1).var(ddof=1) / n)
        freedoms.append(n - 1)
    freedom = sum(variances) ** 2 / sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    half = stats.t.ppf(0.5 + confidence / 2, freedom) * np.sqrt(sum(variances))
    center, mean = float(images.mean()), float(values.mean())
    return Interval(mean, float(max(low, min(mean, center - half))), float(min(high, max(mean, center + half))), n, m)


def pack(correct: np.ndarray) -> str:
    """A row of right and wrong answers as hexadecimal text, for a store."""
    return np.packbits(np.asarray(correct, bool)).tobytes().hex()


def unpack(text: str, images: int) -> np.ndarray:
    """The inverse of `pack`: (images,) bool."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=images).astype(bool)

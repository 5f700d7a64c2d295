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


def crossed_interval(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Interval of the mean over device seeds and images, both drawn at random and crossed.

    The variance of the mean is s_seed^2/n + s_image^2/m with s_seed^2 the variance of the n seeds' means and s_image^2
    that of the m images' means; both contain the interaction, so the interval errs on the wide side. Student's t has
    the degrees of freedom of Welch and Satterthwaite. With one seed (a deterministic chip), images alone vary.

    Args:
        values: (seeds, images), such as 0/1 for wrong and right, or the difference of two such arrays.

    Raises:
        ValueError: if there are fewer than two images.
    """
    values = np.atleast_2d(np.asarray(values, float))
    n, m = values.shape
    if m < 2:
        raise ValueError(f"values={values.shape}: must hold at least two images")
    parts = [(values.mean(0).var(ddof=1) / m, m - 1)]
    if n > 1:
        parts.append((values.mean(1).var(ddof=1) / n, n - 1))
    variance = sum(v for v, _ in parts)
    mean = float(values.mean())
    if variance == 0:
        return Interval(mean, mean, mean, n, m)
    freedom = variance**2 / sum(v**2 / f for v, f in parts)
    half = float(stats.t.ppf(0.5 + confidence / 2, freedom) * np.sqrt(variance))
    return Interval(mean, mean - half, mean + half, n, m)


def pack(correct: np.ndarray) -> str:
    """A row of right and wrong answers as hexadecimal text, for a store."""
    return np.packbits(np.asarray(correct, bool)).tobytes().hex()


def unpack(text: str, images: int) -> np.ndarray:
    """The inverse of `pack`: (images,) bool."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=images).astype(bool)

"""How often do 95 % intervals hold the truth? Ours and two bootstraps, on simulated chips.

    python benchmarks/coverage.py [repeats]

Every repeat draws new chips and new test images, easy and hard ones. The truth is known: the quantile function of
losses is clipped to possible accuracies and integrated, or there is a formula. Both bootstraps resample chips and
images (two-way, "pigeonhole": Owen, Annals of Applied Statistics 1, 2007); the bootstrap-t is studentised with the
variance that crossed_interval uses. A coverage measured in 1000 repeats is good to +-1.4 %, twice its standard error.

The second table tests Student's interval when AdaptiveSeeds adds seeds until it is narrow enough. Its rows have four
times as many repeats.
"""

import argparse
import math

import numpy as np
import pandas as pd
from scipy import stats

from memlib.evidence.intervals import crossed_interval, seed_interval
from memlib.sweeps.adaptive_seeds import AdaptiveSeeds

SEEDS, IMAGES, RESAMPLES = (5, 10, 20), 1000, 400
ACCURACY, HARD = 0.8, 0.12  # easy and hard images are right with probability 0.8 +- 0.12
MARGIN, NOISE = 1.5, 0.3  # mean margin of an image in standard deviations, and what is private to a chip and an image

LOSSES = {  # quantile functions of what a chip loses
    "no chip variation": np.zeros_like,
    "normal, sd 1 %": stats.norm(scale=0.01).ppf,
    "normal, sd 5 %": stats.norm(scale=0.05).ppf,
    "uniform, +-10 %": stats.uniform(-0.1, 0.2).ppf,
    "gamma, sd 3.5 %, skewness 1.4": stats.gamma(2, scale=0.025).ppf,
    "lognormal, sd 4.3 %, skewness 6.2": stats.lognorm(1, scale=0.02).ppf,
}
PAIRS = {  # (spread common to both, spread of the second alone, whether the first is exact)
    "difference, common chips": (0.2, 0.0, False),
    "difference, second varies more": (0.1, 0.2, False),
    "difference from an exact baseline": (0.0, 0.2, True),
}
#: Accuracies in points, and the widths that are asked of them: about 10, 20 and 40 seeds' worth.
ADAPTIVE = {
    "normal, sd 1": (stats.norm(scale=1), (1.4, 0.95, 0.65)),
    "gamma, sd 1, skewness 1.4": (stats.gamma(2, scale=math.sqrt(0.5)), (1.4, 0.95, 0.65)),
    "lognormal, sd 2.2, skewness 6.2": (stats.lognorm(1), (3.0, 2.1, 1.4)),
}


def of_losses(quantiles):
    """(simulate, truth): 0/1 for wrong and right, of chips that lose accuracy."""

    def simulate(rng, n):
        hard = HARD * rng.choice([-1, 1], IMAGES)
        return (rng.random((n, IMAGES)) < ACCURACY + hard - quantiles(rng.random((n, 1)))).astype(float)

    middles = (np.arange(10**6) + 0.5) / 10**6  # of a bounded monotone function: wrong by less than 1e-6
    accuracies = [np.clip(ACCURACY + hard - quantiles(middles), 0, 1).mean() for hard in (-HARD, HARD)]
    return simulate, np.mean(accuracies)


def of_margins(common, apart, exact):
    """(simulate, truth): the difference of two networks, right where margins of images and chips are positive."""

    def simulate(rng, n):
        image, chip = MARGIN + rng.normal(size=IMAGES), rng.normal(size=(n, 2))
        both = common * chip[:, :1] + NOISE * rng.normal(size=(n, IMAGES))
        first = image > 0 if exact else image + both > 0
        return first.astype(float) - (image + both + apart * chip[:, 1:] > 0.1)

    spread = math.hypot(1, 0 if exact else math.hypot(common, NOISE)), math.hypot(1, common, NOISE, apart)
    return simulate, stats.norm.cdf(MARGIN / spread[0]) - stats.norm.cdf((MARGIN - 0.1) / spread[1])


def weights(rng, size):
    """How often each of `size` is drawn in every resample: (RESAMPLES, size)."""
    drawn = rng.integers(0, size, (RESAMPLES, size)) + size * np.arange(RESAMPLES)[:, None]
    return np.bincount(drawn.ravel(), minlength=RESAMPLES * size).reshape(RESAMPLES, size).astype(np.float32)


def moments(values, by_seed, by_image):
    """Mean and standard error of weighted (seeds, images), for each row of weights."""
    n, m = values.shape
    values = values.astype(np.float32)  # small whole numbers
    seeds = (by_image @ values.T).astype(float) / m
    images = by_seed @ values / n
    mean = (by_seed * seeds).sum(1) / n
    squares = np.einsum("bj,bj->b", by_seed @ values**2, by_image).astype(float) - n * m * mean**2
    of_seeds = m * ((by_seed * seeds**2).sum(1) - n * mean**2)
    of_images = n * (np.einsum("bj,bj->b", by_image, (images - mean[:, None].astype(np.float32)) ** 2))
    rest = np.maximum(squares - of_seeds - of_images, 0) / ((n - 1) * (m - 1))
    of_seeds, of_images = np.maximum(of_seeds, 0) / (n - 1), of_images / (m - 1)
    total = np.maximum(of_seeds + of_images - rest, np.maximum(of_seeds, of_images))
    return mean, np.sqrt(np.maximum(total, 1e-12) / (n * m))


def bootstraps(values, rng):
    """Bounds of the bootstrap-t and of the percentile bootstrap."""
    n, m = values.shape
    means, errors = moments(values, weights(rng, n), weights(rng, m))
    mean, error = (x[0] for x in moments(values, np.ones((1, n), np.float32), np.ones((1, m), np.float32)))
    low, high = np.quantile((means - mean) / errors, [0.025, 0.975])
    return (mean - high * error, mean - low * error), np.quantile(means, [0.025, 0.975])


def cell(bounds, truth, lowest):
    """Coverage in %, and mean width in points, of intervals that are clipped to what is possible."""
    low, high = np.clip(np.transpose(bounds), lowest, 1)
    return f"{100 * np.mean((low <= truth) & (truth <= high)):.1f} ({100 * np.mean(high - low):.2f})"


def print_crossed(repeats):
    """A row per scenario and number of seeds."""
    print("| scenario | seeds | crossed_interval | bootstrap-t | percentile bootstrap |\n|---|---|---|---|---|")
    scenarios = {name: (*of_losses(quantiles), 0) for name, quantiles in LOSSES.items()}
    scenarios |= {name: (*of_margins(*spreads), -1) for name, spreads in PAIRS.items()}
    for name, (simulate, truth, lowest) in scenarios.items():
        for n in SEEDS:
            rng, bounds = np.random.default_rng(n), []
            for _ in range(repeats):
                values = simulate(rng, n)
                interval = crossed_interval(values, lowest, extra=1 if lowest < 0 else 2)
                bounds.append([(interval.low, interval.high), *bootstraps(values, rng)])
            cells = " | ".join(cell(b, truth, lowest) for b in np.swapaxes(bounds, 0, 1))
            print(f"| {name} | {n} | {cells} |", flush=True)


def watched(distribution, seeds, rng):
    """The interval of as many values as AdaptiveSeeds asks for."""
    values, n = distribution.rvs(seeds.most, random_state=rng), seeds.first
    while (more := seeds.count(pd.DataFrame({"accuracy": values[:n]}))) > n:
        n = more
    return seed_interval(values[:n])


def print_adaptive(repeats):
    """Rows for 5 and 10 first seeds, and for as many seeds as the first needed on average but fixed."""
    print("\n| accuracies | width asked | seeds | mean number | coverage, % | mean width |\n|---|---|---|---|---|---|")
    for name, (distribution, widths) in ADAPTIVE.items():
        for width in widths:
            mean = None
            for first in (5, 10, None):
                rng = np.random.default_rng(1)
                n = first or round(mean)
                seeds = AdaptiveSeeds(width if first else 1e9, first=n, most=max(n, 50))
                found = [watched(distribution, seeds, rng) for _ in range(repeats)]
                mean = mean or np.mean([i.n for i in found])
                held = np.mean([i.low <= distribution.mean() <= i.high for i in found])
                numbers = f"{np.mean([i.n for i in found]):.1f} | {100 * held:.1f}"
                label = f"from {n} to 50" if first else f"always {n}"
                print(f"| {name} | {width} | {label} | {numbers} | {np.mean([i.high - i.low for i in found]):.2f} |")


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repeats", type=int, nargs="?", default=1000)
    repeats = parser.parse_args().repeats
    print(f"{IMAGES} images, {repeats} repeats; coverage in % (mean width in points)\n")
    print_crossed(repeats)
    print_adaptive(4 * repeats)


if __name__ == "__main__":
    main()

"""Intervals against theory and simulation; claims against hand-made intervals."""

import numpy as np
import pytest
from scipy import stats

from memlib.claims import above, within
from memlib.statistics import Interval, crossed_interval, pack, unpack


def test_one_chip_is_agresti_and_coull():
    """45 of 50 images right: by hand, 47 of 54 with Student's t."""
    interval = crossed_interval(np.arange(50) < 45)
    half = stats.t.ppf(0.975, 53) * np.sqrt(47 / 54 * 7 / 54 / 53)
    assert interval.mean == pytest.approx(0.9)
    assert (interval.low, interval.high) == pytest.approx((47 / 54 - half, 47 / 54 + half))


def test_seeds_alone_are_the_classic_interval_over_seeds():
    """If a great many images answer alike, only the seeds' means vary: SciPy's Student interval."""
    means = np.array([0.1, 0.4, 0.2, 0.6])
    expected = stats.ttest_1samp(means, 0).confidence_interval()
    interval = crossed_interval(np.repeat(means[:, None], 100_000, axis=1))
    assert interval.low == max(0, expected.low)
    assert interval.high == pytest.approx(expected.high, abs=1e-3)


def coverage(simulate, truth, low=0.0, repeats=2000):
    """How often the interval of simulated values holds the truth."""
    rng = np.random.default_rng(1)
    intervals = [crossed_interval(simulate(rng), low) for _ in range(repeats)]
    return np.mean([i.low <= truth <= i.high for i in intervals])


@pytest.mark.parametrize(("seeds", "images", "chips"), [(5, 200, 0.05), (10, 50, 0.02), (10, 1000, 0.1), (1, 300, 0.0)])
def test_coverage_over_chips_and_images(seeds, images, chips):
    """Easy and hard images, better and worse chips around 80 %: the interval holds it in 93 to 99.5 % of runs."""

    def simulate(rng):
        chip, image = chips * rng.uniform(-1, 1, (seeds, 1)), 0.1 * rng.choice([-1, 1], (1, images))
        return rng.random((seeds, images)) < 0.8 + chip + image

    assert 0.93 <= coverage(simulate, 0.8) <= 0.995


@pytest.mark.parametrize(("p", "images"), [(0.99, 100), (0.996, 500), (0.5, 20)])
def test_coverage_near_the_bounds(p, images):
    """Where nearly every image is right, and often all are, the interval still holds the truth in 93 % of runs."""
    assert coverage(lambda rng: rng.random((1, images)) < p, p) >= 0.93


def test_coverage_of_rare_differences():
    """Two networks that disagree on 1 % of 500 images."""

    def simulate(rng):
        u = rng.random((1, 500))
        return (u < 0.006).astype(float) - (u > 0.996)

    assert coverage(simulate, 0.002, low=-1) >= 0.93


def test_few_chips_with_rare_disasters_are_a_known_weakness():
    """Lognormal losses over 5 chips, images without noise: the interval holds the truth in only 75 to 93 % of runs."""

    def simulate(rng):
        return np.repeat(0.9 - np.minimum(0.02 * np.exp(rng.normal(size=(5, 1))), 0.9), 20_000, axis=1)

    assert 0.75 <= coverage(simulate, 0.9 - 0.02 * np.exp(0.5), repeats=200) <= 0.93


def test_no_variation_still_has_width_and_stays_in_bounds():
    """All right: the interval ends at 1 and starts below."""
    interval = crossed_interval(np.ones((3, 7)))
    assert interval.mean == interval.high == 1
    assert 0 < interval.low < 1


@pytest.mark.parametrize("values", [np.empty((3, 0)), np.array([[0.0, 2.0]])])
def test_no_values_or_impossible_ones_are_refused(values):
    """An empty table or accuracies above 1."""
    with pytest.raises(ValueError, match="must be there, and lie from 0 to 1"):
        crossed_interval(values)


def test_pack_is_undone_by_unpack():
    """Any number of answers, also not a multiple of 8."""
    answers = np.random.default_rng(2).random(1003) < 0.7
    assert (unpack(pack(answers), 1003) == answers).all()


@pytest.mark.parametrize(
    ("low", "high", "greater", "equal"),
    [
        (0.02, 0.04, "confirmed", "refuted"),
        (-0.04, -0.02, "refuted", "refuted"),
        (0.005, 0.02, "undecided", "undecided"),
        (-0.005, 0.005, "refuted", "confirmed"),
    ],
)
def test_verdicts(low, high, greater, equal):
    """The whole interval must be on one side of 1 point, or within +-1 point."""
    interval = Interval((low + high) / 2, low, high, 10, 5000)
    assert above("x", interval, 0.01).verdict == greater
    assert within("x", interval, 0.01).verdict == equal
    assert above("x", interval).effect == pytest.approx(50 * (low + high))


def test_few_seeds_or_images_are_exploratory():
    """Conclusions need 10 seeds and 5,000 images."""
    assert not above("x", Interval(0, 0, 0, 10, 5000)).exploratory
    assert above("x", Interval(0, 0, 0, 9, 5000)).exploratory
    assert above("x", Interval(0, 0, 0, 10, 4999)).exploratory

"""Intervals against theory, hand-made examples and simulation."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from memlib.evidence.intervals import (
    Interval,
    crossed_interval,
    difference_interval,
    seed_interval,
    standard_error,
    training_variance,
    trainings_interval,
)


def margins(rng, seeds, images, chips):
    """How surely each chip is right on each image: mean 1, and what varies with image, chip, and both together."""
    image, chip, both = rng.normal(size=images), rng.normal(size=(seeds, 1)), rng.normal(size=(seeds, images))
    return 1 + image + chips * chip + 0.5 * both


def accuracy(chips, mean=1.0):
    """The true share of positive `margins`: about 80 %, of images that most chips get right or most get wrong."""
    return stats.norm.cdf(mean / math.hypot(1, 0.5, chips))


def uniform(rng, seeds, images, chips):
    """0/1, right with probability 0.8 on average: easy and hard images, chips that are better or worse on all alike."""
    chip, image = chips * rng.uniform(-1, 1, (seeds, 1)), 0.1 * rng.choice([-1, 1], (1, images))
    return rng.random((seeds, images)) < 0.8 + chip + image


def coverage(simulate, truth, low=0.0, repeats=2000):
    """How often the interval of simulated values holds the truth."""
    rng = np.random.default_rng(1)
    return held([crossed_interval(simulate(rng), low) for _ in range(repeats)], truth)


def held(intervals, truth):
    return np.mean([i.low <= truth <= i.high for i in intervals])


def mean_width(intervals):
    return np.mean([i.high - i.low for i in intervals])


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


def test_interval_is_that_of_mean_squares_taken_by_hand():
    """Plain Python: mean squares of seeds, images and rest; Satterthwaite's degrees of freedom; Student's t."""
    rng = np.random.default_rng(3)
    values = (margins(rng, 6, 40, 0.5) > 0).astype(float).tolist()
    table = [[*row, 0, 0, 1, 1] for row in values]
    n, m = len(table), len(table[0])
    rows, columns = ([statistics.mean(line) for line in lines] for lines in (table, zip(*table, strict=True)))
    center = statistics.mean(rows)
    a, b = m * statistics.variance(rows), n * statistics.variance(columns)
    rest = sum((table[i][j] - rows[i] - columns[j] + center) ** 2 for i in range(n) for j in range(m))
    c = rest / (n - 1) / (m - 1)
    assert min(a, b) > c
    freedom = (a + b - c) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1) + c**2 / (n - 1) / (m - 1))
    half = stats.t.ppf(0.975, freedom) * math.sqrt((a + b - c) / n / m)
    interval = crossed_interval(values)
    assert interval.mean == pytest.approx(statistics.mean(map(statistics.mean, values)))
    assert (interval.low, interval.high) == pytest.approx((center - half, center + half))
    assert (interval.n, interval.images) == (6, 40)


@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize(("images", "chips"), [(300, 0.0), (500, 0.1), (200, 0.3)])
def test_coverage_over_chips_and_images(seeds, images, chips):
    """Images of mixed difficulty and chips that vary by 0, 2 and 7 points: 95 % +- 2 % of intervals hold the truth."""
    assert 0.93 <= coverage(lambda rng: margins(rng, seeds, images, chips) > 0, accuracy(chips)) <= 0.97


@pytest.mark.parametrize(
    ("seeds", "images", "chips", "least", "most"),
    [
        *((n, m, chips, 0.93, 0.97) for n, m, chips in [(5, 200, 0.05), (10, 200, 0.02), (10, 1000, 0.1), (1, 300, 0)]),
        *((n, m, chips, 0.965, 0.985) for n, m, chips in [(5, 500, 0.0), (10, 50, 0.02)]),
    ],
)
def test_coverage_over_chips_that_lose_alike_on_all_images(seeds, images, chips, least, most):
    """Chips uniformly better or worse by up to 10 points, and a single one: 95 % +- 2 %.

    It is too cautious where chips and images vary little, or 4 added images are many: 96.5 to 98.5 %.
    """
    assert least <= coverage(lambda rng: uniform(rng, seeds, images, chips), 0.8) <= most


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
    """Lognormal losses over 5 chips, images without noise: the interval holds the truth in only 80 to 88 % of runs."""

    def simulate(rng):
        return np.repeat(0.9 - np.minimum(0.02 * np.exp(rng.normal(size=(5, 1))), 0.9), 1000, axis=1)

    assert 0.8 <= coverage(simulate, 0.9 - 0.02 * np.exp(0.5)) <= 0.88


def test_no_variation_still_has_width_and_stays_in_bounds():
    """All right: the interval ends at 1 and starts below."""
    interval = crossed_interval(np.ones((3, 7)))
    assert interval.mean == interval.high == 1
    assert 0 < interval.low < 1


@pytest.mark.parametrize("values", [np.empty((3, 0)), np.array([[0.0, 2.0]]), np.array([[0.0, np.nan]])])
def test_no_values_or_impossible_ones_are_refused(values):
    """An empty table, accuracies above 1, and none that are numbers."""
    with pytest.raises(ValueError, match="must be there, and lie from 0 to 1"):
        crossed_interval(values)


def test_more_seeds_narrow_the_interval_as_one_over_the_root():
    """Where chips dominate, 40 seeds make it half as wide as 10 (+-0.03), but for Student's t."""
    rng = np.random.default_rng(4)

    def squared_width(n):
        found = [crossed_interval(margins(rng, n, 1000, 1.0) > 0) for _ in range(300)]
        return np.mean([(i.high - i.low) ** 2 for i in found]) / stats.t.ppf(0.975, n - 1) ** 2

    assert math.sqrt(squared_width(40) / squared_width(10)) == pytest.approx(0.5, abs=0.03)


def test_the_same_images_leave_a_floor():
    """Where images dominate, 5 seeds foretell the width that 500 have, and 500 do not go below their floor."""
    rng = np.random.default_rng(5)
    few = [crossed_interval(margins(rng, 5, 200, 0.05) > 0) for _ in range(200)]
    many = [crossed_interval(margins(rng, 500, 200, 0.05) > 0) for _ in range(20)]
    assert mean_width(few) > 1.05 * mean_width(many)
    assert np.mean([i.floor for i in few]) == pytest.approx(mean_width(many), rel=0.03)
    assert all(0.97 * (i.high - i.low) <= i.floor <= i.high - i.low for i in many)


def test_few_seeds_do_not_overstate_the_floor():
    """Where chips dominate, 5 seeds foretell what 500 are left with: they must not stop a search for more."""
    rng = np.random.default_rng(4)
    few = [crossed_interval(margins(rng, 5, 200, 0.5) > 0).floor for _ in range(400)]
    many = crossed_interval(margins(rng, 500, 200, 0.5) > 0)
    assert np.mean(few) == pytest.approx(many.floor, rel=0.07)
    assert many.floor < many.high - many.low


def test_seeds_leave_no_floor_where_images_do_not_matter():
    """Images that all answer alike: next to no floor; the interval of twice the values has twice of everything."""
    interval = crossed_interval(np.repeat([[0.2], [0.4], [0.9]], 100_000, axis=1))
    assert interval.floor < 0.05 * (interval.high - interval.low)
    twice = interval.scaled(2)
    assert (twice.mean, twice.low, twice.high, twice.floor) == pytest.approx(
        (1.0, 2 * interval.low, 2 * interval.high, 2 * interval.floor)
    )
    assert (twice.n, twice.images) == (3, 100_000)


def test_seed_interval_is_that_of_scipy():
    """Student's interval of the mean."""
    values = [0.71, 0.64, 0.8, 0.69]
    expected, interval = stats.ttest_1samp(values, 0).confidence_interval(), seed_interval(values)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert (interval.mean, interval.n, interval.floor) == (pytest.approx(0.71), 4, 0)
    single = seed_interval([0.7])  # says nothing of others
    assert (single.mean, single.low, single.high, single.n) == (0.7, -math.inf, math.inf, 1)


@pytest.mark.parametrize("values", [[1.0] * 5, [0.93] * 5, [0.0] * 3, [0.1 + 0.2, 0.3]])
def test_seeds_that_are_all_alike_do_not_say_how_far_others_may_be_off(values):
    """No width only for numbers that may be constant; alike up to rounding is alike."""
    alike = seed_interval(values)
    assert (alike.mean, alike.low, alike.high) == (pytest.approx(values[0]), -math.inf, math.inf)
    constant = seed_interval(values, constant=True)
    assert (constant.low, constant.high) == (pytest.approx(values[0]), pytest.approx(values[0]))
    assert seed_interval([1.0, 1.0, 1.0 + 1e-6]).high < 1 + 3e-6  # that is no rounding


def test_accuracies_that_are_all_alike_are_known_as_well_as_their_images_allow():
    """Wilson by hand: of 100 right answers the interval goes from 1 / (1 + 1.96^2 / 100) to 1."""
    right = seed_interval([1.0] * 5, images=100)
    assert (right.mean, right.low, right.high) == (1, pytest.approx(0.9630, abs=1e-4), 1)
    assert (right.n, right.images, right.floor) == (5, 100, pytest.approx(0.0370, abs=1e-4))
    wrong = seed_interval([0.0] * 5, images=100)
    assert (wrong.low, wrong.high) == (0, pytest.approx(0.0370, abs=1e-4))
    middle = seed_interval([0.5] * 3, images=100)  # half a width of 1.96 * 0.5 / sqrt(100 + 1.96^2)
    assert (middle.low, middle.high) == (pytest.approx(0.4038, abs=1e-4), pytest.approx(0.5962, abs=1e-4))


def test_squares_of_seeds_and_images_are_added():
    """0.5 +- 0.2484 over three seeds (t = 4.3027, sd = 0.1), +- 0.0962 over 100 images; one seed says nothing."""
    both = seed_interval([0.4, 0.5, 0.6], images=100)
    half = math.hypot(0.2484, 0.0962)
    assert (both.low, both.high) == (pytest.approx(0.5 - half, abs=1e-4), pytest.approx(0.5 + half, abs=1e-4))
    single = seed_interval([0.9], images=1000)
    assert (single.low, single.high) == (0, 1)


@pytest.mark.parametrize(("seeds", "images", "chips", "mean"), [(5, 200, 0.0, 1), (5, 500, 0.3, 1), (5, 200, 0.1, 3)])
def test_coverage_of_accuracies_by_their_number_of_images(seeds, images, chips, mean):
    """Also where chips are all alike, and 99.6 % are right, so that five chips often miss nothing."""
    rng = np.random.default_rng(1)
    hits = (margins(rng, seeds, images, chips) + mean - 1 > 0 for _ in range(1000))
    intervals = [seed_interval(chips.mean(1), images) for chips in hits]
    assert held(intervals, accuracy(chips, mean)) >= 0.93


@pytest.mark.parametrize(("images", "message"), [(0, "images=0"), (2.5, "images=2.5"), (100, "accuracies from 0 to 1")])
def test_images_go_with_accuracies_and_are_counted(images, message):
    with pytest.raises(ValueError, match=message):
        seed_interval([0.9, 1.0, 1.1], images)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [0.5, math.inf], [[0.5, 0.6]], 0.5])
def test_seeds_without_a_number_are_refused(values):
    """Nothing, or nothing finite, or not one for each seed, to take the mean of."""
    with pytest.raises(ValueError, match="must be there, and finite"):
        seed_interval(values)


def pair(rng, seeds, images, apart, chips=0.2):
    """Hits of two networks on the same chips and images; the second has less margin, and effects of its own chips."""
    first = margins(rng, seeds, images, chips)
    return first > 0, first + apart * rng.normal(size=(seeds, 1)) > 0.15


@pytest.mark.parametrize(("seeds", "apart"), [(5, 0.2), (10, 0.2), (20, 0.2), (10, 0.3)])
def test_coverage_of_paired_differences(seeds, apart):
    """Two networks that are 4 to 5 points apart: 95 % +- 2 % of intervals hold that."""
    rng = np.random.default_rng(6)
    intervals = [difference_interval(*pair(rng, seeds, 500, apart)) for _ in range(2000)]
    assert 0.93 <= held(intervals, accuracy(0.2) - accuracy(math.hypot(0.2, apart), 0.85)) <= 0.97


def test_differences_between_few_answers_are_cautious():
    """Two networks that disagree on 4 % of 500 images, on whatever chip: 98 to 100 % of intervals hold the truth."""
    rng = np.random.default_rng(6)
    intervals = [difference_interval(*pair(rng, 10, 500, 0)) for _ in range(1000)]
    assert held(intervals, accuracy(0.2) - accuracy(0.2, 0.85)) >= 0.98


def test_difference_from_a_baseline_that_never_varies():
    """One row is compared with every chip: the same as writing it once per chip, and coverage is 95 % +- 2 %."""
    rng = np.random.default_rng(7)
    intervals = []
    for _ in range(2000):
        image = 1 + rng.normal(size=300)
        exact = image > 0
        chips = image + 0.2 * rng.normal(size=(10, 1)) + 0.5 * rng.normal(size=(10, 300)) > 0
        intervals.append(difference_interval(exact, chips))
    assert intervals[-1] == difference_interval(np.repeat(exact[None], 10, axis=0), chips)
    assert 0.93 <= held(intervals, stats.norm.cdf(1) - accuracy(0.2)) <= 0.97


def test_pairing_narrows_the_interval():
    """On the same chips a difference is known at least 3 times as well as from chips of each network's own."""
    rng = np.random.default_rng(8)
    paired, unpaired = [], []
    for _ in range(100):
        first, second = pair(rng, 10, 1000, 0.05)
        other = pair(rng, 10, 1000, 0.05)[1]
        paired.append(difference_interval(first, second))
        unpaired.append(difference_interval(first, other))
    assert mean_width(paired) < mean_width(unpaired) / 3


@pytest.mark.parametrize(("first", "second"), [((3, 7), (3, 8)), ((3, 7), (4, 7)), ((7,), (3, 8))])
def test_differences_need_the_same_seeds_and_images(first, second):
    """Other numbers of seeds (but for one) or images; the error tells both shapes."""
    with pytest.raises(ValueError, match=r"hits of shapes \(\d, 7\) and \(\d, \d\): must be of the same seeds"):
        difference_interval(np.ones(first), np.ones(second))


def test_standard_error_is_that_of_means_over_chips_and_images():
    """Of 400 made-up experiments with every part of the variance: what their means differ by."""
    rng = np.random.default_rng(5)
    values = 0.1 * rng.standard_normal((400, 4, 1)) + 0.4 * rng.standard_normal((400, 1, 60))
    values += 0.6 * rng.standard_normal((400, 4, 60))
    expected = values.mean((1, 2)).std(ddof=1)
    assert expected == pytest.approx(np.sqrt(0.1**2 / 4 + 0.4**2 / 60 + 0.6**2 / 240), rel=0.1)
    found = [standard_error(v) for v in values]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    "spread", [(2.0, 0.3), (0.3, 2.0), (1.0, 1.0), (0.0, 0.0)], ids=["trainings", "chips", "both", "images"]
)
def test_coverage_over_trainings(spread):
    """A difference of two networks of 3 trainings each, on chips and images that all share: 95 % hold the truth."""
    rng, truth, repeats = np.random.default_rng(6), 0.4, 500
    trained, chips = spread
    found = []
    for _ in range(repeats):
        values = truth * np.array([1.0, 0.0])[:, None, None, None]
        signs = np.array([1.5, -1.0])[:, None, None, None]
        values = values + trained * rng.normal(size=(2, 3, 1, 1)) + chips * signs * rng.normal(size=(10, 1))
        values = values + signs * rng.normal(size=50)
        found.append(trainings_interval(values + rng.normal(size=(2, 3, 10, 50))))
    share = np.mean([interval.low < truth < interval.high for interval in found])
    assert 0.93 <= share <= 0.985, share


def test_trainings_without_any_variation():
    """They are a point, in a table and for people, too."""
    interval = trainings_interval(np.full((1, 2, 3, 4), 0.5))
    assert interval.columns("loss") == {"loss": 0.5, "low": 0.5, "high": 0.5, "n": 3, "images": 4}
    assert str(interval) == "0.5 [0.5, 0.5]"
    assert interval == Interval(0.5, 0.5, 0.5, 3, 4, 0.0)


@pytest.mark.parametrize("seeds", [1, 6])
@pytest.mark.parametrize("between", [0.0, 0.04])
def test_training_variance(seeds, between):
    """What chips and images add to the differences between trainings is taken off again."""
    rng, found = np.random.default_rng(1), []
    for _ in range(300):
        values = (
            between**0.5 * rng.normal(size=(4, 1, 1)) + rng.normal(size=(1, seeds, 1)) + rng.normal(size=(1, 1, 20))
        )
        values = values + (seeds > 1) * 0.5 * rng.normal(size=(4, seeds, 1)) + 0.8 * rng.normal(size=(4, 1, 20))
        values = values + (seeds > 1) * rng.normal(size=(4, seeds, 20))
        found.append(training_variance(values))
    if between:
        assert np.mean(found) == pytest.approx(between, abs=0.02)  # 0 at least: a little too large
    else:
        assert np.mean(found) < 0.025
    added = (0.25 / seeds if seeds > 1 else 0) + 0.64 / 20 + (1 / (20 * seeds) if seeds > 1 else 0)
    assert added > 0.03  # in the variance of four means, which would be called the trainings'
    assert training_variance(np.ones((3, 4, 5))) == 0

import numpy as np
import pytest
from scipy import stats

from memlib.evidence.intervals import crossed_interval
from memlib.exploration.pareto import front_probability, hypervolume, mean_draws, nondominated

#: Accuracy, energy: the third is dominated by the second, the fourth equals the first.
DESIGNS = [[0.9, 5.0], [0.8, 2.0], [0.7, 3.0], [0.9, 5.0], [0.5, 1.0]]


def test_the_front_by_hand():
    assert nondominated(DESIGNS, ["max", "min"]).tolist() == [True, True, False, True, True]
    assert nondominated(DESIGNS, ["max", "max"]).tolist() == [True, False, False, True, False]


def test_the_front_is_that_of_all_comparisons():
    values = np.random.default_rng(0).integers(0, 5, (60, 3)).astype(float)
    dominated = [any((v <= w).all() and (v < w).any() for v in values) for w in values]
    assert nondominated(values, ["min"] * 3).tolist() == [not d for d in dominated]


def test_hypervolume_by_hand():
    # below 6 and above 0: 0.9 x 1, (2..5) x 0.8, (1..2) x 0.5
    assert hypervolume(DESIGNS, ["max", "min"], [0.0, 6.0]) == pytest.approx(0.9 + 3 * 0.8 + 0.5)
    assert hypervolume(DESIGNS, ["max", "min"], [0.85, 6.0]) == pytest.approx(0.05)


def test_draws_spread_as_the_interval_does():
    generator = np.random.default_rng(1)
    hits = generator.random((5, 800)) < 0.8 + 0.03 * generator.standard_normal(5)[:, None]
    low, high = np.percentile(mean_draws([hits], 20_000), [2.5, 97.5])
    interval = crossed_interval(hits)
    assert high - low == pytest.approx(interval.high - interval.low, rel=0.15)
    assert (low + high) / 2 == pytest.approx(interval.mean, abs=0.003)


def test_a_single_chip_varies_by_its_images():
    hits = (np.arange(400) < 300).astype(float)
    draws = mean_draws([hits], 20_000)
    assert draws.std() == pytest.approx(np.sqrt(0.75 * 0.25 / 399), rel=0.03)
    assert draws.mean() == pytest.approx(0.75, abs=0.001)


def test_designs_that_share_images_and_chips_rise_and_fall_together():
    generator = np.random.default_rng(2)
    first = generator.random((4, 500)) < 0.7
    worse = first & (generator.random(first.shape) < 0.98)  # the same answers but for a few
    apart = generator.random((4, 500)) < 0.7
    draws = mean_draws([first, worse, apart, first[:, :250]], 4000)
    correlation = stats.spearmanr(draws).statistic
    assert correlation[0, 1] > 0.9
    assert abs(correlation[0, 2]) < 0.15
    assert 0.3 < correlation[0, 3] < 0.95
    assert (draws[:, 1] < draws[:, 0]).mean() > 0.9  # apart, each varies by more than they differ


def test_probability_of_two_designs_is_the_normal_one():
    # equal costs: the better is on the front; accuracies differ by 1 of its standard deviations
    draws = np.random.default_rng(3).normal([0.8, 0.79], 0.01, (20_000, 2))
    probability = front_probability(np.stack([draws, np.ones_like(draws)], -1), ["max", "min"])
    expected = stats.norm.cdf(1 / np.sqrt(2))
    np.testing.assert_allclose(probability, [expected, 1 - expected], atol=0.01)


def test_probabilities_are_calibrated():
    """Of designs that are on the front with a probability around p, about p truly are."""
    generator, said, true = np.random.default_rng(4), [], []
    for trial in range(120):
        accuracy, energy = generator.uniform(0.7, 0.8, 8), generator.random(8)
        chips = accuracy[:, None] + generator.normal(0, 0.02, (8, 5))
        hits = [generator.random((5, 400)) < chip[:, None] for chip in chips]
        draws = mean_draws(hits, 200, trial)
        both = np.stack([draws, np.broadcast_to(energy, draws.shape)], -1)
        said.append(front_probability(both, ["max", "min"]))
        true.append(nondominated(np.stack([accuracy, energy], -1), ["max", "min"]))
    said, true = np.concatenate(said), np.concatenate(true)
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        chosen = (said >= low) & (said < high)
        assert chosen.sum() > 50
        assert abs(said[chosen].mean() - true[chosen].mean()) < 0.1


def test_the_same_seed_draws_the_same():
    hits = [np.eye(3, 40)]
    assert (mean_draws(hits, 10, 1) == mean_draws(hits, 10, 1)).all()
    assert (mean_draws(hits, 10, 1) != mean_draws(hits, 10, 2)).any()


def test_near_a_bound_little_is_sure():
    """Truly 99 % right: 100 images, of which most designs err on none or one, do not tell which are the better ones."""
    generator, covered, missed, front = np.random.default_rng(5), [], 0, 0
    for trial in range(60):
        accuracy = stats.norm.cdf(2.3 + 0.3 * generator.standard_normal(10))
        hits = [generator.random((1, 100)) < a for a in accuracy]
        draws = mean_draws(hits, 300, trial)
        costs = np.arange(10.0)
        said = front_probability(np.stack([draws, np.broadcast_to(costs, draws.shape)], -1), ["max", "min"])
        true = nondominated(np.stack([accuracy, costs], -1), ["max", "min"])
        low, high = np.percentile(draws, [2.5, 97.5], axis=0)
        covered.append((low <= accuracy) & (accuracy <= high))
        missed, front = missed + (said[true] < 0.05).sum(), front + true.sum()
    assert np.mean(covered) > 0.93
    assert missed / front < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nondominated(DESIGNS, ["max", "low"]), "sense='low'"),
        (lambda: nondominated(DESIGNS, ["max"]), r"values=\(5, 2\): must be finite, of shape \(designs, 1\)"),
        (lambda: nondominated([[np.nan, 1]], ["max", "min"]), "finite"),
        (lambda: mean_draws([], 10), "hits='0 arrays'"),
        (lambda: mean_draws([[[0, 2]]], 10), "hits='0 to 2': must be from 0 to 1"),
        (lambda: mean_draws([[[0, np.nan]]], 10), "hits='nan to nan'"),
        (lambda: front_probability(np.ones((2, 3)), ["max"]), r"draws=\(2, 3\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

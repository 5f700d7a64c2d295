import numpy as np
import pandas as pd
import pytest

from memlib.exploration.sensitivity import design, indices
from memlib.exploration.space import Axis

ANGLES = {name: Axis(low=-np.pi, high=np.pi) for name in ("x", "y", "z")}


def ishigami(point: dict) -> float:
    return np.sin(point["x"]) + 7 * np.sin(point["y"]) ** 2 + 0.1 * point["z"] ** 4 * np.sin(point["x"])


#: Of the function above, in closed form (Ishigami and Homma, 1990; a = 7, b = 0.1).
VARIANCE = 7**2 / 8 + 0.1 * np.pi**4 / 5 + 0.01 * np.pi**8 / 18 + 0.5
X = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2 / VARIANCE
Y = 7**2 / 8 / VARIANCE
XZ = 0.01 * np.pi**8 * (1 / 18 - 1 / 50) / VARIANCE
TRUTH = {
    ("first", "x"): X, ("first", "y"): Y, ("first", "z"): 0,
    ("total", "x"): X + XZ, ("total", "y"): Y, ("total", "z"): XZ,
    ("second", "x", "y"): 0, ("second", "x", "z"): XZ, ("second", "y", "z"): 0,
}  # fmt: skip


def found(factors: dict, function, n: int, seed: int = 0, **options) -> dict[tuple, pd.Series]:
    values = [function(point) for point in design(factors, n, seed)]
    rows = indices(factors, values, seed=seed, **options).iloc
    return {tuple(row[name] for name in ("kind", "factor", "other") if row[name]): row for row in rows}


def test_known_indices_are_recovered():
    table = found(ANGLES, ishigami, 2048)
    assert set(table) == set(TRUTH)
    for key, row in table.items():
        assert row["index"] == pytest.approx(TRUTH[key], abs=0.03), key
        assert row["high"] - row["index"] == pytest.approx(row["index"] - row["low"])
        assert row["low"] < row["index"]
        assert row["high"] - row["low"] < 0.2


def test_a_product_is_all_interaction():
    centred = {"a": Axis(low=-1.0, high=1.0), "b": Axis(low=-2.0, high=2.0), "idle": Axis([0, 1])}
    table = found(centred, lambda p: p["a"] * p["b"], 1024)
    ones = {("total", "a"), ("total", "b"), ("second", "a", "b")}
    for key, row in table.items():
        assert row["index"] == pytest.approx(float(key in ones), abs=0.03), key


def test_intervals_cover_the_truth():
    covered = [
        row["low"] <= TRUTH[key] <= row["high"]
        for seed in range(20)
        for key, row in found(ANGLES, ishigami, 64, seed, resamples=100).items()
    ]
    assert 0.88 < np.mean(covered) < 1


def test_listed_values_and_logarithms_by_hand():
    # variances: of 0, 1, 5 it is 14/3, of an exponent spread evenly over 2 decades (2^2)/12
    factors = {"step": Axis([0, 1, 5]), "severity": Axis(low=0.01, high=1.0, log=True)}
    table = found(factors, lambda p: p["step"] + np.log10(p["severity"]), 1024)
    parts = np.array([14 / 3, 1 / 3]) / (14 / 3 + 1 / 3)
    for name, part in zip(factors, parts, strict=True):
        assert table["first", name]["index"] == pytest.approx(part, abs=0.02)
        assert table["total", name]["index"] == pytest.approx(part, abs=0.02)


def test_values_lie_where_the_factor_says():
    factors = {"a": Axis(["x", "y"]), "b": Axis(low=1.0, high=100.0, log=True), "c": Axis(low=-1.0, high=1.0)}
    points = pd.DataFrame(design(factors, 64))
    assert len(points) == 64 * 8
    assert (points["a"] == "x").mean() == pytest.approx(0.5, abs=0.02)
    assert (points["b"] < 10).mean() == pytest.approx(0.5, abs=0.02)
    assert points["b"].between(1, 100).all()
    assert points["c"].mean() == pytest.approx(0, abs=0.02)


def test_the_same_seed_gives_the_same_and_global_random_state_is_left_alone():
    state = np.random.get_state()[1].copy()
    values = [ishigami(point) for point in design(ANGLES, 16)]
    first, again, other = (indices(ANGLES, values, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first["low"].equals(other["low"])
    assert design(ANGLES, 16) == design(ANGLES, 16) != design(ANGLES, 16, seed=1)
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: design({"a": Axis([1]), "b": Axis([1, 2])}, 2), "factor 'a'=.*: must be without a condition, and of"),
        (lambda: design({"a": Axis([1, 2]), "b": Axis([1, 2], when={"a": [1]})}, 2), "factor 'b'"),
        (lambda: design(ANGLES, 48), "n=48: must be a power of two"),
        (lambda: design({"x": ANGLES["x"]}, 4), r"factors=\['x'\]: must be at least two"),
        (lambda: design(ANGLES, 4, seed=-1), "seed=-1"),
        (lambda: indices(ANGLES, [1.0, 2.0]), r"values=\(2,\): must be .* a multiple of 8"),
        (lambda: indices(ANGLES, [0.5] * 16, resamples=1), "resamples=1: must be a whole number at least 2"),
        (lambda: indices(ANGLES, [0.5] * 16), "not all equal"),
        (lambda: indices(ANGLES, [0.1, 0.1 + 1e-17, 0.3 - 0.2, 0.1] * 4), "not all equal"),  # but for rounding
        (lambda: indices(ANGLES, [np.nan] * 16), "finite"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

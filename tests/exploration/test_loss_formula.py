import itertools

import numpy as np
import pandas as pd
import pytest

from memlib.exploration import loss_formula

MOST = 0.75
#: ln half of dense and sparse, their bits, slope, growth, rest, ln wires.
TRUTH = np.array([np.log(0.05), np.log(0.12), 4.0, 3.0, 2.5, 0.5, 0.3, np.log(0.2)])


def made_up(noise: float, seed: int = 0) -> pd.DataFrame:
    """Designs whose losses follow the formula with `TRUTH`, written out a second time, and normal errors."""
    generator, rows = np.random.default_rng(seed), []
    grid = itertools.product(("dense", "sparse"), (0.005, 0.02, 0.05, 0.1), (32, 128, 512), (3, 5, 8))
    shares = itertools.cycle((0.0, 0.0, 0.1, 0.0, 0.4))
    for (layout, severity, height, bits), share in zip(grid, shares, strict=False):
        half, needed = {"dense": (0.05, 4), "sparse": (0.12, 3)}[layout]
        error = np.sqrt(
            (severity / half) ** 2 + 2.0 ** (2 * (needed - bits)) * height / 128 + (share / 0.2) ** 2 + 0.09
        )
        loss = MOST / (1 + 1 / error**2.5) + noise * generator.standard_normal()
        design = {"layout": layout, "severity": severity, "rows": height, "adc_bits": bits, "wire_share": share}
        rows.append({**design, "loss": loss, "error": noise})
    return pd.DataFrame(rows)


def test_without_noise_the_coefficients_are_found():
    found = loss_formula.fit(made_up(0.0), MOST, resamples=0)
    np.testing.assert_allclose(found.fitted, TRUTH, rtol=1e-4)
    of_layouts = ("half, dense", "half, sparse", "bits, dense", "bits, sparse")
    assert found.names == (*of_layouts, "slope", "growth", "rest", "wires")
    assert found.coefficients()[["low", "high"]].isna().all(axis=None)
    assert found.losses(made_up(0.0)).shape == (0, 72)


def test_without_wires_there_is_no_coefficient_of_them():
    designs = made_up(0.0)
    found = loss_formula.fit(designs[designs["wire_share"] == 0], MOST, resamples=2)
    assert found.names[-1] == "rest"
    np.testing.assert_allclose(found.fitted, TRUTH[:-1], rtol=1e-4)
    assert len(found.coefficients()) == 7
    with pytest.raises(ValueError, match=r"wire_share=0.4: must be 0"):
        found.loss(designs)


def test_a_loss_by_hand():
    found = loss_formula.Formula(("dense",), 0.8, np.array([np.log(0.05), 4.0, 2.0, 0.5, 0.0]), np.zeros((0, 5)))
    # half is lost to the device alone, and to the converter alone: 4 times the rows need a bit more
    half = pd.DataFrame(
        {"layout": "dense", "severity": [0.05, 1e-9], "rows": [128, 512], "adc_bits": [60, 5], "wire_share": 0}
    )
    np.testing.assert_allclose(found.loss(half), 0.4)
    # 0.6 of the one and 0.5 of the other: error^2 = 0.61
    both = pd.DataFrame({"layout": "dense", "severity": [0.03], "rows": [128], "adc_bits": [5], "wire_share": 0})
    np.testing.assert_allclose(found.loss(both), 0.8 * 0.61 / 1.61)
    # and 0.8 of what wires may cost, and a rest of 0.5: error^2 = 1.5
    wired = loss_formula.Formula(
        ("dense",), 0.8, np.array([np.log(0.05), 4.0, 2.0, 0.5, 0.5, np.log(0.1)]), np.zeros((0, 6))
    )
    np.testing.assert_allclose(wired.loss(both.assign(wire_share=0.08)), 0.8 * 1.5 / 2.5)


@pytest.mark.slow
def test_intervals_cover_the_truth():
    covered = np.zeros(len(TRUTH))
    for seed in range(20):
        table = loss_formula.fit(made_up(0.01, seed), MOST, resamples=60, seed=seed).coefficients()
        truth = np.array([0.05, 0.12, 4.0, 3.0, 2.5, 0.5, 0.3, 0.2])
        assert (table["high"] - table["low"] < 1.5 * truth).all()
        covered += (table["low"] <= truth) & (truth <= table["high"])
    assert 0.8 <= covered.sum() / (20 * len(TRUTH)) <= 0.99


def test_held_out_errors_are_those_of_the_noise_for_the_formula_and_larger_for_its_rival():
    found = loss_formula.held_out(made_up(0.01), MOST)
    error = loss_formula.error_interval(found["formula"] - found["loss"])
    rival = loss_formula.error_interval(found["linear"] - found["loss"])
    assert error.low < 0.01 < error.high < 0.02 < rival.low
    assert sorted(found["fold"].value_counts()) == [14, 14, 14, 15, 15]


def test_a_design_is_predicted_without_having_been_seen():
    designs = made_up(0.01)
    first = loss_formula.held_out(designs, MOST)
    spoilt = designs.assign(loss=designs["loss"].where(designs.index != 7, 0.0))
    second = loss_formula.held_out(spoilt, MOST)
    assert first["formula"][7] == second["formula"][7]
    assert (first["formula"] != second["formula"]).sum() > 20


def test_parts_hold_each_layout_and_wires_or_all_designs_of_a_value():
    designs = made_up(0.01)
    found = loss_formula.held_out(designs, MOST)
    counts = found.groupby(["fold", "layout", found["wire_share"] > 0]).size()
    assert len(counts) == 20
    assert counts.groupby(level=["layout", "wire_share"]).agg(lambda c: c.max() - c.min()).max() <= 1
    by_severity = loss_formula.held_out(designs, MOST, by="severity")
    assert by_severity.groupby("fold")["severity"].nunique().eq(1).all()
    part = designs[designs["severity"] != 0.1]
    np.testing.assert_allclose(
        by_severity[by_severity["severity"] == 0.1]["formula"],
        loss_formula.fit(part.reset_index(drop=True), MOST, 0).loss(designs[designs["severity"] == 0.1]),
        rtol=1e-6,
    )


def test_same_seed_same_fit():
    first, again, other = (loss_formula.fit(made_up(0.01), MOST, 5, seed).resampled for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="rows"), "'rows'"),
        (lambda t: t[:4], "designs=4: must be at least 7"),
        (lambda t: t.assign(layout=[str(i) for i in t.index]), "at least 149"),
        (lambda t: t.assign(wire_share=-0.1), "wire_share=-0.1: must be at least 0"),
        (lambda t: t.assign(error=np.nan), "error=.*nan.*: must be finite"),
    ],
)
def test_bad_designs(change, message):
    with pytest.raises(ValueError, match=message):
        loss_formula.fit(change(made_up(0.01)), MOST)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"most=2: must be a fraction"):
        loss_formula.fit(made_up(0.01), 2)
    with pytest.raises(ValueError, match="layout='4x4': must be one of dense, sparse"):
        loss_formula.fit(made_up(0.01), MOST, 0).loss(made_up(0.01).assign(layout="4x4"))
    with pytest.raises(ValueError, match="at least 2 designs"):
        loss_formula.error_interval(np.array([0.1]))

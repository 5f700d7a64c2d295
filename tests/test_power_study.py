"""The study 06_power: from array powers to figures and verdicts, on made-up powers of a real network."""

import numpy as np
import pandas as pd
import pytest

from memlib import Mapping, totals
from memlib.claims import below_times, effect_text, exactly
from memlib.statistics import Interval
from memlib.studies import power as study
from memlib.studies.trained import mapped, split

CHECKPOINT = "vgg8-digits"


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    """Powers of three chips in each layout: 1 W a layer if dense, 2 W if sparse, 1.5 W with unformed cells, +-10 %."""
    rows = []
    layers = study.passes(frame([{"seed": 0, "layout": "dense"}]), CHECKPOINT)
    for layout, watt in zip(study.CLAIM_LAYOUTS, (1.0, 2.0, 1.5), strict=True):
        for seed, factor in enumerate((0.9, 1.0, 1.1)):
            rows.append({"layout": layout, "seed": seed, **{f"W {name}": watt * factor for name in layers}})
    return frame(rows)


def frame(rows: list[dict]) -> pd.DataFrame:
    """A table of results."""
    fields = {"checkpoint": CHECKPOINT, "images": 500, "device": "10k_100k", "d2d": 0.2, "rows": 128}
    return pd.DataFrame([{**fields, "dac_bits": 8, "adc_bits": 8, **row} for row in rows])


def test_a_point_is_what_a_chip_draws():
    """The layers' powers of a mapped network; layouts are named by their window."""
    (point,) = study.points([CHECKPOINT], ["2x4"], 5, "10k_100k", 64, 8)
    found = study.evaluate(point, seed=3)
    shared, fields = split(point)
    chip, images, _ = mapped(shared, study._hardware(fields), 3)
    assert {h.mapping for h in (layer.hardware for layer in chip.layers.values())} == {Mapping((2, 4), order="hwc")}
    assert found == {f"W {name}": m.power for name, m in study.measure(chip, images).items()}
    assert all(watt > 0 for watt in found.values())
    assert study.mapping_of("sparse, unformed") == Mapping("sparse", unused="unformed")


def test_components_add_up(results):
    """Over the groups of the figure, every quantity is that of the whole machine."""
    found = study.components(results, ["isaac"]).groupby("layout")[["energy", "latency", "area"]].sum()
    for layout in study.CLAIM_LAYOUTS:
        whole = totals(study.table(results, CHECKPOINT, layout, "isaac"))
        expected = [whole.energy, whole.latency, whole.area]
        assert found.loc[layout].tolist() == pytest.approx(expected)


def test_only_the_array_differs_from_chip_to_chip(results):
    """The energies of chips spread by what their arrays draw, around the table's energy."""
    energies = study.energies(results, CHECKPOINT, "sparse", "isaac")
    t = study.table(results, CHECKPOINT, "sparse", "isaac")
    array = t.loc[t["component"] == "array", "energy"].sum()
    np.testing.assert_allclose(energies - t["energy"].sum(), array * np.array([-0.1, 0, 0.1]), atol=1e-12 * array)


def test_equal_area_and_equal_speed(results):
    """Copies of the dense layout stay within the sparse machine's area, or reach its speed."""
    machines = study.comparison(results, ["li2022"]).set_index("machine")
    assert machines.loc["dense, equal area", "area"] <= machines.loc["sparse", "area"]
    assert machines.loc["dense, equal area", "interval"] < machines.loc["dense", "interval"]
    assert machines.loc["dense, equal speed", "interval"] <= machines.loc["sparse", "interval"] * (1 + 1e-9)
    curve = study.copies_curve(results, CHECKPOINT, "li2022")
    assert curve["area"].max() == pytest.approx(curve["area"].iloc[0])
    assert curve["interval"].iloc[-1] == pytest.approx(machines.loc["dense", "interval"])
    assert curve["area"].iloc[-1] == pytest.approx(machines.loc["dense", "area"])


def test_curve_of_the_dac(results):
    """At the table's own energy of a DAC it passes through the ratio of the machines; far beyond, rows alone count."""
    curve = study.dac_curve(results, CHECKPOINT, "isaac", "pass")
    sparse, dense = (study.table(results, CHECKPOINT, name, "isaac")["energy"].sum() for name in ("sparse", "dense"))
    at_table = np.interp(np.log(study.DAC_ENERGIES["ISAAC"]), np.log(curve["dac_energy"]), curve["ratio"])
    assert at_table == pytest.approx(sparse / dense, rel=0.01)
    rows = next(c for c in study.claims(results, []) if "drives fewer rows" in c.statement)
    assert curve["ratio"].iloc[-1] == pytest.approx(rows.effect, rel=0.02)


def test_claims_can_be_refuted(results):
    """The arrays' claims follow the made-up powers, and turn round with them."""
    swapped = results.assign(layout=results["layout"].replace({"dense": "sparse", "sparse": "dense"}))
    for powers, verdict, ratio in ((results, "refuted", 2.0), (swapped, "confirmed", 0.5)):
        claims = study.claims(powers, ["isaac"])
        (arrays,) = [c for c in claims if "the arrays of" in c.statement and "cells formed" in c.statement]
        assert (arrays.verdict, arrays.unit, arrays.n, arrays.images) == (verdict, "times", 3, 500)
        assert (arrays.effect, arrays.low, arrays.high) == pytest.approx((ratio,) * 3)
        assert len({c.statement for c in claims}) == len(claims)


def test_claims_about_ratios():
    """Decided by the whole interval; counts have none, and are never exploratory."""
    for low, high, verdict in ((0.8, 0.9, "confirmed"), (0.9, 1.1, "undecided"), (1.1, 1.2, "refuted")):
        claim = below_times("s", Interval((low + high) / 2, low, high, 10, 5000))
        assert (claim.verdict, claim.exploratory) == (verdict, False)
    assert below_times("s", Interval(0.5, 0.4, 0.6, 9, 5000)).exploratory
    assert effect_text(below_times("s", Interval(0.12345, 0.1, 0.2, 9, 5000)).as_dict()) == "0.123 [0.1, 0.2] times"
    counted = exactly("s", 760 / 4, holds=True)
    assert (counted.verdict, counted.exploratory, effect_text(counted.as_dict())) == ("confirmed", False, "190 times")

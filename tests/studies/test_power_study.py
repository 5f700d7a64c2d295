"""The study 06_power: from array powers to tables and verdicts, on made-up powers of a real network."""

import json

import numpy as np
import pandas as pd
import pytest

from memlib import Device, Hardware, Mapping, Tile, best_windows, footprint, totals
from memlib.costs.activity import measure
from memlib.evidence.claims import Statement, below_times, effect_text, exactly
from memlib.evidence.intervals import Interval
from memlib.studies.s06_power.array_power import BEST, D2D, evaluate, points
from memlib.studies.s06_power.components import by_component
from memlib.studies.s06_power.machines import Machine, comparison
from memlib.studies.s06_power.study import CLAIM_LAYOUTS, claims
from memlib.studies.s06_power.trade_offs import DAC_ENERGIES, copies_curve, dac_curve
from memlib.studies.shared.trained_networks import by_layer, mapped, split
from memlib.zoo.checkpoints import load_checkpoint

CHECKPOINT = "vgg8-digits"


def powers(*watts: float) -> pd.DataFrame:
    """Made-up powers of three chips, so many W a layer in each layout of the claims, +-10 %."""
    rows = []
    layers = footprint(load_checkpoint(CHECKPOINT), (3, 32, 32), Hardware())["layer"]
    for layout, watt in zip(CLAIM_LAYOUTS, watts, strict=True):
        (point,) = points([CHECKPOINT], [layout], 500, "10k_100k", 128, 8)
        for seed, factor in enumerate((0.9, 1.0, 1.1)):
            blocks = json.dumps([len(layers) * watt * factor * part for part in (0.8, 1.2)])
            layer_powers = {f"W {name}": watt * factor for name in layers}
            rows.append({**point, "seed": seed, "blocks": blocks, **layer_powers})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    """1 W a layer if dense, 3 W with windows, 2 W if sparse, 1.5 W if unformed."""
    return powers(1.0, 3.0, 2.0, 1.5)


@pytest.fixture(scope="module")
def dense(results) -> Machine:
    return Machine.of(results, CHECKPOINT, "dense")


@pytest.fixture(scope="module")
def sparse(results) -> Machine:
    return Machine.of(results, CHECKPOINT, "sparse")


def test_a_point_is_what_a_chip_draws():
    """The layers' powers of a mapped network; layouts are named by their window."""
    (point,) = points([CHECKPOINT], ["2x4"], 5, "10k_100k", 64, 8)
    found = evaluate(point, seed=3)
    shared, _ = split(point)
    device = Device.preset("10k_100k").replace(d2d_on=D2D, d2d_off=D2D)
    chip, images, _ = mapped(shared, {"*": Hardware(device, Tile(64, 64), Mapping((2, 4), order="hwc"))}, 3)
    blocks = json.loads(found.pop("blocks"))
    expected = {f"W {name}": m.power for name, m in measure(chip, images).items()}
    assert found == pytest.approx(expected, rel=1e-6)
    assert len(blocks) == 5  # images are as many
    assert np.mean(blocks) == pytest.approx(sum(expected.values()), rel=1e-6)
    assert blocks[2] == pytest.approx(sum(m.power for m in measure(chip, images[2:3]).values()), rel=1e-6)


@pytest.mark.slow
def test_best_windows_are_in_the_point():
    """Each convolution has the window that the search finds, and the linear layers none."""
    (point,) = points([CHECKPOINT], [BEST], 5, "10k_100k", 128, 8)
    model = load_checkpoint(CHECKPOINT)
    hardware = Hardware(tile=Tile(128, 128), mapping=Mapping(order="hwc"))
    found = best_windows(model, (3, 32, 32), hardware).set_index("layer")["window"]
    mappings = {name: h.mapping for name, h in by_layer(CHECKPOINT, split(point)[1]).items()}
    assert mappings.pop("*") == Mapping("dense")
    assert mappings == {name: Mapping(window, order="hwc") for name, window in found.items()}
    assert found["3"] != (1, 1)


def test_components_add_up(results):
    """Over the groups of the figure, every quantity is that of the whole machine."""
    table = by_component(results)
    sums = table[table["technology"] == "isaac"].groupby("layout")[["energy", "latency", "area"]].sum()
    for layout in CLAIM_LAYOUTS:
        whole = totals(Machine.of(results, CHECKPOINT, layout).cost("isaac"))
        assert sums.loc[layout].tolist() == pytest.approx([whole.energy, whole.latency, whole.area])


def test_only_the_array_differs_from_chip_to_chip(sparse):
    """The energies of chips spread by what their arrays draw, around the table's energy."""
    cost = sparse.cost("isaac")
    array = cost.loc[cost["component"] == "array", "energy"].sum()
    factors = np.outer([0.9, 1, 1.1], [0.8, 1.2])
    spread = sparse.energies("isaac") - cost["energy"].sum()
    np.testing.assert_allclose(spread, array * (factors - 1), atol=1e-12 * array)


def test_equal_area_and_equal_speed(results, dense):
    """Copies of the dense layout stay within the sparse machine's area, or reach its speed."""
    table = comparison(results)
    machines = table[table["technology"] == "li2022"].set_index("machine")
    assert machines.loc["dense, equal area", "area"] <= machines.loc["sparse", "area"]
    assert machines.loc["dense, equal area", "interval"] < machines.loc["dense", "interval"]
    assert machines.loc["dense, equal speed", "interval"] <= machines.loc["sparse", "interval"] * (1 + 1e-9)
    curve = copies_curve(dense, "li2022")
    assert curve["interval"].iloc[0] == pytest.approx(machines.loc["dense", "interval"])
    assert curve["area"].iloc[0] == pytest.approx(machines.loc["dense", "area"])
    assert curve["area"].is_monotonic_increasing


def test_curve_of_the_dac(dense, sparse):
    """At the table's own energy of a DAC it passes through the ratio of the machines; far beyond, rows alone count."""
    curve = dac_curve(dense, sparse, "isaac", "pass")
    at_table = np.interp(np.log(DAC_ENERGIES["ISAAC"]), np.log(curve["dac_energy"]), curve["ratio"])
    ratio = sparse.cost("isaac")["energy"].sum() / dense.cost("isaac")["energy"].sum()
    assert at_table == pytest.approx(ratio, rel=0.01)
    rows = sparse.footprint()["row_activations"] / dense.footprint()["row_activations"]
    assert curve["ratio"].iloc[-1] == pytest.approx(rows, rel=0.02)


@pytest.mark.parametrize(
    ("dense_watts", "sparse_watts", "verdict", "ratio"), [(1.0, 2.0, "refuted", 2.0), (2.0, 1.0, "confirmed", 0.5)]
)
def test_claims_can_be_refuted(dense_watts, sparse_watts, verdict, ratio):
    """The arrays' claim follows the made-up powers, and turns round with them."""
    decided = {c.statement.id: c for c in claims(powers(dense_watts, 3.0, sparse_watts, 1.5))}
    arrays = decided["energy/arrays/vgg8"]
    assert (arrays.verdict, arrays.unit, arrays.n, arrays.images) == (verdict, "times", 3, 500)
    assert (arrays.effect, arrays.low, arrays.high) == pytest.approx((ratio,) * 3)  # chip by chip, block by block
    assert len({c.text for c in decided.values()}) == len(decided)


def test_claims_about_ratios():
    """Decided by the whole interval; counts have none, and are never exploratory."""
    statement = Statement("id", "text", "subject")
    for low, high, verdict in ((0.8, 0.9, "confirmed"), (0.9, 1.1, "undecided"), (1.1, 1.2, "refuted")):
        claim = below_times(statement, Interval((low + high) / 2, low, high, 10, 5000))
        assert (claim.verdict, claim.exploratory) == (verdict, False)
    few = below_times(statement, Interval(0.12345, 0.1, 0.2, 9, 5000))
    assert few.exploratory
    assert effect_text(few) == "0.123 [0.1, 0.2] times"
    counted = exactly(statement, 760 / 4, holds=True)
    assert (counted.verdict, counted.exploratory, effect_text(counted)) == ("confirmed", False, "190 times")

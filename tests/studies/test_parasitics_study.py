"""The study 08_parasitics: points, verdicts on made-up results, and single arrays against circuits solved by hand."""

import numpy as np
import pandas as pd
import pytest
from made_up import made_up, made_up_run
from scipy.optimize import brentq

from memlib import Device, Hardware, Mapping, Tile
from memlib.evidence.answers import unpack
from memlib.evidence.comparisons import tidy
from memlib.evidence.intervals import Interval
from memlib.evidence.tolerances import crossing
from memlib.layers.classification import correct
from memlib.mapping.point_fields import FROZEN
from memlib.studies.run import Run
from memlib.studies.s08_parasitics import accuracy, agreement, arrays
from memlib.studies.s08_parasitics.study import claims, layout_claims
from memlib.studies.shared.effects import evaluate
from memlib.studies.shared.trained_networks import by_layer, convolutions, mapped, split
from memlib.studies.study import Study
from memlib.wires import ngspice

CHECKPOINTS = ["resnet20-digits", "vgg8-digits"]


def run_of(labelled, share, **parameters):
    """A run that has ten chips of these points, whatever the sweep's name."""
    run = made_up_run(**parameters)
    results = made_up([point for _, point in labelled], lambda point: range(10), share)
    run.sweep, run.labelled = lambda name: results, lambda name: labelled
    return run


def points_of(*axes, **more):
    """The points without their labels."""
    return [point for _, point in accuracy.points(*axes, **more)]


@pytest.mark.slow
def test_a_point_is_a_chip_with_wires():
    """Rows and columns of a square tile have the wires; the last convolutions may be sparse."""
    point = accuracy.make_point("vgg8-digits", 20, "ihp_hfo2", 32, 3.0)
    found = evaluate(point, seed=3)
    shared, fields = split(point)
    dense = Hardware(Device.preset("ihp_hfo2"), Tile(32, 32, 8, 8, r_row=3.0, r_col=3.0))
    chip, images, labels = mapped(shared, {"*": dense}, 3)
    expected = correct(chip, images, labels).numpy()
    assert 0.1 < expected.mean() < 1
    assert found["accuracy"] == expected.mean()
    assert (unpack(found["correct"], 20) == expected).all()
    rescaled = evaluate(point | {"recalibration": "gain", "own_images": True}, seed=3)
    expected = correct(*mapped(shared, {"*": dense}, 3, "gain", own_images=True)).numpy()
    assert (unpack(rescaled["correct"], 20) == expected).all()
    sparse = dense.replace(mapping=Mapping("sparse"))
    last = convolutions("vgg8-digits")[-2:]
    assert by_layer("vgg8-digits", fields | {"sparse_layers": 2}) == {"*": dense} | dict.fromkeys(last, sparse)


def test_points():
    """All combinations, ascending; only ideal devices get the study's programming error."""
    axes = CHECKPOINTS, 10, ["10k_100k", "neurram"], [64, 32], [1.0, 0.0]
    points = points_of(*axes)
    assert [(p["rows"], p.get("r_row")) for p in points[:4]] == [(32, None), (32, 1), (64, None), (64, 1)]
    assert len(points) == 2 * 2 * 2 * 2
    assert {(p["device_label"], p["program_error"]) for p in points} == {("10k_100k", 0.02), ("neurram", 0.046)}
    assert convolutions("resnet20-digits")[::18] == ("0", "11.conv2")
    both = points_of(*axes, recalibrations=["none", "gain"])
    assert [p for p in both if "recalibration" not in p] == points
    rescaled = {"recalibration": "gain", "own_images": True}
    assert [p | rescaled for p in points] == [p for p in both if "recalibration" in p]
    with pytest.raises(ValueError, match=r"recalibration='gains'"):
        accuracy.make_point("resnet20-digits", 10, "10k_100k", 32, 1.0, recalibration="gains")
    with pytest.raises(ValueError, match=r"sparse_layers=20.* from 0 to 19"):
        accuracy.make_point("resnet20-digits", 10, "10k_100k", 32, 1.0, sparse_layers=20)


def losing(point):
    """0.9 without wires but 0.8 on tiles of 32; with them, 0, 1 and 3 points less on tiles of 32, 64 and 128."""
    point = FROZEN | point
    free = 0.8 if point["rows"] == 32 else 0.9
    share = 0.2 if point.get("recalibration") == "gain" else 1
    return free - (point["r_row"] > 0) * share * {32: 0.0, 64: 0.01, 128: 0.03}[point["rows"]]


def test_claims_and_tolerances():
    """Each size has a baseline of its own."""
    sizes = [128, 32, 64]
    labelled = accuracy.points(CHECKPOINTS[1:], 20000, ["neurram"], sizes, [0.0, 1.0])
    run = run_of(labelled, losing)
    decided = claims(run)
    assert [claim.verdict for claim in decided] == ["refuted", "undecided", "confirmed"]
    assert [claim.effect for claim in decided] == pytest.approx([0, 1, 3])
    chips = run.chips("claims")
    (row,) = accuracy.tolerances(chips, labelled).to_dict("records")
    assert (row["low"], row["high"], row["n"], row["images"]) == (32, 128, 10, 20000)
    assert row["tolerance"] == pytest.approx(64)
    largest = [(labels, point) for labels, point in labelled if labels["tile_size"] == 128]
    (row,) = accuracy.tolerances(chips, largest).to_dict("records")
    assert (row["low"], row["high"]) == (0, 128)
    assert np.isnan(row["tolerance"])
    frame = tidy(run.sweep("claims"), labelled)
    assert frame["accuracy"].tolist() == pytest.approx([0.8, 0.8, 0.9, 0.89, 0.9, 0.87])
    ways = {"recalibrations": ["none", "gain"]}
    both = run_of(accuracy.points(CHECKPOINTS[1:], 20000, ["neurram"], sizes, [0, 1.0], **ways), losing)
    assert claims(both)[:3] == decided
    assert [claim.effect for claim in claims(both)[3:]] == pytest.approx([0, 0.2, 0.6])
    assert claims(both)[-1].text == f"{decided[2].text} (columns rescaled)"
    assert accuracy.tolerances(both.chips("claims"), both.labelled("claims"))["high"].tolist() == [128, np.inf]


def test_layout_claims():
    """How much more the sparse layout loses than the dense one, on the largest tiles."""
    labelled = accuracy.points(CHECKPOINTS[:1], 2000, ["neurram"], [16, 32], [0.0, 4.0], [0, 19])
    sparse = {"checkpoint": CHECKPOINTS[0], "device": "neurram", "tile_sizes": [16, 32], "layers": 19}
    run = run_of(
        labelled,
        lambda p: 0.9 - p.get("r_row", 0) * (0.02 if "sparse_layers" in p else 0.01),
        **{f"sparse_{name}": value for name, value in sparse.items()},
    )
    (claim,) = layout_claims(run)
    assert (claim.verdict, claim.effect) == ("confirmed", pytest.approx(4))


def test_crossing_by_hand():
    """Between the last severity whose upper limit is within the cost, and the first whose lower limit is beyond."""
    losses = [Interval(m, m - 0.004, m + 0.004, 10, 5000) for m in (0.0, 0.01, 0.05)]
    found = crossing([32, 64, 128], losses)
    assert (found.severity, found.low, found.high) == (pytest.approx(64), 32, 128)
    first = crossing([32, 64, 128], losses[::-1])
    assert (first.low, first.high) == (0, 32)
    assert first.severity < 32
    assert crossing([32], losses[:1]).severity == np.inf
    with pytest.raises(ValueError, match="must ascend from above 0, one for each of 3 losses"):
        crossing([0, 64, 128], losses)


def test_error_of_one_cell():
    """A cell behind two segments conducts g/(1 + 2 r g), which is a factor."""
    device = Device.preset("ihp_hfo2")
    frame = arrays.output_errors(["ihp_hfo2"], [1], 3).set_index("r_wire")
    g = device.g_off + device.g_range * np.random.default_rng([1, 0]).random(3)
    assert frame.loc[10, "error"] == pytest.approx(np.mean(20 * g / (1 + 20 * g)))
    assert frame["residual"].max() < 1e-7


def single_cell(g, v, v0, ohm):
    """Current of a cell behind a resistance."""
    return brentq(lambda i: g * v0 * np.sinh((v - ohm * i) / v0) - i, 0, v / ohm, xtol=1e-18, rtol=1e-14)


def test_error_of_one_nonlinear_cell(monkeypatch):
    """Both methods against the root of the cell's own equation."""
    monkeypatch.setattr(arrays, "SIZE", 1)
    monkeypatch.setattr(arrays, "ARRAY_WIRES", (3000.0,))
    g, v = (x.flatten().numpy() for x in (arrays.uniform_conductances(Device(), 1, 2), arrays.uniform_voltages(1, 2)))
    frame = arrays.sinh_errors("10k_100k", 2).set_index(["v0", "method"])
    for v0 in arrays.V0:
        bent = g * v0 * np.sinh(v / v0)
        exact = [single_cell(*pair, v0, 6e3) for pair in zip(g, v, strict=True)]
        expected = {"approximation": bent / (1 + 6e3 * g), "no wires": bent}
        for method, found in expected.items():
            assert frame.loc[(v0, method), "error"] == pytest.approx(np.mean(np.abs(found / exact - 1)), rel=1e-9)


def test_noise_of_one_cell(monkeypatch):
    """Its current changes with g by v/(1 + 2 r g)^2, of which v/(1 + 2 r g) is taken."""
    monkeypatch.setattr(arrays, "SIZE", 1)
    monkeypatch.setattr(arrays, "NOISE_WIRES", (0.0, 5000.0))
    free, wired = arrays.noise_ratios("10k_100k", 10).to_dict("records")
    g = float(arrays.uniform_conductances(Device(), 1, 1))
    assert free["low"] < 1 < free["high"]
    assert wired["low"] < 1 / (1 + 1e4 * g) < wired["high"] < 0.9
    assert free["high"] / free["low"] == pytest.approx(1 + 4 / np.sqrt(2 * 1000), abs=0.01)


def test_agreement_without_ngspice(monkeypatch):
    """The rest is there, and a note says how to get it."""
    monkeypatch.setattr(ngspice, "find_ngspice", lambda: None)
    table = agreement.agreement([2, 3])
    assert len(table) == 2 * len(agreement.RESISTANCES) * 2
    assert table["ngspice"].isna().all()
    lines = agreement.verdict(table).splitlines()
    assert lines[0].startswith("parasitics agrees with nodal analysis within 1e-10: yes")
    assert "apt-get install ngspice" in lines[1]
    assert "within 1e-10: NO" in agreement.verdict(table.assign(parasitics=1e-9))


@pytest.mark.skipif(ngspice.find_ngspice() is None, reason="ngspice is not installed")
def test_agreement_with_ngspice():
    """All currents, of linear and sinh cells."""
    table = agreement.agreement([2, 8])
    assert agreement.verdict(table).count(": yes") == 2
    own, others = agreement.currents(table), agreement.currents(table, "ngspice current")
    assert others["current"].tolist() == pytest.approx(own["current"].tolist(), rel=1e-9)
    assert list(own) == list(others) == ["size", "resistances", "cells", "current"]


def test_a_table_is_left_out_without_its_program(tmp_path, monkeypatch):
    """As that of ngspice; the study's others are written."""
    monkeypatch.setenv("MEMLIB_ROOT", str(tmp_path))
    tables = {name: lambda run: pd.DataFrame({"size": [2]}) for name in ("always", "with_program")}
    study = Study("00_programs", {}, tables, {}, programs={"with_program": "no-such-program"})
    Run(study, {"preset": "mine"}).finish()
    assert [path.name for path in tmp_path.rglob("*.csv")] == ["always.csv"]

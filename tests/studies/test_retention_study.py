"""The study of retention: lifetimes by hand, the layer's gain, energies, claims and figures, on made-up results."""

import math

import matplotlib as mpl
import numpy as np
import pytest
from made_up import made_up
from memlib.artifact.presets import PRESETS
from scipy import constants

from memlib.studies.effects import seeds_of
from memlib.studies.s10_retention import arrays, cells, over_time as study, writing_energy

mpl.use("agg")
PARAMETERS = PRESETS["smoke"]["10_retention"]
NETWORKS = study.networks_of(PARAMETERS["binary_checkpoints"], PARAMETERS["multilevel_checkpoints"])
TEMPERATURES, TIMES = [298.15, 358.15], [1e2, 1e4, 1e6]


def accuracy(point):
    """0.9, and 0.3 less per decade from 1e3 s on; a layer, or another kind of weight, changes that."""
    time = point.get("retention_time", 0)
    layered = point.get("recombination_energy", 0) > cells.PLAIN["recombination_energy"]
    lost = 0.3 * max(0, math.log10(max(time, 1)) - 3)
    lost *= 0.1 if layered else 1
    lost *= 1 if "binary" in point["checkpoint"] else 1.2
    lost *= 0.2 if point.get("recalibration") else 1
    lost *= 1 if point.get("recombination_tail") else 0.5
    return max(0.9 - lost, 0.1)


def sweep_of(points, seeds=10):
    """Their results, each once."""
    return made_up(list({str(p): p for p in points}.values()), seeds_of(seeds), accuracy)


def test_lasting():
    """Plain binary weights lose 30 points a decade from 1e3 s on; recalibrated and layered ones last longer."""
    labelled = study.points(NETWORKS, 5000, TEMPERATURES, TIMES)
    table = study.lasting(study.tidy(sweep_of([p for _, p in labelled], 3), labelled))
    assert len(table) == 2 * 2 * 3
    binary = table[(table["weights"] == "binary") & (table["temperature"] == 358.15)]
    rows = {(row.stack, row.recalibration): (row.keeps_until, row.failed_at) for row in binary.itertuples()}
    assert rows["plain", "none"] == (1e2, 1e4)
    assert rows["plain", "batch_norm"] == (1e2, 1e4)  # it loses 6 points until 1e4 s
    assert rows["with layer", "none"] == (1e4, 1e6)
    early = labelled[:2]  # at 0 and 1e2 s
    (row,) = study.lasting(study.tidy(sweep_of([p for _, p in early], 3), early)).itertuples()
    assert row.keeps_until == 1e2
    assert math.isnan(row.failed_at)


def test_stretches():
    """exp(E/kT), by SciPy's constants."""
    row = study.stretches([298.15]).iloc[0]
    kt = constants.k * 298.15 / constants.e
    assert row["stretch"] == pytest.approx(math.exp(0.25 / kt), rel=1e-6)
    assert math.exp(row["energy_needed"] / kt) == pytest.approx(25_000, rel=1e-5)


def test_fresh_chips_are_one_point():
    """Whatever the stack and the temperature, a network that was just written is the same, and costs one sweep."""
    points = [study.aged(NETWORKS["binary"], 100, stack, t, 0) for stack in study.STACKS.values() for t in TEMPERATURES]
    assert all(point == points[0] for point in points)
    later = study.aged(NETWORKS["binary"], 100, study.STACKS["plain"], 358.15, 1e4)
    assert later["retention_time"] == 1e4
    assert later["recombination_energy"] == cells.PLAIN["recombination_energy"]


def test_verdicts_follow_the_measurements():
    """The gain at 1e5 and 1e6 s is 0.9 of 0.6 and 0.8 lost (to chance); other claims by the made-up law."""
    wanted = study.claim_points(NETWORKS, 5000, 298.15, [1e3, 1e5, 1e6], [1e4])
    chips = study.Chips(sweep_of(wanted))
    gains = study.gain_claims(NETWORKS, 5000, 298.15, [1e3, 1e5, 1e6], chips)
    assert [claim.verdict for claim in gains] == ["undecided", "confirmed", "confirmed", "confirmed"]
    assert gains[1].effect == pytest.approx(54, abs=0.1)
    assert gains[3].effect == pytest.approx(100 * (0.8 - 0.09), abs=0.1)  # only 1e6 s is beyond 1e5 s
    claims = [comparison.claim(chips) for comparison in study.comparisons(NETWORKS, 5000, 298.15, [1e4])]
    effects = {claim.statement: claim.effect for claim in claims}
    assert len(effects) == 5
    assert effects["plain, 25 °C, 1e4 s: multi-level weights lose more than binary ones"] == pytest.approx(6, abs=0.1)
    assert effects["binary, plain, 25 °C, 1e4 s: without tail cells it would lose less"] == pytest.approx(15, abs=0.1)
    assert {claim.verdict for claim in claims} == {"confirmed"}


def test_layer_gains():
    """Over the plain stack at the same time."""
    labelled = study.layer_points(NETWORKS, 5000, 298.15, [1e5], [0.1, 0.2])
    gains = study.layer_gains(sweep_of([p for _, p in labelled]), labelled)
    np.testing.assert_allclose(gains["gain"], 0.54, atol=1e-3)
    assert list(gains["energy"]) == [0.1, 0.2]
    study.plot_layers(gains, "made up")
    mpl.pyplot.close("all")


def test_cells_follow_the_limit():
    """Simulated means against the normal law, in both stacks; the layer helps."""
    claim = cells.decay_claim([298.15, 358.15], 20_000, 5)
    assert claim.verdict == "confirmed"
    frame = cells.decay([358.15], 2000, 2)
    mean = frame.groupby("stack")["mean"].mean()
    assert mean["with layer"] > mean["plain"] + 0.3
    cells.plot_decay(cells.decay([298.15, 358.15], 200, 2))
    mpl.pyplot.close("all")


def test_writing_energy():
    """Binary cells want the ends of the window; energies are of the cells that are pulsed, and relative."""
    wanted = writing_energy.positions(NETWORKS["binary"])
    assert set(wanted.round(9)) == {0.0, 1.0}
    assert wanted.mean() == pytest.approx(0.5)
    arrays = writing_energy.results(NETWORKS, 400, 2)
    table = writing_energy.table(arrays).set_index("weights")
    assert table.loc["multi-level", "energy"] == 1
    assert table.loc["binary", "pulses"] < table.loc["multi-level", "pulses"]
    assert table.loc["multi-level, coarse", "error"] > 2 * table.loc["multi-level", "error"]
    for part in arrays["binary"]:
        low = part.targets == part.targets.min()
        assert (part.energy[low] == 0).all()
        assert (part.energy[~low] > 0).all()
    means = [[part.energy.mean() for part in arrays[kind]] for kind in ("binary", "multi-level")]
    assert table.loc["binary", "energy"] == pytest.approx(np.mean(np.divide(*means)))
    assert len(writing_energy.claims(arrays)) == 3


def test_sweeps_are_the_notebooks():
    """All that the notebook evaluates, for a cluster to do before."""
    array, over_time, layers, claims = study.sweeps(**PARAMETERS)
    assert len(array[0]) == 2 * 2  # planes, and one LRS beside none
    assert len(over_time[0]) == 2 * 2 * 3 * (1 + len(PARAMETERS["times"]))
    assert len(layers[0]) == 3
    assert all(point["images"] == PARAMETERS["claim_images"] for point in claims[0])
    assert claims[1](claims[0][0]) == range(PARAMETERS["claim_seeds"])


def test_figures():
    """A row per kind of weight, a column per temperature; accuracy and leakage over planes."""
    labelled = study.points(NETWORKS, 100, TEMPERATURES, TIMES)
    figure = study.plot(study.tidy(sweep_of([p for _, p in labelled], 3), labelled), "made up")
    assert len(figure.axes) == 4
    assert all(len(axis.containers) == 3 for axis in figure.axes)
    stacked = arrays.points(NETWORKS["binary"], 100, [8, 32], [1e5, 1e6])
    frame = arrays.tidy(sweep_of([p for _, p in stacked], 2), stacked)
    figure = arrays.plot(frame, arrays.selection([8, 32]), "made up")
    assert len(figure.axes[0].containers) == 3  # each LRS, and pillars without resistances
    mpl.pyplot.close("all")

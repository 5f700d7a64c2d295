"""The study of retention: lifetimes by hand, the layer's gain, energies, claims and figures, on made-up results."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import made_up
from scipy import constants

from memlib.evidence.comparisons import Chips, tidy
from memlib.studies.registry import STUDIES
from memlib.studies.s10_retention import cell_decay, layer_gain, over_time, writing_energy
from memlib.studies.shared.effects import seeds_of

PARAMETERS = STUDIES["10_retention"].preset("smoke")
TEMPERATURES, TIMES = [298.15, 358.15], [1e2, 1e4, 1e6]


def changed(**parameters):
    return SimpleNamespace(**PARAMETERS | {"images": 5000, "claim_images": 5000} | parameters)


NETWORKS = over_time.networks_of(changed())


def accuracy(point):
    """0.9, and 0.3 less per decade from 1e3 s on; a layer, or another kind of weight, changes that."""
    time = point.get("retention_time", 0)
    layered = point.get("recombination_energy", 0) > cell_decay.PLAIN["recombination_energy"]
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
    labelled = over_time.points(changed(temperatures=TEMPERATURES, times=TIMES))
    table = over_time.lasting(tidy(sweep_of([p for _, p in labelled], 3), labelled))
    assert len(table) == 2 * 2 * 3
    binary = table[(table["weights"] == "binary") & (table["temperature"] == 358.15)]
    rows = {(row.stack, row.recalibration): (row.keeps_until, row.failed_at) for row in binary.itertuples()}
    assert rows["plain", "none"] == (1e2, 1e4)
    assert rows["plain", "batch_norm"] == (1e2, 1e4)  # it loses 6 points until 1e4 s
    assert rows["with layer", "none"] == (1e4, 1e6)
    early = labelled[:2]  # at 0 and 1e2 s
    (row,) = over_time.lasting(tidy(sweep_of([p for _, p in early], 3), early)).itertuples()
    assert row.keeps_until == 1e2
    assert math.isnan(row.failed_at)


def test_stretches():
    """exp(E/kT), by SciPy's constants."""
    row = over_time.stretches([298.15]).iloc[0]
    kt = constants.k * 298.15 / constants.e
    assert row["stretch"] == pytest.approx(math.exp(0.25 / kt), rel=1e-6)
    assert math.exp(row["energy_needed"] / kt) == pytest.approx(25_000, rel=1e-5)


def test_fresh_chips_are_one_point():
    """Whatever the stack and the temperature, a network that was just written is the same, and costs one sweep."""
    points = [
        over_time.aged(NETWORKS["binary"], 100, stack, t, 0)
        for stack in cell_decay.STACKS.values()
        for t in TEMPERATURES
    ]
    assert all(point == points[0] for point in points)
    later = over_time.aged(NETWORKS["binary"], 100, cell_decay.STACKS["plain"], 358.15, 1e4)
    assert later["retention_time"] == 1e4
    assert later["recombination_energy"] == cell_decay.PLAIN["recombination_energy"]


def test_verdicts_follow_the_measurements():
    """The gain at 1e5 and 1e6 s is 0.9 of 0.6 and 0.8 lost (to chance); other claims by the made-up law."""
    p = changed(gain_times=[1e3, 1e5, 1e6], claim_time=1e4)
    compared, gained = over_time.comparisons(p), [layer_gain.gain_points(p, time) for time in p.gain_times]
    chips = Chips(sweep_of([point for part in (*gained, *(c.points for c in compared)) for point in part]))
    gains = layer_gain.gain_claims(chips, p)
    assert [claim.verdict for claim in gains] == ["undecided", "confirmed", "confirmed", "confirmed"]
    assert gains[1].effect == pytest.approx(54, abs=0.1)
    assert gains[3].effect == pytest.approx(100 * (0.8 - 0.09), abs=0.1)  # only 1e6 s is beyond 1e5 s
    claims = [comparison.claim(chips) for comparison in compared]
    effects = {claim.text: claim.effect for claim in claims}
    assert len(effects) == 4
    assert effects["binary, plain, 25 °C, 1e4 s: without tail cells it would lose less"] == pytest.approx(15, abs=0.1)
    assert {claim.verdict for claim in claims} == {"confirmed"}


def test_layer_gains():
    """Over the plain stack at the same time."""
    labelled = layer_gain.layer_points(changed(layer_times=[1e5], layer_energies=[0.1, 0.2]))
    gains = layer_gain.layer_gains(Chips(sweep_of([p for _, p in labelled])), labelled)
    np.testing.assert_allclose(gains["gain"], 0.54, atol=1e-3)
    assert list(gains["energy"]) == [0.1, 0.2]


def test_cells_follow_the_limit():
    """Simulated means against the normal law, in both stacks; the layer helps."""
    claim = cell_decay.decay_claim([298.15, 358.15], 20_000, 5)
    assert claim.verdict == "confirmed"
    frame = cell_decay.decay([358.15], 2000, 2)
    mean = frame.groupby("stack")["mean"].mean()
    assert mean["with layer"] > mean["plain"] + 0.3


def test_writing_energy():
    """Binary cells want the ends of the window; energies are of the cells that are pulsed, and relative."""
    wanted = writing_energy.positions(NETWORKS["binary"])
    assert set(wanted.round(9)) == {0.0, 1.0}
    assert wanted.mean() == pytest.approx(0.5)
    arrays = writing_energy.results(changed(write_cells=400, claim_seeds=2))
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
    [coarse] = writing_energy.claims(arrays)
    assert coarse.effect == pytest.approx(table.loc["multi-level, coarse", "energy"])

"""Cells under ramps and trains of pulses, against each other and against published numbers."""

import numpy as np
import pytest
from cell_samples import LINEAR

from memlib.cells.pulses import pulse_trains, respond, sweep_iv
from memlib.cells.switching import preset


def test_cells_do_not_interact():
    model = preset("stanford_pku")
    states = np.array([[0.2, 0.9], [1.3, 1.7]]) * 1e-9
    together = sweep_iv(model, 1.45, 1e-6, state0=states, samples=20)
    alone = [sweep_iv(model, 1.45, 1e-6, state0=s, samples=20).state for s in states.ravel()]
    assert together.state.shape == (81, 2, 2)
    for i, state in enumerate(alone):
        assert together.state.reshape(81, 4)[:, i] == pytest.approx(state, abs=2e-14)
    assert list(together.frame().columns) == ["time", "voltage", "cell", "current", "state", "resistance"]


def test_ramp_through_zero():
    """A state that waited at its limit leaves it at once when the voltage passes the other threshold, cells alike."""
    corners = respond(LINEAR, [0, 2e-8, 4e-8], [2, 0, -2], [0.0, 1e-9], samples=50)
    direct = respond(LINEAR, [0, 4e-8], [2, -2], [0.0, 1e-9], samples=100)
    assert corners.state[50].tolist() == [3e-9, 3e-9]
    assert direct.state == pytest.approx(corners.state, abs=1e-14)
    assert direct.state[70, 0] == pytest.approx(3e-9 - 2 * (0.3 / 2 / 0.5) * 3e-9, abs=1e-13)  # v = -0.8 V


@pytest.mark.parametrize(
    ("name", "at_zero", "unit", "tolerance"), [("tiox_1", 0, 1, 0.006), ("vteam_tiox_1", 4850, 1150, 0.013)]
)
def test_published_pulse_trains(name, at_zero, unit, tolerance):
    """Messaris et al., Fig. 5: eight trains of 100 us pulses, -1.2, 1.7, -1.3, ... -1.5, 2.0 V, 500 each (Fig. 1a).

    The resistances after them are those of the eight I-V curves of Fig. 4, "from 4.85 to 5.70 kohm".
    """
    trains = [(volts, 500) for step in range(4) for volts in (-1.2 - step / 10, 1.7 + step / 10)]
    table = pulse_trains(preset(name), trains, 1e-4, (5000 - at_zero) / unit)
    ends = at_zero + unit * table.groupby("train").state.last()
    assert len(table) == 4001
    assert ends.min() == pytest.approx(4850, rel=tolerance)
    assert ends.max() == pytest.approx(5700, rel=tolerance)
    assert ends[1::2].is_monotonic_increasing
    assert ends[::2].is_monotonic_decreasing


def test_published_range():
    """Messaris et al., Fig. 6 and Table III: pulses of 0.6 to 0.8 V take device 2 through 10 to 17 kohm."""
    trains = [(sign * volts, 500) for volts in (0.6, 0.7, 0.8) for sign in (1, -1)]
    states = pulse_trains(preset("tiox_2"), trains, 1e-4, 12e3).state
    assert 10e3 < states.min() < 11e3
    assert 16.5e3 < states.max() < 17e3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: respond("stanford_pku", [0, 1], [1, 1], 0.0), "model='stanford_pku': must be a model"),
        (lambda: sweep_iv(LINEAR, (1, 2, 3), 1e-9), r"amplitude=\(1, 2, 3\): must be a voltage, or those of two"),
        (lambda: pulse_trains(LINEAR, [1.5], 1e-9), "trains=1.5: must be pairs of a voltage"),
        (lambda: respond(LINEAR, [0, 0], [1, 1], 0.0), "times.*ascending"),
        (lambda: respond(LINEAR, [0, 1], [1, np.nan], 0.0), "volts=.*must be finite"),
        (lambda: respond(LINEAR, [0, 1], [1, 1], 5e-9), "state0=.*within the model's limits, 0 to 3e-09"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()

"""The behavioural model of analog circuits by hand and against nodal analysis."""

import numpy as np
import pytest
import torch
from small_circuits import IDEAL, NOISY, WIRES, chip_of, images, layer_by_layer, one_column

from memlib.circuits import circuit_model
from memlib.circuits.circuit import Amplifier, Circuit
from memlib.circuits.circuit_model import AnalogModel
from memlib.wires.resistances import Wires


def test_finite_gain_by_hand():
    """Without output resistance u = -r I/(1 + (1 + r G)/A), and the subtracting stage divides by 1 + 2/A."""
    chip, v = one_column(gain=50.0)
    g, r, a = chip.stages[0].g, 8e3, 1 / 50
    u = [-r * (v @ part) / (1 + a * (1 + r * part.sum())) for part in g]
    found = AnalogModel(chip).operating_points(v[:, :2]).outputs
    torch.testing.assert_close(found, (u[1] - u[0]) / (1 + 2 * a), rtol=1e-12, atol=0)


def test_offsets_and_power_by_hand():
    """An offset appears at the column, and times the noise gain at the output; supplies carry what outputs give."""
    chip, v = one_column(gain=None, offset=1)
    g, r, offset = chip.stages[0].g, 8e3, (2e-3, -1e-3, 3e-3)
    u = [w * (1 + r * part.sum()) - r * (v @ part) for w, part in zip(offset, g, strict=False)]
    y = u[1] - u[0] + 2 * offset[2]
    found = AnalogModel(chip).operating_points(v[:, :2])
    torch.testing.assert_close(found.outputs, y, rtol=1e-12, atol=0)
    currents = [(u[s] - w) / r for s, w in enumerate(offset[:2])]  # into the feedback resistors
    currents[0] = currents[0] + (u[0] - y) / 200e3
    currents[1] = currents[1] + u[1] / 200e3
    loads = 1.2 * sum(current.abs() for current in (*currents, (y - u[0]) / 200e3))[:, 0]
    torch.testing.assert_close(found.power["loads"], loads, rtol=1e-12, atol=0)
    inputs = sum((v * (v @ torch.diag(part[:, 0]) - part[:, 0] * w)).sum(1) for w, part in zip(offset, g, strict=False))
    torch.testing.assert_close(found.power["inputs"], inputs, rtol=1e-12, atol=0)
    assert found.power["quiescent"].tolist() == pytest.approx([50e-6 * 2.4 * 3] * 2)


def test_supplies_limit_outputs():
    """ReLUs end at 0 V; of the first image both columns, -232 and -276 mV, are held at -200 mV, of the second none."""
    chip, _, volts = chip_of(Circuit(amplifier=IDEAL), 6, 8, 3)
    hidden = AnalogModel(chip).operating_points(volts).hidden[0]
    assert float(hidden.min()) == 0 < float(hidden.max())
    chip, v = one_column(gain=None, rail=0.2)
    found = AnalogModel(chip).operating_points(v[:, :2]).outputs
    torch.testing.assert_close(found, torch.tensor([[0.0], [0.016]], dtype=torch.float64), rtol=0, atol=1e-12)
    chip, v = one_column(gain=None, rail=0.01, offset=100)  # 0.6 V by the subtraction's own offset alone
    assert AnalogModel(chip).operating_points(v[:, :2]).outputs.tolist() == [[0.01], [0.01]]


def test_wires_agree_with_nodal_analysis():
    """With ideal op-amps every column ends in a virtual ground."""
    chip, _, volts = chip_of(Circuit(NOISY, IDEAL, wires=WIRES), 9, 6, 4, seed=3)
    found = AnalogModel(chip).operating_points(volts).outputs
    expected = np.stack([layer_by_layer(chip, v) for v in volts])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def test_hardly_any_wires_are_none():
    """The limit of small resistances is the circuit without any, of which nothing needs to be solved."""
    chips = [chip_of(Circuit(NOISY, wires=Wires(row=ohm, transistor=500.0)), 9, 6, 4)[0] for ohm in (0.0, 1e-9)]
    volts = Circuit().input_voltages(images(12, 9))
    none, hardly = (AnalogModel(chip).operating_points(volts) for chip in chips)
    torch.testing.assert_close(none.outputs, hardly.outputs, rtol=0, atol=1e-10)
    torch.testing.assert_close(none.power["inputs"], hardly.power["inputs"], rtol=1e-8, atol=0)


def test_what_does_not_converge_raises(monkeypatch):
    """A large output resistance and clipping need more than two passes; the message says how far they got."""
    chip, _, volts = chip_of(Circuit(amplifier=Amplifier(r_out=2e4), full_scale=2.0), 9, 6, 5, 4)
    monkeypatch.setattr(circuit_model, "PASSES", 2)
    with pytest.raises(
        RuntimeError, match=r"after 2 passes; outputs still change by .* V \(r_out=20000, full_scale=2\)"
    ):
        AnalogModel(chip).operating_points(volts)

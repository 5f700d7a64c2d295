"""Whole circuits in ngspice against nodal analysis, the behavioural model, and step responses by hand."""

import math

import numpy as np
import pytest
import torch
from small_circuits import IDEAL, NOISY, WIRES, chip_of, layer_by_layer, needs_ngspice, one_column

from memlib.circuits.circuit import Amplifier, Circuit
from memlib.circuits.circuit_model import AnalogModel
from memlib.circuits.circuit_netlist import StepResponse, operating_points, step_response
from memlib.wires.resistances import Wires


@needs_ngspice
def test_ngspice_agrees_with_nodal_analysis():
    """The netlist of a small network with wires and ideal op-amps, by an oracle that shares no code with the model."""
    chip, _, volts = chip_of(Circuit(NOISY, IDEAL, wires=WIRES), 9, 6, 4, seed=3)
    found = operating_points(chip, volts).outputs
    expected = np.stack([layer_by_layer(chip, v) for v in volts])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@needs_ngspice
@pytest.mark.parametrize(
    ("circuit", "tolerance"),
    [
        (Circuit(NOISY, IDEAL), 1e-6),
        (Circuit(NOISY, IDEAL, wires=WIRES), 1e-6),
        (Circuit(NOISY, IDEAL, wires=Wires(row=3.0)), 1e-6),
        (Circuit(NOISY), 1e-6),
        (Circuit(NOISY, wires=WIRES), 1e-6),
        (Circuit(NOISY, Amplifier(gain=30.0), wires=WIRES), 1e-6),
        (Circuit(full_scale=2.0), 1e-6),
        (Circuit(NOISY, Amplifier(r_out=5e3), full_scale=2.0), 1e-6),
        (Circuit(NOISY, Amplifier(r_out=2e4), full_scale=2.0), 1e-6),
        (Circuit(full_scale=2.0, wires=WIRES), 1e-2),  # the model leaves out what a column at its supply does to others
    ],
)
def test_ngspice_agrees_with_the_model(circuit, tolerance):
    """Outputs, of all layers, and power, relative to the largest."""
    chip, _, volts = chip_of(circuit, 9, 6, 5, 4, seed=3)
    found, model = operating_points(chip, volts), AnalogModel(chip).operating_points(volts)
    pairs = [(found.outputs, model.outputs), *zip(found.hidden, model.hidden, strict=True)]
    for name in ("inputs", "loads", "quiescent"):
        pairs.append((found.power[name], model.power[name]))
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


@needs_ngspice
@pytest.mark.parametrize("v0_off", [None, 0.4])
def test_nonlinear_cells_in_ngspice(v0_off):
    """I = g v0 sinh(v/v0) behind wires and transistors, with ideal op-amps, against Newton's method."""
    device = NOISY.replace(v0=0.2, v0_off=v0_off)
    chip, _, volts = chip_of(Circuit(device, IDEAL, full_scale=0.3, wires=WIRES), 5, 4, 3)
    own = (lambda g: device.law.own_v0(torch.from_numpy(g)).numpy()) if v0_off else (lambda g: device.v0)
    found = operating_points(chip, volts[:3]).outputs
    expected = np.stack([layer_by_layer(chip, v, own) for v in volts[:3]])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@needs_ngspice
def test_step_response_by_hand():
    """Two poles: (1 + r G)/(2 pi bandwidth) of each column's amplifier, and 2/(2 pi bandwidth) of the subtraction."""
    chip, v = one_column(gain=1e6)
    g, r, tau = chip.stages[0].g, 8e3, 1 / (2 * math.pi * 100e6)
    step = step_response(chip, v[0, :2], 60e-9, 120)
    t, b = np.maximum(step.times - 0.5e-9, 0), 2 * tau  # half of the rise time later
    expected = 0.0
    for sign, part in zip((1, -1), g, strict=True):
        a = (1 + r * float(part.sum())) * tau
        shape = 1 - (a * np.exp(-t / a) - b * np.exp(-t / b)) / (a - b)
        expected = expected + sign * r * (float(part[2] * 0.2) + float(v[0, :2] @ part[:2]) * shape)
    np.testing.assert_allclose(step.outputs[:, 0], expected, rtol=0, atol=5e-3 * np.abs(expected).max())
    last = AnalogModel(chip).operating_points(v[:1, :2]).outputs
    np.testing.assert_allclose(step.outputs[-1], last[0], rtol=1e-3)


def test_settled_and_decided():
    """From when on no output is off by over 1 % of the largest, and from when on the winner stays."""
    outputs = np.array([[0.0, 0.1], [0.6, 0.2], [0.1, 0.2], [1.02, 0.3], [1.005, 0.3], [1.0, 0.3]])
    step = StepResponse(np.arange(6) * 1e-9, outputs)
    assert step.settled() == pytest.approx(4e-9)
    assert step.settled(0.1) == pytest.approx(3e-9)
    assert step.decided() == pytest.approx(3e-9)
    assert StepResponse(np.arange(2), np.ones((2, 2))).settled() == 0

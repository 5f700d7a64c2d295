"""Whole analog circuits: the behavioural model by hand and against nodal analysis, and ngspice against both."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from memlib.cells.device import Device
from memlib.circuits import circuit_model
from memlib.circuits.circuit import Amplifier, AnalogChip, Circuit, Stage, build_chip
from memlib.circuits.circuit_model import AnalogModel
from memlib.circuits.circuit_netlist import StepResponse, netlist, operating_points, step_response
from memlib.mapping.hardware import Hardware
from memlib.mapping.plan import LayerPlan
from memlib.tiles.programming import program_slices
from memlib.wires import ngspice
from memlib.wires.nodal import solve_array
from memlib.wires.resistances import Wires

needs_ngspice = pytest.mark.skipif(ngspice.find_ngspice() is None, reason="ngspice is not installed")
IDEAL = Amplifier().ideal()
WIRES = Wires(row=1.0, col=2.0, driver=10.0, sense=20.0, transistor=500.0)
NOISY = Device(program_error=0.05, d2d_on=0.1)
GREYS = torch.tensor([[0, 255, 3]], dtype=torch.uint8)  # images that nobody scaled


def network(*sizes, seed=0):
    """Linear layers with ReLU between them, float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(n, m) for n, m in itertools.pairwise(sizes)]
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1]).double()


def images(n, inputs, seed=1):
    return torch.rand(n, inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def chip_of(circuit, *sizes, seed=0):
    x = images(12, sizes[0])
    chip = build_chip(network(*sizes), circuit, images(40, sizes[0], 2), seed)
    return chip, x, circuit.input_voltages(x)


def model_of(*sizes):
    return AnalogModel(chip_of(Circuit(), *sizes)[0])


def one_column(**changes):
    """A chip of one output whose cells, offsets and resistors are chosen here, and the row voltages (2 images, 3)."""
    g = torch.tensor([[[40e-6], [70e-6], [20e-6]], [[15e-6], [90e-6], [30e-6]]], dtype=torch.float64)
    offsets = torch.tensor([[2e-3], [-1e-3], [3e-3]], dtype=torch.float64) * changes.pop("offset", 0)
    circuit = Circuit(amplifier=Amplifier(offset=0, r_out=0, **changes))
    v = torch.tensor([[0.1, 0.3, 0.2], [0.2, 0.05, 0.2]], dtype=torch.float64)
    return AnalogChip(circuit, (Stage(g, 0.2, 8e3, offsets, False, 1.0),)), v


def test_an_ideal_circuit_is_the_network():
    """In volts: the scale of each layer's output follows from its feedback resistor."""
    chip, x, volts = chip_of(Circuit(amplifier=IDEAL), 9, 7, 5, 4)
    found = AnalogModel(chip).operating_points(volts)
    expected = network(9, 7, 5, 4)
    torch.testing.assert_close(found.outputs / chip.stages[-1].volts, expected(x).detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.hidden[1] / chip.stages[1].volts, expected[:4](x).detach(), rtol=1e-10, atol=1e-10)
    assert (found.decisions == expected(x).argmax(1)).all()


def test_full_scale_by_hand():
    """The largest output of a column's amplifier, on calibration images, is the wanted part of the supply."""
    circuit = Circuit(amplifier=IDEAL, full_scale=0.4)
    chip, calibration = build_chip(network(6, 5, 3), circuit, images(40, 6)), circuit.input_voltages(images(40, 6))
    states, v = [], calibration
    for layer in AnalogModel(chip).layers:
        states.append(layer(torch.cat((v, torch.full((40, 1), layer.stage.v_bias, dtype=torch.float64)), 1)))
        v = states[-1].outputs
    for state in states:
        assert float(state.amplified.abs().max()) == pytest.approx(0.4 * 1.2)


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


def layer_by_layer(chip, volts, v0=None):
    """Outputs of a chip with ideal op-amps, by nodal analysis of each crossbar; (classes,) for volts (n,)."""
    v = volts.numpy()
    for stage in chip.stages:
        rows = np.append(v, stage.v_bias)
        currents = [
            solve_array(part, rows, chip.circuit.wires, v0=None if v0 is None else v0(part)).output_currents
            for part in stage.g.numpy()
        ]
        v = stage.r_feedback * (currents[0] - currents[1])
        v = np.maximum(v, 0) if stage.relu else v
    return v


def test_wires_agree_with_nodal_analysis():
    """With ideal op-amps every column ends in a virtual ground."""
    chip, _, volts = chip_of(Circuit(NOISY, IDEAL, wires=WIRES), 9, 6, 4, seed=3)
    found = AnalogModel(chip).operating_points(volts).outputs
    expected = np.stack([layer_by_layer(chip, v) for v in volts])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@needs_ngspice
def test_ngspice_agrees_with_nodal_analysis():
    """The netlist of a small network with wires and ideal op-amps, by an oracle that shares no code with the model."""
    chip, _, volts = chip_of(Circuit(NOISY, IDEAL, wires=WIRES), 9, 6, 4, seed=3)
    found = operating_points(chip, volts).outputs
    expected = np.stack([layer_by_layer(chip, v) for v in volts])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_hardly_any_wires_are_none():
    """The limit of small resistances is the circuit without any, of which nothing needs to be solved."""
    chips = [chip_of(Circuit(NOISY, wires=Wires(row=ohm, transistor=500.0)), 9, 6, 4)[0] for ohm in (0.0, 1e-9)]
    volts = Circuit().input_voltages(images(12, 9))
    none, hardly = (AnalogModel(chip).operating_points(volts) for chip in chips)
    torch.testing.assert_close(none.outputs, hardly.outputs, rtol=0, atol=1e-10)
    torch.testing.assert_close(none.power["inputs"], hardly.power["inputs"], rtol=1e-8, atol=0)


def test_a_seed_is_the_same_chip_as_elsewhere():
    """The cells of weights are those of `map_network`; other seeds, and offsets, have draws of their own."""
    model, device = network(6, 5, 3), Device(program_error=0.05, d2d_on=0.1, stuck_on=0.05, states=16)
    for layer in model[::2]:
        nn.init.zeros_(layer.bias)
    chips = [build_chip(model, Circuit(device, Amplifier(offset=1e-3)), images(40, 6), seed) for seed in (4, 5)]
    for name, stage in zip(("0", "2"), chips[0].stages, strict=True):
        (wanted,) = program_slices(LayerPlan(name, model[int(name)], Hardware(device)), 4)
        torch.testing.assert_close(stage.g[:, :-1].mT.flatten(1), wanted.used, rtol=1e-12, atol=0)
    assert not torch.equal(chips[0].stages[0].g, chips[1].stages[0].g)
    assert not torch.equal(chips[0].stages[0].offsets, chips[1].stages[0].offsets)
    offsets = torch.cat([stage.offsets.flatten() for stage in chips[0].stages])
    assert float(offsets.std()) == pytest.approx(1e-3, rel=0.4)


def test_input_bits():
    """17 levels of the digits on 2-bit inputs: 0, 1/3, 2/3 and 1 of v_read, and no rounding without bits."""
    x = torch.tensor([[0.0, 0.15, 0.2, 0.5, 0.9, 1.0]])
    assert Circuit(input_bits=2).input_voltages(x).tolist()[0] == pytest.approx([0, 0, 0.1, 0.2, 0.3, 0.3])
    assert Circuit().input_voltages(x).tolist()[0] == pytest.approx([0, 0.045, 0.06, 0.15, 0.27, 0.3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Amplifier(gain=0.5), "gain=0.5: must be an open-loop gain"),
        (lambda: Amplifier(rail=0), "rail=0"),
        (lambda: Circuit(full_scale=-1), "full_scale=-1"),
        (lambda: Circuit(Device(read_noise=0.1)), "read_noise=0.1"),
        (lambda: Circuit(wires=Wires(row=-1.0)), "r_row=-1.0"),
        (
            lambda: build_chip(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), Circuit(), images(3, 2)),
            "with a ReLU between two",
        ),
        (
            lambda: build_chip(nn.Sequential(nn.Linear(2, 2, bias=False)), Circuit(), images(3, 2)),
            "bias of layer '0'=None",
        ),
        (
            lambda: build_chip(network(3, 2), Circuit(), images(3, 2)),
            r"calibration.shape=\(3, 2\): must be \(images, 3\)",
        ),
        (
            lambda: build_chip(network(3, 2), Circuit(), images(3, 3) * math.nan),
            "calibration=nan: must be finite, from 0 to 1",
        ),
        (
            lambda: build_chip(network(3, 2), Circuit(), images(3, 3) - 5),
            "calibration=-4.*: must be finite, from 0 to 1",
        ),
        (lambda: build_chip(network(3, 2), Circuit(), GREYS), "calibration=255: must be finite, from 0 to 1"),
        (lambda: Circuit().input_voltages(torch.tensor([[0.5, -1.0]])), "x=-1.0: must be finite, from 0 to 1"),
        (lambda: Circuit(input_bits=4).input_voltages(torch.tensor([[7.0]])), "x=7.0: must be finite, from 0 to 1"),
        (lambda: Circuit().input_voltages(torch.ones(3)), r"x.shape=\(3,\): must be \(images, inputs\)"),
        (lambda: Circuit().input_voltages([[0.5]]), r"x=\[\[0.5\]\]: must be a tensor"),
        (lambda: model_of(3, 2).operating_points(images(3, 3) * math.nan), "volts=nan: must be finite"),
        (lambda: model_of(3, 2).operating_points(images(3, 2)), r"volts.shape=\(3, 2\): must be \(images, 3\)"),
        (lambda: operating_points(chip_of(Circuit(), 3, 2)[0], images(3, 3) * math.nan), "volts=nan: must be finite"),
        (lambda: operating_points(chip_of(Circuit(), 3, 2)[0], images(0, 3)), r"volts.shape=\(0, 3\)"),
        (lambda: step_response(chip_of(Circuit(), 3, 2)[0], images(1, 3)[0] / 0, 1e-9), "volts=inf: must be finite"),
        (lambda: AnalogModel(chip_of(Circuit(Device(v0=0.25)), 3, 2)[0]), "v0=0.25: must be None"),
        (lambda: netlist(chip_of(Circuit(), 3, 2)[0], images(3, 2)), r"volts.shape=\(3, 2\): must be \(images, 3\)"),
    ],
)
def test_errors_name_field_value_and_what_is_allowed(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_does_not_converge_raises(monkeypatch):
    """A large output resistance and clipping need more than two passes; the message says how far they got."""
    chip, _, volts = chip_of(Circuit(amplifier=Amplifier(r_out=2e4), full_scale=2.0), 9, 6, 5, 4)
    monkeypatch.setattr(circuit_model, "PASSES", 2)
    with pytest.raises(
        RuntimeError, match=r"after 2 passes; outputs still change by .* V \(r_out=20000, full_scale=2\)"
    ):
        AnalogModel(chip).operating_points(volts)


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

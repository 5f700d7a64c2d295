"""Chips of analog circuits: what they compute when ideal, their scales, cells and bad input."""

import math

import pytest
import torch
from small_circuits import IDEAL, chip_of, images, network
from torch import nn

from memlib.cells.device import Device
from memlib.circuits.circuit import Amplifier, AnalogChip, Circuit, build_chip
from memlib.circuits.circuit_model import AnalogModel
from memlib.circuits.circuit_netlist import netlist, operating_points, step_response
from memlib.mapping.hardware import Hardware
from memlib.mapping.plan import LayerPlan
from memlib.tiles.programming import program_slices
from memlib.wires.resistances import Wires

GREYS = torch.tensor([[0, 255, 3]], dtype=torch.uint8)  # images that nobody scaled


def model_of(*sizes):
    return AnalogModel(chip_of(Circuit(), *sizes)[0])


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


def built(calibration: torch.Tensor, model: nn.Sequential | None = None) -> AnalogChip:
    return build_chip(model or network(3, 2), Circuit(), calibration)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Amplifier(gain=0.5), "gain=0.5: must be an open-loop gain"),
        (lambda: Amplifier(rail=0), "rail=0"),
        (lambda: Circuit(full_scale=-1), "full_scale=-1"),
        (lambda: Circuit(Device(read_noise=0.1)), "read_noise=0.1"),
        (lambda: Circuit(wires=Wires(row=-1.0)), "r_row=-1.0"),
        (lambda: built(images(3, 2), nn.Sequential(nn.Linear(2, 2), nn.Tanh())), "with a ReLU between two"),
        (lambda: built(images(3, 2), nn.Sequential(nn.Linear(2, 2, bias=False))), "bias of layer '0'=None"),
        (lambda: built(images(3, 2)), r"calibration.shape=\(3, 2\): must be \(images, 3\)"),
        (lambda: built(images(3, 3) * math.nan), "calibration=nan: must be finite, from 0 to 1"),
        (lambda: built(images(3, 3) - 5), "calibration=-4.*: must be finite, from 0 to 1"),
        (lambda: built(GREYS), "calibration=255: must be finite, from 0 to 1"),
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

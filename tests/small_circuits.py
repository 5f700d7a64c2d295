"""Small analog circuits for tests: networks, chips, and a solution by nodal analysis of each crossbar."""

import itertools

import numpy as np
import pytest
import torch
from small_networks import seeded
from torch import nn

from memlib.cells.device import Device
from memlib.circuits.circuit import Amplifier, AnalogChip, Circuit, Stage, build_chip
from memlib.wires import ngspice
from memlib.wires.nodal import solve_array
from memlib.wires.resistances import Wires

needs_ngspice = pytest.mark.skipif(ngspice.find_ngspice() is None, reason="ngspice is not installed")
IDEAL = Amplifier().ideal()
WIRES = Wires(row=1.0, col=2.0, driver=10.0, sense=20.0, transistor=500.0)
NOISY = Device(program_error=0.05, d2d_on=0.1)


def network(*sizes, seed=0):
    """Linear layers with ReLU between them, float64."""
    layers = seeded(lambda: [nn.Linear(n, m) for n, m in itertools.pairwise(sizes)], seed)
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1]).double()


def images(n, inputs, seed=1):
    return torch.rand(n, inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def chip_of(circuit, *sizes, seed=0):
    x = images(12, sizes[0])
    chip = build_chip(network(*sizes), circuit, images(40, sizes[0], 2), seed)
    return chip, x, circuit.input_voltages(x)


def one_column(**changes):
    """A chip of one output whose cells, offsets and resistors are chosen here, and the row voltages (2 images, 3)."""
    g = torch.tensor([[[40e-6], [70e-6], [20e-6]], [[15e-6], [90e-6], [30e-6]]], dtype=torch.float64)
    offsets = torch.tensor([[2e-3], [-1e-3], [3e-3]], dtype=torch.float64) * changes.pop("offset", 0)
    circuit = Circuit(amplifier=Amplifier(offset=0, r_out=0, **changes))
    v = torch.tensor([[0.1, 0.3, 0.2], [0.2, 0.05, 0.2]], dtype=torch.float64)
    return AnalogChip(circuit, (Stage(g, 0.2, 8e3, offsets, False, 1.0),)), v


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

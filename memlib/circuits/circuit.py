"""A network as one analog circuit: crossbars and op-amps all the way from the input voltages to the outputs.

A layer, of n inputs and m outputs (no converter stands between two layers):

    rows        n inputs, and one at a fixed voltage whose cells hold the bias; they drive two crossbars, one for
                positive and one for negative weights (as the scheme "differential" of `memlib.mapping.scheme`)
    columns     each ends in the inverting input of an op-amp with a feedback resistor, a transimpedance amplifier: its
                output is -r_feedback I
    outputs     an op-amp and four equal resistors subtract: output = (that of the negative) - (that of the positive
                column). In hidden layers its lower supply is 0 V, so that it is the ReLU too; its output is the next
                layer's row.

The op-amp is linear between its supplies: open-loop gain, one pole, input offset, output resistance; it has no slew
limit, no input current and no noise, and wires have no capacitance. Its common-mode range and rejection are not
modelled: the inputs of a subtracting stage sit at half the voltage of the negative column's amplifier, so down to
-full_scale rail/2 or so, which in a hidden layer lies below the stage's lower supply of 0 V and asks for more than an
ordinary op-amp. `circuit_model` computes the operating point of the circuit fast, `circuit_netlist` writes
it for ngspice.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from memlib.base.checks import fail, in_range, positive, rows_of, whole
from memlib.base.configuration import Config, config
from memlib.base.random_streams import normals
from memlib.cells.device import Device
from memlib.layers.geometry import Geometry
from memlib.mapping.hardware import Hardware
from memlib.mapping.scheme import Mapping, target_conductances
from memlib.mapping.tile import Tile
from memlib.tiles.programming import Programmer
from memlib.wires.resistances import Wires

POLARITIES = ("p", "n")  #: pairs of crossbars are (positive, negative)


@config
class Amplifier(Config):
    """An op-amp. The defaults are an example of this project's, no particular circuit."""

    gain: float | None = 1e4  #: open-loop, at 0 Hz; None: infinite
    bandwidth: float = 100e6  #: gain-bandwidth product, Hz: where the open-loop gain is 1
    offset: float = 1e-3  #: sigma of the input offset voltage, V, a normal draw for each op-amp of a chip
    rail: float = 1.2  #: supplies are +rail and -rail, V; of the stage that is a ReLU, +rail and 0 V
    r_out: float = 100.0  #: open-loop output resistance, ohm
    quiescent: float = 50e-6  #: supply current without load, A

    def __post_init__(self) -> None:
        if self.gain is not None:
            self.check(in_range, "gain", low=1, high=1e8, what="an open-loop gain, or None for an infinite one,")
        self.check(positive, "bandwidth", "rail")
        self.check(in_range, "offset", "r_out", "quiescent", low=0, high=math.inf)

    def ideal(self) -> "Amplifier":
        """The same supplies with infinite gain, no offset and no output resistance."""
        return self.replace(gain=None, offset=0.0, r_out=0.0)


@config
class Circuit(Config):
    """Everything that decides the circuit of a network, apart from its weights and calibration images."""

    device: Device = Device()
    amplifier: Amplifier = Amplifier()
    v_read: float = 0.3  #: voltage of an input of 1, V
    #: Of the input voltages: v = v_read code/N, code = round_half_even(x N), N = 2^bits - 1. None: exact.
    input_bits: int | None = None
    #: The largest output of a transimpedance amplifier, on calibration images and ideal cells, as a fraction of
    #: `Amplifier.rail`. It sets the feedback resistors of each layer, and so all later voltages.
    full_scale: float = 0.5
    r_difference: float = 100e3  #: each of the four resistors of a subtracting stage, ohm
    wires: Wires = Wires()  #: of every crossbar, ohm

    def __post_init__(self) -> None:
        for name, kind in (("device", Device), ("amplifier", Amplifier), ("wires", Wires)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name}={getattr(self, name)!r}: must be a memlib {kind.__name__}")
        self.check(positive, "v_read", "full_scale", "r_difference")
        self.check(whole, "input_bits", low=1, high=24, none=True)
        if self.device.read_noise:
            fail("read_noise", self.device.read_noise, "0: an operating point is a moment, and has static effects only")

    def input_voltages(self, x: Tensor) -> Tensor:
        """Voltages, V, float64, of inputs (images, n) from 0 to 1; raises ValueError for others."""
        rows_of("x", x, low=0, high=1)
        x = x.double()
        if self.input_bits is not None:
            most = 2**self.input_bits - 1
            x = (x * most).round() / most
        return self.v_read * x


@dataclass(frozen=True)
class Stage:
    """One layer of a chip."""

    g: Tensor  #: (2, n + 1, m) S, positive and negative; the last row is the bias'
    v_bias: float  #: of that row, V
    r_feedback: float  #: ohm
    offsets: Tensor  #: (3, m) V, of the amplifiers of positive and negative columns, and of the subtracting stages
    relu: bool  #: whether the subtracting stages have 0 V as their lower supply
    volts: float  #: at an output, for 1 of the network's own units

    @property
    def inputs(self) -> int:
        """Rows without the bias'."""
        return self.g.shape[1] - 1

    @property
    def outputs(self) -> int:
        """Subtracting stages."""
        return self.g.shape[2]


@dataclass(frozen=True)
class AnalogChip:
    """One chip: the stages of all layers, programmed."""

    circuit: Circuit
    stages: tuple[Stage, ...]

    @property
    def cells(self) -> int:
        """Memory cells."""
        return sum(stage.g.numel() for stage in self.stages)

    @property
    def amplifiers(self) -> int:
        """Op-amps: three per output."""
        return sum(3 * stage.outputs for stage in self.stages)


@dataclass(frozen=True)
class OperatingPoints:
    """Outputs and power of the circuit for a batch of images, by whichever method."""

    outputs: Tensor  #: (images, classes) V, of the last layer
    hidden: tuple[Tensor, ...]  #: (images, m) V, of each layer before
    power: dict[str, Tensor]  #: (images,) W: what the "inputs" (with biases) give, and what the amplifiers' supplies do
    #: for their "loads" and without them ("quiescent")

    @property
    def decisions(self) -> Tensor:
        """(images,) the class with the largest output."""
        return self.outputs.argmax(1)


def build_chip(model: nn.Sequential, circuit: Circuit, calibration: Tensor, seed: int = 0) -> AnalogChip:
    """One chip with the circuit of a network.

    The cells of weights are those that `memlib.map_network` would program for this seed, where the bias is not larger
    than the largest weight of its layer (else the window of cells is shared otherwise); biases and offsets have named
    streams of their own.

    Args:
        model: Linear layers with ReLU between them.
        calibration: (images, inputs), from 0 to 1, which the feedback resistors follow from.
        seed: device seed.

    Raises:
        ValueError: for another network, or calibration images that do not fit or are not from 0 to 1.
    """
    seed = whole("seed", seed, 0)
    layers = _layers(model)
    rows_of("calibration", calibration, layers[0][1].in_features, 0, 1)
    activations, volts, top, stages = calibration.double(), circuit.v_read, 1.0, []
    for number, (name, layer) in enumerate(layers):
        targets, units_per_siemens = _targets(layer, top, circuit)
        ideal, v_bias = targets[:, 0].mT, volts * top
        currents = torch.cat((volts * activations, torch.full((len(activations), 1), v_bias)), 1) @ ideal
        r_feedback = circuit.full_scale * circuit.amplifier.rail / float(currents.max())
        volts = r_feedback * volts / units_per_siemens
        g, last = _programmed(layer, targets, circuit, seed, name), number == len(layers) - 1
        offsets = circuit.amplifier.offset * normals((3, layer.out_features), seed, name, "offset").double()
        stages.append(Stage(g, v_bias, r_feedback, offsets, not last, volts))
        affine = nn.functional.linear(activations, layer.weight.double(), layer.bias.double())
        activations = affine.detach().clamp(min=0)
        top = float(activations.max()) or 1.0
    return AnalogChip(circuit, tuple(stages))


def _layers(model: nn.Sequential) -> list[tuple[str, nn.Linear]]:
    parts = list(model.named_children()) if isinstance(model, nn.Sequential) else []
    kinds = [type(part) for _, part in parts]
    if not kinds or kinds != [nn.ReLU if k % 2 else nn.Linear for k in range(len(kinds))] or kinds[-1] is nn.ReLU:
        fail("model", model, "an nn.Sequential of Linear layers with a ReLU between two of them")
    layers = [(name, part) for name, part in parts if isinstance(part, nn.Linear)]
    for name, layer in layers:
        if layer.bias is None:
            fail(f"bias of layer {name!r}", None, "there (zeros will do): each layer has a row for it")
    return layers


def _targets(layer: nn.Linear, top: float, circuit: Circuit) -> tuple[Tensor, float]:
    """Wanted conductances (2, 1, m, n + 1), S, and weight per siemens of difference.

    The bias' row has the voltage of the largest input, `top` in the network's units, so its weight is bias/top.
    """
    weight = torch.cat((layer.weight.detach().double(), layer.bias.detach().double()[:, None] / top), 1)
    (targets,), units_per_siemens = target_conductances(weight, circuit.device, Mapping())
    return targets, float(units_per_siemens[0])


def _programmed(layer: nn.Linear, targets: Tensor, circuit: Circuit, seed: int, name: str) -> Tensor:
    """Conductances (2, n + 1, m), S, with all static effects."""
    hardware = Hardware(circuit.device.replace(v0=None, v0_off=None), Tile(layer.in_features, layer.out_features))
    placement = hardware.place(Geometry.of(layer), ())
    parts = []
    for part, stream in ((targets[..., :-1], (seed, name)), (targets[..., -1:], (seed, name, "bias"))):
        parts.append(Programmer(part.contiguous(), placement, hardware, *stream).used.view(part[:, 0].shape))
    return torch.cat(parts, -1).mT.contiguous()

"""The whole analog circuit as a netlist, and its operating points and step responses by ngspice.

`wires.ngspice` runs every deck: a batch call and a raw file need no library. PySpice, spicelib and InSpice would drive
ngspice too, but are under the GPL, version 3, which this project's licence (BSD) cannot take in, and PySpice has had no
release since 2021.

One deck is swept over many images by `.dc` with the image's number as the source and every input a piecewise linear
function of it: ngspice reads the circuit and orders its matrix once, and starts each image from the one before. The
first image of 64-32-10 neurons takes as long as some tens of further ones, with and without wires, and a deck for each
image would take that for every one (benchmarks/spice_scaling.py).

The op-amp, after Boyle et al., IEEE J. Solid-State Circuits 9, 353 (1974), without slew limit and input stage:

    C dg/dt = (v_plus - v_minus + offset) - g/gain - K max(g - high, 0) + K max(low - g, 0),   C = 1/(2 pi bandwidth)

and g drives the output through r_out. The corners are sharp: within the supplies it is linear, beyond them g exceeds
them by overdrive/K.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from memlib.base.checks import positive, rows_of, whole
from memlib.circuits.circuit import POLARITIES, AnalogChip, OperatingPoints, Stage
from memlib.circuits.circuit_model import quiescent_power, supplied
from memlib.wires.ngspice import simulate
from memlib.wires.nodal import Array, check_array

#: Errors of the solution that ngspice accepts. The circuit is linear in pieces. So the last step of Newton's
#: method is exact, and tighter ones change nothing but the number of steps.
OPTIONS = ".options reltol=1e-6 abstol=1e-15 vntol=1e-10 gmin=1e-18 itl1=1000 itl2=1000"
#: The same for step responses, whose time steps follow from them.
STEP_OPTIONS = ".options reltol=1e-4 abstol=1e-15 vntol=1e-7 gmin=1e-18 itl1=1000 itl4=100 method=gear"
IDEAL_GAIN = 1e10  #: stands for an infinite gain
CLAMP = 1e8  #: K, 1/ohm
RISE = 1e-9  #: rise time of the inputs' step, s


def netlist(chip: AnalogChip, volts: Tensor, options: str = OPTIONS) -> list[str]:
    """The circuit's elements, without analysis, for input voltages (images, n), V.

    The voltage of the node `image` says which image is at the inputs, from 0 on; between two numbers the voltages are
    interpolated. Layer l = 0, 1 ... has the rows x<l>_<i>, its bias' row x<l>_bias, the columns w<l>p_<j> and
    w<l>n_<j>, the amplifiers' outputs u<l>p_<j> and u<l>n_<j>, and the outputs x<l+1>_<j>. Raises ValueError for
    voltages that do not fit.
    """
    rows_of("volts", volts, chip.stages[0].inputs)
    lines = ["* analog network", options]
    for i, values in enumerate(volts.double().T.tolist()):
        images = ",".join(f"{k},{value:.17g}" for k, value in enumerate(values))
        lines.append(f"b_in{i} x0_{i} 0 v=" + (f"pwl(v(image),{images})" if len(values) > 1 else f"{values[0]:.17g}"))
    for number, stage in enumerate(chip.stages):
        lines += _stage(chip, number, stage)
    return lines


def _stage(chip: AnalogChip, number: int, stage: Stage) -> list[str]:
    """All of one layer: its bias' source, crossbars, and amplifiers."""
    circuit = chip.circuit
    rail, r = circuit.amplifier.rail, circuit.r_difference
    lines = [f"v_bias{number} x{number}_bias 0 dc {stage.v_bias:.17g}"]
    rows = [*(f"x{number}_{i}" for i in range(stage.inputs)), f"x{number}_bias"]
    for sign, g, offsets in zip(POLARITIES, stage.g.numpy(), stage.offsets.tolist(), strict=False):
        name = f"{number}{sign}"
        lines += crossbar(_array(chip, g), name, rows, [f"w{name}_{j}" for j in range(stage.outputs)])
        for j, offset in enumerate(offsets):
            column, output = f"w{name}_{j}", f"u{name}_{j}"
            lines.append(f"r_f{name}_{j} {column} {output} {stage.r_feedback:.17g}")
            lines += _amplifier(chip, f"{name}_{j}", "0", column, output, offset, -rail, rail)
    for j, offset in enumerate(stage.offsets[2].tolist()):
        minus, plus, output = f"m{number}_{j}", f"q{number}_{j}", f"x{number + 1}_{j}"
        ends = ((f"u{number}p_{j}", minus), (minus, output), (f"u{number}n_{j}", plus), (plus, "0"))
        lines += [f"r_d{number}_{j}{k} {a} {b} {r:.17g}" for k, (a, b) in zip("abcd", ends, strict=True)]
        lines += _amplifier(chip, f"{number}d_{j}", plus, minus, output, offset, 0.0 if stage.relu else -rail, rail)
    return lines


def _array(chip: AnalogChip, g: np.ndarray) -> Array:
    """A crossbar with its wires and its cells' law, checked."""
    device, v0 = chip.circuit.device, None
    if device.v0 is not None:
        v0 = device.law.own_v0(torch.from_numpy(g)).numpy() if device.law.depends_on_state else device.v0
    return check_array(g, np.zeros(len(g)), chip.circuit.wires, v0)


def crossbar(array: Array, name: str, rows: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The elements of an array between the nodes of its drivers and those of its virtual grounds.

    As `ngspice.netlist`, but 0 ohm joins nodes, and driver and sense are one with the segment next to them. Cell
    (i, j) of the array `name` lies between the nodes r<name>_<i>_<j> and c<name>_<i>_<j>, if 0 ohm joins them to none.
    """
    lines, count = [], len(rows)

    def segment(kind: str, at: str, node: str, ohm: float) -> str:
        if not ohm:
            return node
        lines.append(f"r_{kind}{name}_{at} {node} {kind}{name}_{at} {ohm:.17g}")
        return f"{kind}{name}_{at}"

    below = list(columns)
    nodes: list[list[str]] = [[] for _ in rows]
    for i in reversed(range(count)):
        ohm = array.r_col[i] + (array.r_sense if i == count - 1 else 0.0)
        below = nodes[i] = [segment("c", f"{i}_{j}", node, ohm) for j, node in enumerate(below)]
    for i, node in enumerate(rows):
        for j, ohm in enumerate(array.r_row):
            node = segment("r", f"{i}_{j}", node, ohm + (0.0 if j else array.r_driver))
            lines += _cell(array, i, j, f"{name}_{i}_{j}", node, nodes[i][j])
    return lines


def _cell(array: Array, i: int, j: int, name: str, row: str, column: str) -> list[str]:
    """Memory cell and transistor, as one resistor if both are linear; nothing for an open cell."""
    g, ohm = array.g[i, j], array.r_transistor[i, j]
    if not g:
        return []
    if array.v0 is None:
        return [f"r_cell{name} {row} {column} {1 / g + ohm:.17g}"]
    v0, lines = array.v0[i, j], []
    if ohm:
        lines, row = [f"r_t{name} {row} t{name} {ohm:.17g}"], f"t{name}"
    return [*lines, f"b_cell{name} {row} {column} i={g * v0:.17g}*sinh(v({row},{column})/{v0:.17g})"]


def _amplifier(
    chip: AnalogChip, name: str, plus: str, minus: str, output: str, offset: float, low: float, high: float
) -> list[str]:
    """An op-amp; the current of e_<name> is what its output gives, with a minus sign."""
    amplifier = chip.circuit.amplifier
    inner, gain = f"g{name}", amplifier.gain or IDEAL_GAIN
    difference = f"-v({minus})" if plus == "0" else f"v({plus})-v({minus})"
    given = f"{difference}+({offset:.17g})-v({inner})/{gain:.17g}"
    held = f"-{CLAMP:g}*max(v({inner})-{high:.17g},0)+{CLAMP:g}*max({low:.17g}-v({inner}),0)"
    end = f"e{name}" if amplifier.r_out else output
    lines = [
        f"b_{name} 0 {inner} i={given}{held}",
        f"c_{name} {inner} 0 {1 / (2 * math.pi * amplifier.bandwidth):.17g}",
        f"e_{name} {end} 0 {inner} 0 1",
    ]
    return [*lines, f"r_o{name} {end} {output} {amplifier.r_out:.17g}"] if amplifier.r_out else lines


def operating_points(chip: AnalogChip, volts: Tensor) -> OperatingPoints:
    """The circuit's operating points by ngspice, for input voltages (images, n), V; see `Circuit.input_voltages`.

    Raises ValueError for voltages that do not fit, and RuntimeError without ngspice, or if it fails.
    """
    lines = netlist(chip, volts)
    nodes = [[f"v(x{k + 1}_{j})" for j in range(stage.outputs)] for k, stage in enumerate(chip.stages)]
    saved = [*itertools.chain(*nodes), *_currents(chip)]
    last = max(len(volts) - 1, 1)  # a sweep needs two points
    deck = [*lines, "v_image image 0 dc 0", ".save " + " ".join(saved), f".dc v_image 0 {last} 1", ".end", ""]
    vectors = simulate("\n".join(deck))
    values = {name: torch.from_numpy(vectors[name][: len(volts)]) for name in saved}
    *hidden, outputs = [torch.stack([values[name] for name in names], 1) for names in nodes]
    return OperatingPoints(outputs, tuple(hidden), _power(chip, volts.double(), values))


def _currents(chip: AnalogChip) -> list[str]:
    found = [f"i(b_in{i})" for i in range(chip.stages[0].inputs)]
    for k, stage in enumerate(chip.stages):
        found.append(f"i(v_bias{k})")
        found += [f"i(e_{k}{sign}_{j})" for sign in (*POLARITIES, "d") for j in range(stage.outputs)]
    return found


def _power(chip: AnalogChip, volts: Tensor, values: dict[str, Tensor]) -> dict[str, Tensor]:
    rail = chip.circuit.amplifier.rail
    inputs = torch.zeros(len(volts), dtype=torch.float64)
    for i, v in enumerate(volts.T):
        inputs = inputs - values[f"i(b_in{i})"] * v
    loads = torch.zeros_like(inputs)
    for k, stage in enumerate(chip.stages):
        inputs = inputs - values[f"i(v_bias{k})"] * stage.v_bias
        for sign in (*POLARITIES, "d"):
            low = 0.0 if sign == "d" and stage.relu else -rail
            loads = loads + sum(supplied(-values[f"i(e_{k}{sign}_{j})"], low, rail) for j in range(stage.outputs))
    return {"inputs": inputs, "loads": loads, "quiescent": torch.full_like(loads, quiescent_power(chip))}


@dataclass(frozen=True)
class StepResponse:
    """Outputs after a step of the inputs from 0 V to an image, the biases on all the time."""

    times: np.ndarray  #: (n,) s, from the step's begin on
    outputs: np.ndarray  #: (n, classes) V

    def settled(self, tolerance: float = 0.01) -> float:
        """Time after which no output is further from its last value than this fraction of the largest of these, s."""
        last = self.outputs[-1]
        return self._after((np.abs(self.outputs - last) > tolerance * np.abs(last).max()).any(1))

    def decided(self) -> float:
        """Time after which the largest output stays the largest, s."""
        largest = self.outputs.argmax(1)
        return self._after(largest != largest[-1])

    def _after(self, unfinished: np.ndarray) -> float:
        """The first time from which on nothing is unfinished."""
        at = np.flatnonzero(unfinished)
        return float(self.times[at[-1] + 1]) if len(at) else 0.0


def step_response(chip: AnalogChip, volts: Tensor, duration: float, points: int = 400) -> StepResponse:
    """The circuit's outputs after its inputs go from 0 V to those of one image, by ngspice.

    Args:
        volts: (n,) V.
        duration: s; an op-amp with a noise gain of k needs k/(2 pi bandwidth) ln 100 to settle to 1 %.
        points: evenly spaced times, over which ngspice's own are interpolated; it takes no longer steps than these.

    Raises:
        ValueError: for voltages that do not fit, or a duration that is not positive.
        RuntimeError: without ngspice, or if it fails.
    """
    positive("duration", duration)
    points = whole("points", points, 2)
    step = duration / points
    deck = netlist(chip, torch.stack((torch.zeros_like(volts), volts)), STEP_OPTIONS)
    deck.append(f"v_image image 0 pwl(0 0 {RISE:g} 1)")
    outputs = [f"v(x{len(chip.stages)}_{j})" for j in range(chip.stages[-1].outputs)]
    deck += [".save " + " ".join(outputs), f".tran {step:.9g} {duration:.9g} 0 {step:.9g}", ".end", ""]
    vectors = simulate("\n".join(deck))
    times = np.linspace(0, duration, points + 1)
    return StepResponse(times, np.stack([np.interp(times, vectors["time"], vectors[name]) for name in outputs], 1))

"""The behavioural model of an analog circuit: its operating points, for many images at once.

Everything linear is exact. A crossbar with its wires is a resistive multiport (`wires.solver`): v at its rows and
w at its columns drive

    I_rows = Y v - G w  into the rows,    I_columns = G^T v - C w  out of the columns,

with the effective conductances G, and Y and C the admittances at the rows and columns. An op-amp without its supplies'
limits obeys a e = v_plus - v_minus + offset with a = 1/gain and e its output before r_out (Gray, Hurst, Lewis and
Meyer, Analysis and Design of Analog Integrated Circuits, chapter 6, on deviations from ideality in real op-amps; the
inverting amplifier of one cell g, without r_out, gives -g r_feedback v/(1 + a (1 + g r_feedback))). Kirchhoff's current
law at all nodes of a layer is then one linear system, solved once per chip; what the next layer takes is part of it.

Limits come on top. An op-amp in negative feedback that would exceed a supply sits at it: e is the supply's voltage.
What a layer takes from the one before then changes, which further passes over all layers correct, until none changes an
output (in a small network after two to five with r_out of 100 ohm, after some tens with 100 kohm). Approximate is one
thing: the column of a transimpedance amplifier at its supply leaves its virtual ground, and wires that it shares with
other columns pass that on to them, which is left out.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from memlib.base.checks import fail, rows_of
from memlib.circuits.circuit import AnalogChip, Circuit, OperatingPoints, Stage
from memlib.wires.resistances import Wires
from memlib.wires.solver import input_admittance, solve

#: Passes end when no output changes by more than this part of the supply. Each leaves at most some eight tenths of the
#: change before it (a small network, r_out up to 1 Mohm). So the error is a few times as large at most.
TOLERANCE = 1e-12
#: Passes after the first, in which each layer sees what the next one, with columns off their virtual grounds, takes.
PASSES = 500


@dataclass(frozen=True)
class Crossbars:
    """The two crossbars of a layer as multiports, S."""

    rows: Tensor  #: (2, n + 1, n + 1) admittance at the rows, Y
    transfer: Tensor  #: (2, n + 1, m) G
    columns: Tensor  #: (2, m, m) admittance at the columns, C

    @classmethod
    def of(cls, g: Tensor, circuit: Circuit) -> "Crossbars":
        """Solve conductances `g` (2, n + 1, m), S, exactly.

        The columns' admittance is that of the crossbar turned around, its columns driven.
        """
        wires = circuit.wires
        if not wires.shared:
            cells = g / (1 + g * float(wires.transistor))
            return cls(torch.diag_embed(cells.sum(2)), cells, torch.diag_embed(cells.sum(1)))
        found = solve(g, wires)
        turned = Wires(wires.col, wires.row, wires.sense, wires.driver, wires.transistor)
        columns = input_admittance(g.flip(-1, -2).mT.contiguous(), turned).flip(-1, -2)
        return cls(found.admittance, found.g_eff, columns)

    def column_currents(self, v: Tensor, w: Tensor) -> Tensor:
        """(2, images, m) A, for v (images, n + 1) and w (2, images, m), V."""
        return v @ self.transfer - w @ self.columns

    def row_currents(self, v: Tensor, w: Tensor) -> Tensor:
        """(images, n + 1) A into both crossbars."""
        return (v @ self.rows - w @ self.transfer.mT).sum(0)


class Layer:
    """A stage, with what the layer after it takes from its outputs: `load` (m, m) S at 0 V and `bias` (m,) A more."""

    def __init__(self, stage: Stage, circuit: Circuit, load: Tensor, bias: Tensor) -> None:
        self.stage, self.circuit, self.load, self.bias = stage, circuit, load, bias
        amplifier = circuit.amplifier
        self.a = 0.0 if amplifier.gain is None else 1 / amplifier.gain
        self.rho, self.half = amplifier.r_out, 1 / (2 * circuit.r_difference)
        self.low = 0.0 if stage.relu else -amplifier.rail
        self.crossbars = Crossbars.of(stage.g, circuit)
        self.map, self.constant, self.columns = self._linear()

    def _linear(self) -> tuple[Tensor, Tensor, Tensor]:
        """Columns w_p, w_n and outputs y from rows v: [w_p, w_n, y] = map v + constant, no supply reached.

        And the columns where outputs are what they are: [w_p, w_n] = columns [v, 1, y].

        Of each column, with u = w - r (G^T v - C w) the amplifier's output, r the feedback resistor, h = 1/(2 r_diff):

            a (u + r_out ((u - w)/r + d)) + w = offset,    d_p = h (u_p - y),  d_n = h u_n

        and of each output, loaded with L y + l:

            a (y + r_out (h (y - u_p) + L y + l)) - (u_n - u_p - y)/2 = offset
        """
        x, r, m, a, rho = self.crossbars, self.stage.r_feedback, self.stage.outputs, self.a, self.rho
        one, none, h = torch.eye(m, dtype=torch.float64), torch.zeros(m, m, dtype=torch.float64), self.half
        w_p, w_n, y = (torch.cat(row, 1) for row in ((one, none, none), (none, one, none), (none, none, one)))
        u_p, u_n = w_p + r * x.columns[0] @ w_p, w_n + r * x.columns[1] @ w_n
        of_p = a * (u_p + rho * ((u_p - w_p) / r + h * (u_p - y))) + w_p
        of_n = a * (u_n + rho * ((u_n - w_n) / r + h * u_n)) + w_n
        of_y = a * (y + rho * (h * (y - u_p) + self.load @ y)) - (u_n - u_p - y) / 2
        equations = torch.cat((of_p, of_n, of_y))
        i_p, i_n = r * x.transfer.mT  # what v adds to -u
        given = a * (1 + rho / r + rho * h)
        right = torch.cat((given * i_p, given * i_n, -a * rho * h * i_p - (i_n - i_p) / 2))
        constant = self.stage.offsets.clone()
        constant[2] -= a * rho * self.bias
        right = torch.cat((right, constant.flatten()[:, None]), 1)
        solved, k = torch.linalg.solve(equations, right), 2 * m
        columns = torch.linalg.solve(equations[:k, :k], torch.cat((right[:k], -equations[:k, k:]), 1))
        return solved[:, :-1], solved[:, -1], columns

    def input_load(self) -> tuple[Tensor, Tensor]:
        """The load of this layer on the one before: current (n,) = load v + bias, A."""
        w, w_0 = self.map[: 2 * self.stage.outputs], self.constant[: 2 * self.stage.outputs]
        x = self.crossbars
        transfer = torch.cat(tuple(x.transfer), 1)
        load, bias = x.rows.sum(0) - transfer @ w, -transfer @ w_0
        return load[:-1, :-1], bias[:-1] + load[:-1, -1] * self.stage.v_bias

    def __call__(self, v: Tensor, taken: Tensor | None = None, outputs: Tensor | None = None) -> "State":
        """Voltages for row voltages (images, n + 1), V.

        Args:
            taken: (images, m) currents out of the outputs, A; None: what the next layer takes within its supplies.
            outputs: (images, m) V, about; None: those without any supply's limit, cut at this layer's.
        """
        m, near = self.stage.outputs, outputs
        if near is None:
            near = (v @ self.map[2 * m :].T + self.constant[2 * m :]).clamp(self.low, self.circuit.amplifier.rail)
        w = torch.stack((torch.cat((v, torch.ones_like(v[:, :1]), near), 1) @ self.columns.T).split(m, 1))
        bias = self.bias if taken is None else taken - near @ self.load.T
        u, w = self._within_rails(v, w, near)
        return State(v, w, u, self._outputs(u, near, bias))

    def _within_rails(self, v: Tensor, w: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (2, images, m) of transimpedance amplifiers, and their columns, V, after their supplies' limit."""
        r, rho, h, rail = self.stage.r_feedback, self.rho, self.half, self.circuit.amplifier.rail
        u = w - r * self.crossbars.column_currents(v, w)
        other = torch.stack((y, torch.zeros_like(y)))  # where the subtraction's resistors end
        e = u + rho * ((u - w) / r + h * (u - other))
        if not (e.abs() > rail).any():
            return u, w
        own = self.crossbars.columns.diagonal(dim1=-2, dim2=-1)[:, None]
        driven = self.crossbars.column_currents(v, w) + own * w  # with this column at 0 V
        q = 1 + r * own
        held = e.clamp(-rail, rail)
        u_held = (held + rho * (driven / q + h * other)) / (1 + rho / r + rho * h - rho / (r * q))
        w_held = (u_held + r * driven) / q
        return torch.where(held == e, u, u_held), torch.where(held == e, w, w_held)

    def _outputs(self, u: Tensor, near: Tensor, bias: Tensor) -> Tensor:
        """Outputs (images, m), V, of subtracting stages, after their supplies' limit; `near` are about the same."""
        a, rho, h, own = self.a, self.rho, self.half, self.load.diagonal()
        u_p, u_n = u
        other = near @ (self.load.T - torch.diag(own)) + bias - h * u_p  # out of the output, were it at 0 V
        y = ((u_n - u_p) / 2 + self.stage.offsets[2] - a * rho * other) / (a * (1 + rho * (h + own)) + 0.5)
        e = y + rho * ((h + own) * y + other)
        held = e.clamp(self.low, self.circuit.amplifier.rail)
        return torch.where(held == e, y, (held - rho * other) / (1 + rho * (h + own)))


@dataclass(frozen=True)
class State:
    """Voltages of a layer, V."""

    rows: Tensor  #: (images, n + 1)
    columns: Tensor  #: (2, images, m)
    amplified: Tensor  #: (2, images, m)
    outputs: Tensor  #: (images, m)


class AnalogModel:
    """The behavioural model of a chip. Raises ValueError for nonlinear cells, which only `circuit_netlist` knows."""

    def __init__(self, chip: AnalogChip) -> None:
        if chip.circuit.device.v0 is not None:
            fail("v0", chip.circuit.device.v0, "None: the behavioural model has linear cells; ngspice takes others")
        self.chip = chip
        self.layers: list[Layer] = []
        m = chip.stages[-1].outputs
        load, bias = torch.zeros(m, m, dtype=torch.float64), torch.zeros(m, dtype=torch.float64)
        for stage in reversed(chip.stages):
            self.layers.insert(0, Layer(stage, chip.circuit, load, bias))
            load, bias = self.layers[0].input_load()

    def operating_points(self, volts: Tensor) -> OperatingPoints:
        """For input voltages (images, n), V; see `Circuit.input_voltages`.

        Raises ValueError for voltages that do not fit, and RuntimeError if the layers' outputs do not converge.
        """
        rows_of("volts", volts, self.layers[0].stage.inputs)
        states = self._converged(volts.double())
        *hidden, last = [state.outputs for state in states]
        return OperatingPoints(last, tuple(hidden), self._power(states))

    def _converged(self, v: Tensor) -> list["State"]:
        """All layers, passed until no output changes any more."""
        states = self._states(v, [(None, None)] * len(self.layers))
        for _ in range(PASSES):
            before = states
            states = self._states(v, [*zip(self._given(self._taken(before)), before, strict=True)])
            pairs = zip(states, before, strict=True)
            change = max(float((new.outputs - old.outputs).abs().max()) for new, old in pairs)
            if change <= TOLERANCE * self.chip.circuit.amplifier.rail:
                return states
        raise RuntimeError(
            f"AnalogModel: not converged after {PASSES} passes; outputs still change by {change:.3g} V "
            f"(r_out={self.chip.circuit.amplifier.r_out:g}, full_scale={self.chip.circuit.full_scale:g})"
        )

    def _states(self, v: Tensor, known: list[tuple[Tensor | None, "State | None"]]) -> list["State"]:
        """All layers one after another; `known` are the currents taken from outputs, and states, of an earlier pass."""
        states = []
        for layer, (taken, state) in zip(self.layers, known, strict=True):
            v = torch.cat((v, torch.full((len(v), 1), layer.stage.v_bias, dtype=v.dtype)), 1)
            states.append(layer(v, taken, None if state is None else state.outputs))
            v = states[-1].outputs
        return states

    def _taken(self, states: list["State"]) -> list[Tensor]:
        """Currents (images, n + 1), A, into the rows of each layer."""
        pairs = zip(self.layers, states, strict=True)
        return [layer.crossbars.row_currents(s.rows, s.columns) for layer, s in pairs]

    def _given(self, taken: list[Tensor]) -> list[Tensor]:
        """Currents (images, m), A, out of each layer's outputs: what the next one's rows take; none of the last."""
        last = torch.zeros(len(taken[0]), self.layers[-1].stage.outputs, dtype=torch.float64)
        return [*(current[:, :-1] for current in taken[1:]), last]

    def _power(self, states: list[State]) -> dict[str, Tensor]:
        amplifier, h = self.chip.circuit.amplifier, self.layers[0].half
        inputs, loads = torch.zeros(len(states[0].rows)), torch.zeros(len(states[0].rows))
        taken = self._taken(states)
        for number, (layer, s, given) in enumerate(zip(self.layers, states, self._given(taken), strict=True)):
            power = taken[number] * s.rows
            inputs = inputs + (power.sum(1) if number == 0 else power[:, -1])
            (u_p, u_n), y = s.amplified, s.outputs
            by_column = (s.amplified - s.columns) / layer.stage.r_feedback + h * torch.stack((u_p - y, u_n))
            by_output = h * (y - u_p) + given
            loads = loads + supplied(by_column, -amplifier.rail, amplifier.rail).sum((0, 2))
            loads = loads + supplied(by_output, layer.low, amplifier.rail).sum(1)
        return {"inputs": inputs, "loads": loads, "quiescent": torch.full_like(loads, quiescent_power(self.chip))}


def supplied(current: Tensor, low: float, high: float) -> Tensor:
    """Power, W, that supplies of `low` and `high` V give for output currents, A, any shape: one carries each."""
    return high * current.clamp(min=0) + low * current.clamp(max=0)


def quiescent_power(chip: AnalogChip) -> float:
    """Power, W, of all op-amps without load."""
    amplifier = chip.circuit.amplifier
    # between the supplies of an output's three op-amps lie 2 + 2 + 2 rails, or 2 + 2 + 1 where the last is a ReLU
    spans = sum(stage.outputs * (5 if stage.relu else 6) for stage in chip.stages)
    return amplifier.quiescent * amplifier.rail * spans

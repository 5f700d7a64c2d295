"""Write-verify programming of whole arrays: read every cell, pulse those out of tolerance, and read again.

Thousands of pulses act on thousands of cells, each with its own speed. So the flow of the switching model is tabulated
once per voltage (`PulseFlow`), and a pulse on any number of cells is an interpolation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from memlib.base.checks import fail, in_range, is_number, positive, whole
from memlib.base.configuration import Config, config
from memlib.cells.pulses import check_model
from memlib.cells.switching import SwitchingModel

FLOW_STATES = 4097  #: states at which a flow is tabulated
SLOWEST = 1e-10  #: rates below this fraction of the fastest count as none in a flow


class PulseFlow:
    """Where a constant voltage takes a state: the flow of one model at one voltage.

    The motion of one state under a constant voltage is a quadrature: the time from a to b is the integral of ds/rate.
    It is tabulated once, after which any number of cells, each with its own duration, is an interpolation. Where the
    rate vanishes (falls below 1e-10 of its maximum, or time differences would be lost in rounding), the state stays;
    it comes no nearer to such a point than the spacing of the table, 1/4096 of the model's range.
    """

    def __init__(self, model: SwitchingModel, volts: float) -> None:
        self.model, self.volts = model, volts
        self.states = np.linspace(*model.limits, FLOW_STATES)
        rate = model.rate(volts, self.states)
        sign = np.where(np.abs(rate) > SLOWEST * np.abs(rate).max(), np.sign(rate), 0)
        edges = np.flatnonzero(np.diff(sign)) + 1
        #: Per stretch in which the state moves one way: its states, and the time to reach them from where it starts and
        #: the charge, C, that flows until then.
        self.stretches: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for piece in np.split(np.arange(FLOW_STATES), edges):
            if sign[piece[0]] and len(piece) > 1:
                piece = piece[:: int(sign[piece[0]])]
                slowness = 1 / np.abs(rate[piece])
                steps = np.abs(np.diff(self.states[piece]))
                times = np.append(0, np.cumsum(steps * (slowness[1:] + slowness[:-1]) / 2))
                current = model.current(volts, self.states[piece])
                charge = np.append(0, np.cumsum(np.diff(times) * (current[1:] + current[:-1]) / 2))
                self.stretches.append((self.states[piece], times, charge))

    def after(self, state: np.ndarray, duration: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States after the voltage was on for `duration`, s, and the energy that it gave, J; all of one shape."""
        result, charge = state.copy(), self.model.current(self.volts, state) * duration
        for states, times, charges in self.stretches:
            ascending = slice(None, None, 1 if states[-1] > states[0] else -1)
            moving = (state >= states.min()) & (state <= states.max())
            start = np.interp(state[moving], states[ascending], times[ascending])
            end = start + duration[moving]
            result[moving] = np.interp(end, times, states)
            moved = np.interp(end, times, charges) - np.interp(start, times, charges)
            at_rest = np.maximum(end - times[-1], 0) * self.model.current(self.volts, states[-1])
            charge[moving] = moved + at_rest
        return result, charge * self.volts


@config
class PulseScheme(Config):
    """Pulses of a write-verify scheme: a cell's first pulse in a direction has the first voltage, each further one in
    the same direction a step more, up to the last voltage.
    """

    set_volts: tuple[float, float, float]  #: first voltage, step and last voltage of pulses that raise conductance, V
    reset_volts: tuple[float, float, float]  #: the same of pulses that lower it; all three of the other sign
    width: float  #: s

    def __post_init__(self) -> None:
        for name in ("set_volts", "reset_volts"):
            volts = getattr(self, name)
            if not isinstance(volts, tuple | list) or len(volts) != 3 or not all(map(is_number, volts)):
                fail(name, volts, "three voltages: the first, the step, the last")
            first, step, last = volts
            if not first * step > 0 or abs(last) < abs(first) or first * last < 0:
                fail(name, volts, "first voltage, step and last voltage of one sign, the last at least the first")
        if self.set_volts[0] * self.reset_volts[0] > 0:
            fail("reset_volts", self.reset_volts, "of the sign opposite to set_volts")
        self.check(positive, "width")

    def staircase(self, direction: int) -> np.ndarray:
        """All voltages of setting (direction 1) or of resetting (-1), V, (n,)."""
        first, step, last = self.set_volts if direction > 0 else self.reset_volts
        return first + step * np.arange(1 + math.floor((last - first) / step + 1e-9))


@dataclass(frozen=True)
class WriteResult:
    """An array after write-verify programming; every field that is an array has the shape of the targets."""

    targets: np.ndarray  #: S
    conductances: np.ndarray  #: without read noise, S
    pulses: np.ndarray  #: applied to each cell
    energy: np.ndarray  #: that all of these gave, without the reads between them, J
    converged: np.ndarray  #: whether the last read was within tolerance; such cells are not read or pulsed again
    g_on: float  #: S, of the range that errors refer to
    g_off: float

    @property
    def errors(self) -> np.ndarray:
        """(conductance - target)/(g_on - g_off), in the shape of the targets."""
        return (self.conductances - self.targets) / (self.g_on - self.g_off)

    def frame(self) -> pd.DataFrame:
        """One row per cell: target, conductance, error, pulses, energy, converged."""
        columns = {"target": self.targets, "conductance": self.conductances, "error": self.errors}
        columns |= {"pulses": self.pulses, "energy": self.energy, "converged": self.converged}
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()})


def write_verify(
    model: SwitchingModel,
    targets: ArrayLike,
    scheme: PulseScheme,
    *,
    tolerance: float = 0.01,
    max_pulses: int = 100,
    g_on: float | None = None,
    g_off: float | None = None,
    read_noise: float = 0.0,
    cell_spread: float = 0.0,
    cycle_spread: float = 0.0,
    seed: int = 0,
) -> WriteResult:
    """Program an array: read every cell, pulse those out of tolerance up or down, and read again.

    Spreads are of the speed of switching: a cell's rate is the model's, times a factor of the cell, times a factor of
    the pulse, both lognormal of median 1 with log-sigma sqrt(ln(1 + spread^2)).

    Args:
        targets: wanted conductances, S, any shape.
        tolerance: largest accepted |read - target|, relative to g_on - g_off.
        max_pulses: per cell; what is not converged then is given up and reported.
        g_on, g_off: ends of the range that tolerance and errors refer to, S; the model's limits by default.
        read_noise: sigma of every read, relative to the conductance.
        cell_spread, cycle_spread: relative sigmas of the cells' and of the pulses' factors.
        seed: of everything random.

    Raises:
        ValueError: if an argument is out of range, or the scheme's polarity does not fit the model.
    """
    check_model(model)
    positive("tolerance", tolerance)
    max_pulses = whole("max_pulses", max_pulses, 1)
    seed = whole("seed", seed, 0)
    for name, value in (("read_noise", read_noise), ("cell_spread", cell_spread), ("cycle_spread", cycle_spread)):
        in_range(name, value, 0, math.inf, "a relative sigma")
    targets = np.asarray(targets, float)
    wrong = targets[~((targets >= 0) & np.isfinite(targets))]
    if wrong.size:
        fail("targets", wrong.flat[0], "conductances in S, at least 0")
    g_on = float(model.conductance(model.lrs)) if g_on is None else g_on
    g_off = float(model.conductance(model.hrs)) if g_off is None else g_off
    positive("g_on", g_on)
    if not is_number(g_off) or not 0 <= g_off < g_on:
        fail("g_off", g_off, f"from 0 to below g_on={g_on!r} (S)")
    flows, state, accepted = _flows(model, scheme), np.full(targets.size, model.hrs), tolerance * (g_on - g_off)
    reads, speeds, cycles = (np.random.default_rng([seed, stream]) for stream in range(3))
    width = scheme.width * _factors(speeds, cell_spread, targets.size)

    def read(states: np.ndarray) -> np.ndarray:
        return model.conductance(states) * (1 + read_noise * reads.standard_normal(targets.size))

    def durations() -> np.ndarray:
        """(cells,) s, for which the model takes the next pulse of each cell."""
        return width * _factors(cycles, cycle_spread, targets.size)

    found = _write(state, targets.ravel(), accepted, max_pulses, flows, scheme.width, read, durations)
    states, pulses, energy, converged = (values.reshape(targets.shape) for values in found)
    return WriteResult(targets, model.conductance(states), pulses, energy, converged, g_on, g_off)


def _write(
    state: np.ndarray,
    goal: np.ndarray,
    accepted: float,
    max_pulses: int,
    flows: dict[int, list[PulseFlow]],
    width: float,
    read: Callable[[np.ndarray], np.ndarray],
    durations: Callable[[], np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The loop of `write_verify`: states, pulses, energies (J) and whether each cell converged.

    `durations` are those for which the model takes each pulse of `width`, s, longer for a faster cell.
    """
    pulses, level, last = (np.zeros(goal.size, int) for _ in range(3))
    converged, energy = np.zeros(goal.size, bool), np.zeros(goal.size)
    for count in range(max_pulses + 1):
        seen = read(state)
        converged |= np.abs(seen - goal) <= accepted
        if converged.all() or count == max_pulses:
            break
        direction = np.where(converged, 0, np.where(seen < goal, 1, -1))
        level = np.where(direction == last, level + 1, 0)
        last = direction
        pulses += direction != 0
        duration = durations()
        state, given = _pulse(flows, state, direction, level, duration)
        energy += given * (width / duration)  # a faster cell is as far in less time, at the same currents
    return state, pulses, energy, converged


def _factors(generator: np.random.Generator, spread: float, n: int) -> np.ndarray:
    """Lognormal factors of median 1."""
    return np.exp(math.sqrt(math.log1p(spread**2)) * generator.standard_normal(n))


def _flows(model: SwitchingModel, scheme: PulseScheme) -> dict[int, list[PulseFlow]]:
    if not isinstance(scheme, PulseScheme):
        fail("scheme", scheme, "a PulseScheme")
    inner = np.linspace(*model.limits, 101)
    rising = np.sign(model.conductance(model.limits[1]) - model.conductance(model.limits[0]))
    for name, direction in (("set_volts", 1), ("reset_volts", -1)):
        volts = scheme.staircase(direction)
        if (direction * rising * model.rate(volts[-1], inner) < 0).any():
            does = "lowers" if direction > 0 else "raises"
            fail(name, getattr(scheme, name), f"of the other sign: it {does} conductance")
    return {direction: [PulseFlow(model, v) for v in scheme.staircase(direction)] for direction in (1, -1)}


def _pulse(
    flows: dict[int, list[PulseFlow]], state: np.ndarray, direction: np.ndarray, level: np.ndarray, width: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """States after one pulse on every cell whose direction is not 0, and the energy that each was given, J."""
    state, energy = state.copy(), np.zeros(len(state))
    for sign, staircase in flows.items():
        step = np.where(direction == sign, np.minimum(level, len(staircase) - 1), -1)
        for i in np.unique(step[step >= 0]):
            cells = step == i
            state[cells], energy[cells] = staircase[i].after(state[cells], width[cells])
    return state, energy


@dataclass(frozen=True)
class ProgrammingError:
    """Errors of programmed cells, relative to the range g_on - g_off."""

    errors: np.ndarray  #: of the cells that converged, (n,)
    failed: float  #: fraction of the array's cells that did not converge

    @property
    def mean(self) -> float:
        """Mean error."""
        return float(self.errors.mean())

    @property
    def sigma(self) -> float:
        """Root mean square: the most likely sigma of a normal error of mean 0, `Device.program_error` to the range."""
        return float(np.sqrt(np.mean(self.errors**2)))


def programming_error(result: WriteResult) -> ProgrammingError:
    """The error that `write_verify` leaves, as `Device(program_error=..., program_error_to="range")` takes it.

    Only of cells that converged: others are better described as faults. Raises ValueError if none did.
    """
    if not result.converged.any():
        fail("converged", 0, "at least one cell")
    return ProgrammingError(result.errors[result.converged], 1 - float(result.converged.mean()))

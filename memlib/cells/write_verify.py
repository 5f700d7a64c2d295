"""What voltages do to cells: sweeps, pulse trains, and write-verify programming of whole arrays.

Sweeps and trains integrate a model of `memlib.cells.switching` with SciPy. Write-verify applies thousands of pulses to
thousands of cells, each with its own speed; there the flow of the model is tabulated once per voltage (`PulseFlow`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import integrate, sparse

from memlib.base.checks import fail, in_range, one_of, positive, whole
from memlib.base.configuration import Config, config
from memlib.cells.switching import SwitchingModel

#: Tolerances of the integration, for a state that is scaled to [0, 1].
RTOL, ATOL = 1e-7, 1e-9
#: Step of the same state for its rate's derivative.
STEP = 1e-6
#: States at which a flow is tabulated.
FLOW_STATES = 4097
#: Rates below this fraction of the fastest count as none in a flow.
SLOWEST = 1e-10


@dataclass(frozen=True)
class Response:
    """What cells answered to one waveform: T instants, any shape of cells."""

    time: np.ndarray  #: s, (T,)
    voltage: np.ndarray  #: V, (T,)
    current: np.ndarray  #: A, (T, *cells)
    state: np.ndarray  #: in the model's unit, (T, *cells)
    resistance: np.ndarray  #: read at v_read, ohm, (T, *cells)

    def frame(self) -> pd.DataFrame:
        """One row per instant and cell: time, voltage, cell (if there are several), current, state, resistance."""
        cells = self.state[0].size
        columns = {"time": np.repeat(self.time, cells), "voltage": np.repeat(self.voltage, cells)}
        if self.state.ndim > 1:
            columns["cell"] = np.tile(np.arange(cells), len(self.time))
        return pd.DataFrame(
            columns | {name: getattr(self, name).ravel() for name in ("current", "state", "resistance")}
        )


def respond(
    model: SwitchingModel,
    times: ArrayLike,
    volts: ArrayLike,
    state0: ArrayLike,
    samples: int = 100,
    v_read: float = 0.3,
) -> Response:
    """Integrate the states of cells under one voltage, piecewise linear in time.

    The state stops at the model's limits and leaves them when the rate turns inwards.

    Args:
        model: of all cells.
        times: instants of the waveform's corners, s, ascending, (K,).
        volts: voltages there, V, (K,).
        state0: states at times[0], within the model's limits, any shape.
        samples: returned instants per piece; T = 1 + (K - 1) samples.
        v_read: voltage at which the resistance is read, V.

    Raises:
        ValueError: if a shape, the order of times, or a state is wrong.
    """
    times, volts, state0 = (np.asarray(values, float) for values in (times, volts, state0))
    whole("samples", samples, 1)
    positive("v_read", v_read)
    if times.ndim != 1 or times.shape != volts.shape or len(times) < 2 or not (np.diff(times) > 0).all():
        fail("times", times, "two or more ascending instants, one for each of volts")
    state0 = _within(model, state0)
    states = [state0.ravel()[None]]
    at = np.arange(1, samples + 1) / samples
    for i, duration in enumerate(np.diff(times)):
        states.append(_ramp(model, volts[i], volts[i + 1], duration, states[-1][-1], at))
    fractions = np.arange(samples * (len(times) - 1) + 1) / samples
    corners = np.arange(len(times))
    time, voltage = (np.interp(fractions, corners, values) for values in (times, volts))
    state = np.concatenate(states).reshape(-1, *state0.shape)
    v = voltage.reshape(-1, *[1] * state0.ndim)
    return Response(time, voltage, model.current(v, state), state, 1 / model.conductance(state, v_read))


def _check_model(model: SwitchingModel) -> None:
    if not isinstance(model, SwitchingModel):
        fail("model", model, "a model of memlib.cells.switching, such as preset('stanford_pku')")


def _pair(field: str, values: Any, allowed: str) -> tuple[Any, Any]:
    try:
        first, second = values
    except (TypeError, ValueError):
        fail(field, values, allowed)
    return first, second


def _within(model: SwitchingModel, state0: ArrayLike) -> np.ndarray:
    """First states, clipped of roundings; raises ValueError if they are beyond the model's limits."""
    state0, (low, high) = np.asarray(state0, float), model.limits
    slack = 1e-9 * (high - low)
    if not ((state0 >= low - slack) & (state0 <= high + slack)).all():
        fail("state0", state0, f"within the model's limits, {low:g} to {high:g}")
    return np.clip(state0, low, high)


def _ramp(
    model: SwitchingModel, v0: float, v1: float, duration: float, state0: np.ndarray, at: np.ndarray
) -> np.ndarray:
    """States (len(at), cells) at ascending fractions `at` of the time in which the voltage goes from v0 to v1.

    While the voltage has one sign the state moves one way, so a state that has passed a limit is at the limit: there is
    no corner for the solver to resolve.
    """
    if v0 * v1 < 0:
        zero = v0 / (v0 - v1)
        before, after = at[at <= zero], at[at > zero]
        first = _ramp(model, v0, 0, duration * zero, state0, np.append(np.minimum(before / zero, 1), 1))
        second = _ramp(model, 0, v1, duration * (1 - zero), first[-1], np.minimum((after - zero) / (1 - zero), 1))
        return np.concatenate([first[:-1], second])
    low, high = model.limits
    span = high - low

    def rate(u: float, y: np.ndarray) -> np.ndarray:
        """dy/du of the state scaled to [0, 1], over the fraction u of the time."""
        return model.rate(v0 + (v1 - v0) * u, low + span * np.clip(y, 0, 1)) * (duration / span)

    def slope(u: float, y: np.ndarray) -> sparse.csc_matrix:
        """The Jacobian, diagonal because cells do not act on each other."""
        return sparse.diags((rate(u, y + STEP) - rate(u, y - STEP)) / (2 * STEP), format="csc")

    start = (state0 - low) / span
    many = {"method": "BDF", "jac": slope} if len(start) > 1 else {"method": "LSODA"}
    solution = integrate.solve_ivp(rate, (0, 1), start, dense_output=True, max_step=0.1, rtol=RTOL, atol=ATOL, **many)
    if not solution.success:
        raise ArithmeticError(f"the state could not be integrated from {v0:g} V to {v1:g} V: {solution.message}")
    return np.clip(low + span * solution.sol(at).T, low, high)


def sweep_iv(
    model: SwitchingModel,
    amplitude: float | tuple[float, float],
    period: float,
    cycles: int = 1,
    state0: ArrayLike | None = None,
    samples: int = 100,
    v_read: float = 0.3,
) -> Response:
    """The I-V loop of a triangular voltage that starts at 0 V.

    Args:
        model: of all cells.
        amplitude: V; one number, of which the loop's second half has the negative, or the peaks of both halves.
        period: s.
        cycles: number of periods.
        state0: as in `respond`; the high-resistance limit by default.
        samples: returned instants per quarter of a period.
        v_read: voltage at which the resistance is read, V.
    """
    _check_model(model)
    positive("period", period)
    whole("cycles", cycles, 1)
    peaks: Any = amplitude
    if not np.ndim(peaks):
        peaks = peaks, -peaks
    first, second = _pair("amplitude", peaks, "a voltage, or those of two peaks, V")
    volts = np.append(np.tile([0, first, 0, second], cycles), 0)
    state0 = model.hrs if state0 is None else state0
    return respond(model, np.arange(len(volts)) * (period / 4), volts, state0, samples, v_read)


def pulse_trains(
    model: SwitchingModel,
    trains: Sequence[tuple[float, int]],
    width: float,
    state0: float | None = None,
    v_read: float = 0.3,
) -> pd.DataFrame:
    """What one cell is after each of many rectangular pulses.

    No model moves at 0 V, so pauses do not matter and a train of n pulses is one of n times the width.

    Args:
        model: of the cell.
        trains: voltage, V, and number of pulses of each train, in order.
        width: of every pulse, s.
        state0: the first state; the high-resistance limit by default.
        v_read: voltage at which the conductance is read, V.

    Returns:
        A row per pulse and one (pulse 0, 0 V) before them: train, pulse, voltage, state, conductance.
    """
    _check_model(model)
    positive("width", width)
    state = np.atleast_1d(model.hrs if state0 is None else float(state0))
    rows = [(0, 0.0, state)]
    for i, train in enumerate(trains):
        volts, count = _pair("trains", train, "pairs of a voltage, V, and a number of pulses")
        whole("trains: number of pulses", count, 1)
        state = respond(model, [0, count * width], [volts, volts], rows[-1][2][-1], count, v_read).state[1:]
        rows.append((i, volts, state))
    table = pd.concat([pd.DataFrame({"train": i, "voltage": v, "state": states}) for i, v, states in rows])
    table = table.reset_index(names="pulse").assign(pulse=range(len(table)))
    return table.assign(conductance=model.conductance(table.state.to_numpy(), v_read))


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
            first, step, last = volts = getattr(self, name)
            if not first * step > 0 or abs(last) < abs(first) or first * last < 0:
                fail(
                    name, volts, "first voltage, step and last voltage of one sign, the last not smaller than the first"
                )
        if self.set_volts[0] * self.reset_volts[0] > 0:
            fail("reset_volts", self.reset_volts, "of the sign opposite to set_volts")
        positive("width", self.width)

    def staircase(self, direction: int) -> np.ndarray:
        """All voltages of setting (direction 1) or of resetting (-1), V."""
        first, step, last = self.set_volts if direction > 0 else self.reset_volts
        return first + step * np.arange(1 + math.floor((last - first) / step + 1e-9))


@dataclass(frozen=True)
class WriteResult:
    """What write-verify programming made of an array; every array has the shape of the targets."""

    targets: np.ndarray  #: S
    conductances: np.ndarray  #: without read noise, S
    pulses: np.ndarray  #: applied to each cell
    energy: np.ndarray  #: that all of these gave, without the reads between them, J
    converged: np.ndarray  #: whether the last read was within tolerance; such cells are not read or pulsed again
    g_on: float  #: S, of the range that errors refer to
    g_off: float

    @property
    def errors(self) -> np.ndarray:
        """(conductance - target)/(g_on - g_off)."""
        return (self.conductances - self.targets) / (self.g_on - self.g_off)

    def frame(self) -> pd.DataFrame:
        """One row per cell: target, conductance, error, pulses, converged."""
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
    state0: ArrayLike | None = None,
    g_on: float | None = None,
    g_off: float | None = None,
    v_read: float = 0.3,
    read_noise: float = 0.0,
    cell_spread: float = 0.0,
    cycle_spread: float = 0.0,
    seed: int = 0,
) -> WriteResult:
    """Program an array: read every cell, pulse those out of tolerance up or down, and read again.

    Spreads are of the speed of switching: a cell's rate is the model's, times a factor of the cell, times a factor of
    the pulse, both lognormal of median 1 with log-sigma sqrt(ln(1 + spread^2)).

    Args:
        model: of all cells.
        targets: wanted conductances, S, any shape.
        scheme: the pulses.
        tolerance: largest accepted |read - target|, relative to g_on - g_off.
        max_pulses: per cell; what is not converged then is given up and reported.
        state0: first states, broadcast to the shape of `targets`; the high-resistance limit by default.
        g_on: end of the range that tolerance and errors refer to, S; the model's low-resistance limit by default.
        g_off: the other end, S; the model's high-resistance limit by default.
        v_read: V.
        read_noise: sigma of every read, relative to the conductance.
        cell_spread: relative sigma of the cells' factors.
        cycle_spread: relative sigma of the pulses' factors.
        seed: of everything random.

    Raises:
        ValueError: if an argument is out of range, or the scheme's polarity does not fit the model.
    """
    _check_effort(model, tolerance, max_pulses, v_read)
    for name, value in (("read_noise", read_noise), ("cell_spread", cell_spread), ("cycle_spread", cycle_spread)):
        in_range(name, value, 0, math.inf, "a relative sigma")
    targets = _conductances("targets", targets)
    g_on, g_off = _window(model, v_read, g_on, g_off)
    state = np.broadcast_to(model.hrs if state0 is None else _within(model, state0), targets.shape).ravel()
    reads, speeds, cycles = (np.random.default_rng([seed, stream]) for stream in range(3))
    width = scheme.width * _factors(speeds, cell_spread, targets.size)

    def read(states: np.ndarray) -> np.ndarray:
        """Conductances as a noisy read sees them, S."""
        return model.conductance(states, v_read) * (1 + read_noise * reads.standard_normal(targets.size))

    def durations() -> np.ndarray:
        """For which the model takes the next pulse of each cell, s."""
        return width * _factors(cycles, cycle_spread, targets.size)

    goal, flows, accepted = targets.ravel(), _flows(model, scheme), tolerance * (g_on - g_off)
    found = _write(state, goal, accepted, max_pulses, flows, scheme.width, read, durations)
    states, pulses, energy, converged = (values.reshape(targets.shape) for values in found)
    return WriteResult(targets, model.conductance(states, v_read), pulses, energy, converged, g_on, g_off)


def _check_effort(model: SwitchingModel, tolerance: float, max_pulses: int, v_read: float) -> None:
    _check_model(model)
    positive("tolerance", tolerance)
    positive("v_read", v_read)
    whole("max_pulses", max_pulses, 1)


def _conductances(field: str, values: ArrayLike) -> np.ndarray:
    """As an array; raises unless all are finite and at least 0."""
    found = np.asarray(values, float)
    wrong = found[~((found >= 0) & np.isfinite(found))]
    if wrong.size:
        fail(field, wrong.flat[0], "conductances in S, at least 0")
    return found


def _window(model: SwitchingModel, v_read: float, g_on: float | None, g_off: float | None) -> tuple[float, float]:
    """The range that errors refer to, S: where None, the model's; raises if it is empty."""
    g_on = float(model.conductance(model.lrs, v_read)) if g_on is None else g_on
    g_off = float(model.conductance(model.hrs, v_read)) if g_off is None else g_off
    if not 0 <= g_off < g_on:
        fail("g_off", g_off, f"from 0 to below g_on={g_on!r} (S)")
    return g_on, g_off


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

    Args:
        durations: for which the model takes each pulse of `width`, s, longer for a faster cell.
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
    """The flow of every pulse of setting (1) and resetting (-1)."""
    inner = np.linspace(*model.limits, 101)
    rising = np.sign(model.conductance(model.limits[1]) - model.conductance(model.limits[0]))
    for name, direction in (("set_volts", 1), ("reset_volts", -1)):
        volts = scheme.staircase(direction)
        if (direction * rising * model.rate(volts[-1], inner) < 0).any():
            fail(
                name,
                getattr(scheme, name),
                f"of the other sign: it {'lowers' if direction > 0 else 'raises'} conductance",
            )
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

    errors: np.ndarray  #: all of them, (n,)
    failed: float  #: fraction of the array's cells that did not converge

    @property
    def n(self) -> int:
        """Cells."""
        return len(self.errors)

    @property
    def mean(self) -> float:
        """Mean error."""
        return float(self.errors.mean())

    @property
    def sigma(self) -> float:
        """Root mean square: the most likely sigma of a normal error of mean 0, `Device.program_error` to the range."""
        return float(np.sqrt(np.mean(self.errors**2)))


def programming_error(
    result: WriteResult, g_on: float | None = None, g_off: float | None = None, cells: str = "converged"
) -> ProgrammingError:
    """The error that programming leaves, as `Device(program_error=..., program_error_to="range")` takes it.

    Args:
        result: of `write_verify`.
        g_on: end of the device's range, S; the result's by default.
        g_off: the other end, S.
        cells: "converged", or "all". Cells that did not converge are better described as faults.

    Raises:
        ValueError: if no cell is left, or the range is empty.
    """
    one_of("cells", cells, ("converged", "all"))
    g_on = result.g_on if g_on is None else g_on
    g_off = result.g_off if g_off is None else g_off
    if g_off >= g_on:
        fail("g_off", g_off, f"below g_on={g_on!r} (S)")
    errors = (result.conductances - result.targets) / (g_on - g_off)
    errors = errors[result.converged] if cells == "converged" else errors.ravel()
    if not errors.size:
        fail("cells", cells, '"all": no cell converged')
    return ProgrammingError(errors, 1 - float(result.converged.mean()))

"""Cells under voltages: their states under waveforms, I-V loops and trains of pulses, integrated with SciPy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import integrate, sparse

from memlib.base.checks import fail, positive, whole
from memlib.cells.switching import SwitchingModel

RTOL, ATOL = 1e-7, 1e-9  #: tolerances of the integration, for a state that is scaled to [0, 1]
STEP = 1e-6  #: step of the same state for its rate's derivative


@dataclass(frozen=True)
class Response:
    """The answer of cells to one waveform: T instants, any shape of cells."""

    time: np.ndarray  #: s, (T,)
    voltage: np.ndarray  #: V, (T,)
    current: np.ndarray  #: A, (T, *cells)
    state: np.ndarray  #: in the model's unit, (T, *cells)
    resistance: np.ndarray  #: read at `V_READ`, ohm, (T, *cells)

    def frame(self) -> pd.DataFrame:
        """One row per instant and cell: time, voltage, cell (if there are several), current, state, resistance."""
        cells = self.state[0].size
        columns = {"time": np.repeat(self.time, cells), "voltage": np.repeat(self.voltage, cells)}
        if self.state.ndim > 1:
            columns["cell"] = np.tile(np.arange(cells), len(self.time))
        columns |= {name: getattr(self, name).ravel() for name in ("current", "state", "resistance")}
        return pd.DataFrame(columns)


def respond(
    model: SwitchingModel, times: ArrayLike, volts: ArrayLike, state0: ArrayLike, samples: int = 100
) -> Response:
    """Integrate the states of cells under one voltage, piecewise linear in time.

    The state stops at the model's limits and leaves them when the rate turns inwards.

    Args:
        model: of all cells.
        times: instants of the waveform's corners, s, ascending, (K,).
        volts: voltages there, V, (K,).
        state0: states at times[0], within the model's limits, any shape.
        samples: returned instants per piece; T = 1 + (K - 1) samples.

    Raises:
        ValueError: if a shape, the order of times, a voltage or a state is wrong.
    """
    check_model(model)
    times, volts, first = (np.asarray(values, float) for values in (times, volts, state0))
    samples = whole("samples", samples, 1)
    if times.ndim != 1 or times.shape != volts.shape or len(times) < 2 or not (np.diff(times) > 0).all():
        fail("times", times, "two or more ascending instants, one for each of volts")
    if not np.isfinite(volts).all():
        fail("volts", volts, "finite")
    low, high = model.limits
    slack = 1e-9 * (high - low)  # for roundings
    if not ((first >= low - slack) & (first <= high + slack)).all():
        fail("state0", first, f"within the model's limits, {low:g} to {high:g}")
    states = [np.clip(first, low, high).ravel()[None]]
    at = np.arange(1, samples + 1) / samples
    for i, duration in enumerate(np.diff(times)):
        states.append(_ramp(model, volts[i], volts[i + 1], duration, states[-1][-1], at))
    fractions = np.arange(samples * (len(times) - 1) + 1) / samples
    corners = np.arange(len(times))
    time, voltage = (np.interp(fractions, corners, values) for values in (times, volts))
    state = np.concatenate(states).reshape(-1, *first.shape)
    v = voltage.reshape(-1, *[1] * first.ndim)
    return Response(time, voltage, model.current(v, state), state, 1 / model.conductance(state))


def check_model(model: SwitchingModel) -> None:
    """Raise unless `model` is a switching model."""
    if not isinstance(model, SwitchingModel):
        fail("model", model, "a model of memlib.cells.switching, such as preset('stanford_pku')")


def _pair(field: str, values: Any, allowed: str) -> tuple[Any, Any]:
    try:
        first, second = values
    except (TypeError, ValueError):
        fail(field, values, allowed)
    return first, second


def _ramp(model: SwitchingModel, v0: float, v1: float, time: float, state0: np.ndarray, at: np.ndarray) -> np.ndarray:
    """States (len(at), cells) at ascending fractions `at` of the time in which the voltage goes from v0 to v1.

    While the voltage has one sign the state moves one way, so a state that has passed a limit is at the limit: there is
    no corner for the solver to resolve.
    """
    if v0 * v1 < 0:
        zero = v0 / (v0 - v1)
        before, after = at[at <= zero], at[at > zero]
        first = _ramp(model, v0, 0, time * zero, state0, np.append(np.minimum(before / zero, 1), 1))
        second = _ramp(model, 0, v1, time * (1 - zero), first[-1], np.minimum((after - zero) / (1 - zero), 1))
        return np.concatenate([first[:-1], second])
    low, high = model.limits
    span = high - low

    def rate(u: float, y: np.ndarray) -> np.ndarray:
        """dy/du of the state scaled to [0, 1], over the fraction u of the time."""
        return model.rate(v0 + (v1 - v0) * u, low + span * np.clip(y, 0, 1)) * (time / span)

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
) -> Response:
    """The I-V loop of a triangular voltage that starts at 0 V.

    Args:
        model: of all cells.
        amplitude: V; one number, whose negative is the peak of the second half, or the peaks of both halves.
        period: s.
        cycles: number of periods.
        state0: as in `respond`, any shape; the high-resistance limit by default.
        samples: returned instants per quarter of a period.
    """
    check_model(model)
    positive("period", period)
    cycles = whole("cycles", cycles, 1)
    peaks: Any = amplitude
    if not np.ndim(peaks):
        peaks = peaks, -peaks
    first, second = _pair("amplitude", peaks, "a voltage, or those of two peaks, V")
    volts = np.append(np.tile([0, first, 0, second], cycles), 0)
    state0 = model.hrs if state0 is None else state0
    return respond(model, np.arange(len(volts)) * (period / 4), volts, state0, samples)


def pulse_trains(
    model: SwitchingModel, trains: Sequence[tuple[float, int]], width: float, state0: float | None = None
) -> pd.DataFrame:
    """The state and conductance of one cell after each of many rectangular pulses.

    No model moves at 0 V, so pauses do not matter and a train of n pulses is one of n times the width.

    Args:
        model: of the cell.
        trains: voltage, V, and number of pulses of each train, in order.
        width: of every pulse, s.
        state0: the first state; the high-resistance limit by default.

    Returns:
        A row per pulse and one (pulse 0, 0 V) before them: train, pulse, voltage, state, conductance.
    """
    check_model(model)
    positive("width", width)
    state = np.atleast_1d(model.hrs if state0 is None else float(state0))
    rows = [(0, 0.0, state)]
    for i, train in enumerate(trains):
        volts, count = _pair("trains", train, "pairs of a voltage, V, and a number of pulses")
        count = whole("trains: number of pulses", count, 1)
        state = respond(model, [0, count * width], [volts, volts], rows[-1][2][-1], count).state[1:]
        rows.append((i, volts, state))
    table = pd.concat([pd.DataFrame({"train": i, "voltage": v, "state": states}) for i, v, states in rows])
    table = table.reset_index(names="pulse").assign(pulse=range(len(table)))
    return table.assign(conductance=model.conductance(table.state.to_numpy()))

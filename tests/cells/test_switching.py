"""Switching models against closed forms, independent integration and published numbers; write-verify programming."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from memlib import Device
from memlib.cells.pulses import pulse_trains, respond, sweep_iv
from memlib.cells.switching import PRESETS, VTEAM, WINDOWS, DataDriven, LinearIonDrift, StanfordPKU, preset
from memlib.cells.writing import PulseFlow, PulseScheme, programming_error, write_verify

#: Peaks (V) and period (s) at which each preset switches.
SWEEPS = {
    "strukov_2b": ((1, -1), 3.0),
    "strukov_2c": ((1, -1), 5.0),
    "biolek_5c": ((2, -2), 1.0),
    "vteam_memtorch": ((1, -0.25), 20e-9),
    "vteam_tiox_1": ((2, -1.5), 0.1),
    "stanford_pku": ((1.5, -1.5), 8e-3),
    "tiox_1": ((2, -1.5), 0.2),
    "tiox_2": ((0.8, -0.8), 0.1),
    "taox": ((1, -1.75), 1e-6),
}
#: Programs the gap of `stanford_pku` finely.
SCHEME = PulseScheme(set_volts=(1.0, 0.02, 1.6), reset_volts=(-1.06, -0.02, -1.5), width=1e-8)


def middle(model) -> float:
    return sum(model.limits) / 2


def loop_area(response) -> float:
    """Area of the I-V loop, W, by the trapezoidal rule over each half."""
    half = len(response.time) // 2 + 1
    return sum(
        abs(np.trapezoid(response.current[part], response.voltage[part]))
        for part in (slice(half), slice(half - 1, None))
    )


# All presets


def test_every_preset_has_a_sweep():
    assert set(SWEEPS) == set(PRESETS)
    with pytest.raises(ValueError, match=r"preset='hp'.*strukov_2b"):
        preset("hp")


@pytest.mark.parametrize("name", SWEEPS)
def test_loops_are_pinched_and_bounded(name):
    """I = 0 at 0 V, the state stays exactly within its limits and moves, and the loop has an area."""
    model, (low, high) = preset(name), preset(name).limits
    assert model.conductance(model.lrs) > model.conductance(model.hrs) > 0
    assert (model.rate(0, np.linspace(low, high, 5)) == 0).all()
    loop = sweep_iv(model, *SWEEPS[name], cycles=2, state0=middle(model))
    assert (loop.current[loop.voltage == 0] == 0).all()
    assert (loop.current * loop.voltage >= 0).all()
    assert ((loop.state >= low) & (loop.state <= high)).all()
    assert np.ptp(loop.state) > 0.02 * (high - low)
    assert loop_area(loop) > 0
    assert loop.resistance == pytest.approx(1 / model.conductance(loop.state))
    assert np.isfinite(loop.frame()).all(axis=None)


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("peak", [0, 1])
def test_pulse_flow(name, peak):
    """The tabulated flow against integration, for cells that start everywhere and switch at different speeds."""
    model = preset(name)
    (low, high), volts = model.limits, SWEEPS[name][0][peak]
    start = np.linspace(low, high, 9)
    fastest = np.abs(model.rate(volts, np.linspace(low, high, 101))).max()
    width = (high - low) / fastest
    response = respond(model, [0, width], [volts, volts], start, samples=2000)
    flow = PulseFlow(model, volts)
    for i, duration in ((1000, width / 2), (2000, width)):
        states, energy = flow.after(start, np.full(9, duration))
        error = np.abs(states - response.state[i]) / (high - low)
        assert error.max() < 3e-4  # the spacing of the table is 2.4e-4
        assert np.sort(error)[4] < 2e-5
        expected = volts * integrate.trapezoid(response.current[: i + 1], response.time[: i + 1], axis=0)
        np.testing.assert_allclose(energy, expected, rtol=2e-2)  # to the table's spacing where the rate vanishes


def test_cells_do_not_interact():
    model = preset("stanford_pku")
    states = np.array([[0.2, 0.9], [1.3, 1.7]]) * 1e-9
    together = sweep_iv(model, 1.45, 1e-6, state0=states, samples=20)
    alone = [sweep_iv(model, 1.45, 1e-6, state0=s, samples=20).state for s in states.ravel()]
    assert together.state.shape == (81, 2, 2)
    for i, state in enumerate(alone):
        assert together.state.reshape(81, 4)[:, i] == pytest.approx(state, abs=2e-14)
    assert list(together.frame().columns) == ["time", "voltage", "cell", "current", "state", "resistance"]


# Linear ion drift


@pytest.mark.parametrize("volts", [1.0, 0.4])
def test_drift_at_constant_voltage(volts):
    """From x = 0: r_off x - (r_off - r_on) x^2/2 = mobility r_on/D^2 v t, a quadratic equation."""
    model = LinearIonDrift()
    t_on = 1e-16 * 16.1e3 / (2 * 1e-14 * volts * 100)  # x = 1: D^2 (r_off + r_on)/(2 mobility v r_on)
    answer = respond(model, [0, 1.25 * t_on], [volts, volts], 0.0)
    x = (16e3 - np.sqrt(np.maximum(16e3**2 - 2 * 15.9e3 * 1e4 * 100 * 1e-2 * volts * answer.time, 100**2))) / 15.9e3
    assert answer.state == pytest.approx(x, abs=1e-5)
    assert answer.current == pytest.approx(volts / (16e3 - 15.9e3 * x), rel=5e-4)
    assert answer.state[-1] == 1
    # Strukov et al., p. 82: switched on after a time of about D^2 r_off/(2 mobility v r_on), which is 0.8 s at 1 V
    assert np.interp(1 - 1e-9, answer.state, answer.time) == pytest.approx(0.8 / volts, rel=0.02)


def test_memristance_depends_on_charge():
    """Strukov et al., Fig. 2b: x follows the charge (eq. 7) and the flux, so the loop is double and closes."""
    time = np.linspace(0, 2, 401)
    volts = np.sin(2 * np.pi * time)
    answer = respond(preset("strukov_2b"), time, volts, 0.1, samples=1)
    charge = np.concatenate([[0], np.cumsum((answer.current[1:] + answer.current[:-1]) / 2 * np.diff(time))])
    assert answer.state - 0.1 == pytest.approx(1e4 * charge, abs=2e-5)  # mobility r_on/D^2 = 1e4 per coulomb
    assert answer.state[200] == pytest.approx(0.1, abs=1e-5)  # no flux after a period
    assert answer.state[:201] == pytest.approx(answer.state[200::-1], abs=1e-5)  # one charge per flux


def test_hysteresis_collapses_with_frequency():
    """Strukov et al., Fig. 2b: at ten times the frequency the loop is all but a line."""
    model = preset("strukov_2b")
    areas = [loop_area(sweep_iv(model, 1.0, period, state0=0.1)) for period in (1.0, 0.1, 0.01)]
    assert areas[1] < 0.15 * areas[0]
    assert areas[2] == pytest.approx(0.1 * areas[1], rel=0.1)  # then it shrinks with the period


def test_windows():
    """By hand at x = 0.25, p = 2; 0 where the window stops the state, but Biolek's lets it leave."""
    x = np.array([0.25, 0.0, 1.0])
    for name, rising, values in (
        ("none", True, (1, 1, 1)),
        ("strukov", True, (0.1875, 0, 0)),
        ("joglekar", True, (0.9375, 0, 0)),
        ("biolek", True, (1 - 0.25**4, 1, 0)),
        ("biolek", False, (1 - 0.75**4, 0, 1)),
        ("prodromakis", True, (1 - 0.8125**2, 0, 0)),
    ):
        assert WINDOWS[name](x, 2, np.full(3, rising)) == pytest.approx(values)
        model = LinearIonDrift(window=name, p=2)
        rate = model.rate(1.0 if rising else -1.0, x)
        assert rate == pytest.approx(np.array(values) * LinearIonDrift().rate(1.0 if rising else -1.0, x))


# VTEAM

LINEAR = VTEAM(
    r_on=1e3, r_off=1e5, w_on=0.0, w_off=3e-9, v_on=-0.5, v_off=0.5, k_on=-2.0, k_off=1.0, alpha_on=1.0, alpha_off=1.0
)


def test_vteam_thresholds():
    """Nothing moves from v_on to v_off; beyond, w = w0 + k (v/v_th - 1) t while alpha = 1, up to the limit."""
    assert (LINEAR.rate(np.array([-0.5, -0.3, 0.3, 0.5]), 1e-9) == 0).all()
    held = sweep_iv(LINEAR, 0.5, 1.0, state0=1e-9)
    assert (held.state == held.state[0]).all()
    up = respond(LINEAR, [0, 2e-9], [1.5, 1.5], 1e-9)
    assert up.state == pytest.approx(np.minimum(1e-9 + 2 * up.time, 3e-9), rel=1e-6)
    down = respond(LINEAR, [0, 1e-9], [-0.75, -0.75], 3e-9)
    assert down.state == pytest.approx(3e-9 - down.time, rel=1e-6)


def test_vteam_ramp_and_currents():
    """Under v = c t: w = k v_off/(c (alpha + 1)) (v/v_off - 1)^(alpha + 1); R by hand at a third of the way."""
    model = LINEAR.replace(alpha_off=2.5)
    ramp = respond(model, [0, 4e-9], [0, 1.5], 0.0)
    excess = np.maximum(ramp.voltage / 0.5 - 1, 0)
    assert ramp.state == pytest.approx(np.minimum(0.5 / (1.5 / 4e-9 * 3.5) * excess**3.5, 3e-9), abs=1e-15)
    assert LINEAR.current(2.0, 1e-9) == pytest.approx(2 / 34e3)
    assert LINEAR.replace(iv="exponential").current(2.0, 1e-9) == pytest.approx(2 / (1e3 * 100 ** (1 / 3)))


def test_ramp_through_zero():
    """A state that waited at its limit leaves it at once when the voltage passes the other threshold, cells alike."""
    corners = respond(LINEAR, [0, 2e-8, 4e-8], [2, 0, -2], [0.0, 1e-9], samples=50)
    direct = respond(LINEAR, [0, 4e-8], [2, -2], [0.0, 1e-9], samples=100)
    assert corners.state[50].tolist() == [3e-9, 3e-9]
    assert direct.state == pytest.approx(corners.state, abs=1e-14)
    assert direct.state[70, 0] == pytest.approx(3e-9 - 2 * (0.3 / 2 / 0.5) * 3e-9, abs=1e-13)  # v = -0.8 V


def test_vteam_windows():
    """By hand, with the numbers of Messaris et al., Table IV, in their eq. 12."""
    model = preset("vteam_tiox_1")
    assert model.rate(-1.2, 0.5) == pytest.approx(-400 * 1.4**4.65 * math.exp(-math.exp(0.5 / 0.45)))
    assert model.rate(1.7, 0.5) == pytest.approx(3100 * (0.6 / 1.1) ** 8.69 * math.exp(-math.exp(0.5 / 0.39)))


# Stanford-PKU


def test_stanford_current():
    """Small voltages: i = i0 exp(-g/g0) v/v0. By hand at 0.1 V and 1.7 nm: 1 mA exp(-6.8) sinh(0.4) = 0.45750 uA."""
    model = StanfordPKU()
    assert model.current(1e-6, 0.5e-9) / 1e-6 == pytest.approx(1e-3 * math.exp(-2) / 0.25)
    assert model.current(0.1, 1.7e-9) == pytest.approx(4.575e-7, rel=1e-4)
    assert model.current(2.5, 0.2e-9) == pytest.approx(0.5e-3 * math.exp(10 - 0.8), rel=1e-8)  # sinh is exp/2
    assert model.temperature(1.0, 0.2e-9) == pytest.approx(298 + 2100 * 1e-3 * math.exp(-0.8) * math.sinh(4))


def test_stanford_thresholds():
    """A slow sweep switches at the threshold field: sets at f_min t_ox/gamma(1.7 nm), resets from f_min t_ox/gamma0."""
    v_set = 1.4e9 * 12e-9 / (16 - 0.8 * 1.7**3)
    v_reset = -1.4e9 * 12e-9 / (16 - 0.8 * 0.2**3)
    loop = sweep_iv(StanfordPKU(), 2.0, 16e-3, samples=400)  # 2 V in 4 ms, as in the benchmarks of the authors' code
    changed = np.flatnonzero(np.abs(np.diff(loop.state)) > 1e-11)
    reset = changed[loop.time[changed] > 8e-3]
    assert loop.voltage[changed[0]] == pytest.approx(v_set, abs=0.006)
    assert loop.voltage[reset[0]] == pytest.approx(v_reset, abs=0.006)
    # from there the gap follows the voltage: the field stays at the threshold, until the gap is largest
    sliding = (loop.voltage < -1.1) & (loop.voltage > -1.38) & (loop.time < 12e-3) & (loop.time > 8e-3)
    gap = np.cbrt((16 + 1.4e9 * 12e-9 / loop.voltage[sliding]) / 0.8) * 1e-9
    assert loop.state[sliding] == pytest.approx(gap, abs=4e-12)


def test_stanford_benchmark_pulses():
    """100 ns at 1.8 V set and at -1.3 V reset (the benchmarks of the authors' code); the course by Euler's rule."""
    model = StanfordPKU()
    assert respond(model, [0, 1e-7], [1.8, 1.8], 1.7e-9).state[-1] == 0.2e-9
    answer = respond(model, [0, 4e-8], [-1.3, -1.3], 0.2e-9, samples=4)
    gap, steps, course = 0.2, 40_000, []
    for i in range(steps):  # nm, ns
        current = 1e-3 * math.exp(-gap / 0.25) * math.sinh(-1.3 / 0.25)
        kt = 8.617333e-5 * (298 + 2100 * 1.3 * abs(current))
        gap += 40 / steps * 10 * math.exp(-0.6 / kt) * math.sinh((16 - 0.8 * gap**3) * 0.25 / 12 * 1.3 / kt)
        if (i + 1) % (steps // 4) == 0:
            course.append(gap * 1e-9)
    assert answer.state[1:] == pytest.approx(course, rel=1e-4)
    # the code's step at f_min ends the reset where the field falls to it, at gamma = 12.92
    final = respond(model, [0, 1e-5], [-1.3, -1.3], 0.2e-9).state
    assert final[-1] == pytest.approx(np.cbrt((16 - 1.4e9 * 12e-9 / 1.3) / 0.8) * 1e-9, abs=4e-12)
    assert np.interp(1e-7, np.linspace(0, 1e-5, 101), final) > 0.6 * final[-1]


# Data-driven


@pytest.mark.parametrize(
    ("name", "volts", "r0"), [("tiox_1", 1.9, 4.9e3), ("tiox_1", -1.4, 5.7e3), ("tiox_2", -0.7, 16e3)]
)
def test_data_driven_response(name, volts, r0):
    """Messaris et al., eqs. 9 and 10 (whose sign is lost in print): R(t) under a constant voltage."""
    model = preset(name)
    side = "p" if volts > 0 else "n"
    a, t, k = (getattr(model, f"{letter}_{side}") for letter in "stk")
    boundary = np.polyval(getattr(model, f"r_{side}")[::-1], volts)
    s = a * math.expm1(t * abs(volts))
    answer = respond(model, [0, 0.05], [volts, volts], r0)
    if volts > 0:
        rest = np.exp(-k * s * answer.time) * math.expm1(k * (r0 - boundary))
        expected = boundary + np.log1p(rest) / k
    else:
        rest = np.exp(k * s * answer.time) * math.expm1(-k * (r0 - boundary))
        expected = boundary - np.log1p(rest) / k
    assert answer.state == pytest.approx(expected, rel=1e-6)
    assert abs(answer.state[-1] - r0) > 300


@pytest.mark.parametrize(
    ("name", "at_zero", "unit", "tolerance"), [("tiox_1", 0, 1, 0.006), ("vteam_tiox_1", 4850, 1150, 0.013)]
)
def test_published_pulse_trains(name, at_zero, unit, tolerance):
    """Messaris et al., Fig. 5: eight trains of 100 us pulses, -1.2, 1.7, -1.3, ... -1.5, 2.0 V, 500 each (Fig. 1a).

    The resistances after them are those of the eight I-V curves of Fig. 4, "from 4.85 to 5.70 kohm".
    """
    trains = [(volts, 500) for step in range(4) for volts in (-1.2 - step / 10, 1.7 + step / 10)]
    table = pulse_trains(preset(name), trains, 1e-4, (5000 - at_zero) / unit)
    ends = at_zero + unit * table.groupby("train").state.last()
    assert len(table) == 4001
    assert ends.min() == pytest.approx(4850, rel=tolerance)
    assert ends.max() == pytest.approx(5700, rel=tolerance)
    assert ends[1::2].is_monotonic_increasing
    assert ends[::2].is_monotonic_decreasing


def test_published_range():
    """Messaris et al., Fig. 6 and Table III: pulses of 0.6 to 0.8 V take device 2 through 10 to 17 kohm."""
    trains = [(sign * volts, 500) for volts in (0.6, 0.7, 0.8) for sign in (1, -1)]
    states = pulse_trains(preset("tiox_2"), trains, 1e-4, 12e3).state
    assert 10e3 < states.min() < 11e3
    assert 16.5e3 < states.max() < 17e3


def test_tantalum_saturates():
    """Each voltage has its own final resistance, polynomials by hand: 214 ohm at 1 V, 397 ohm at -1 V."""
    model = preset("taox")
    assert respond(model, [0, 1e-3], [1, 1], 1e3, 1).state[-1] == pytest.approx(214, abs=0.01)
    assert respond(model, [0, 1e-3], [-1, -1], 200.0, 1).state[-1] == pytest.approx(397, abs=0.01)
    assert model.rate(1, 500.0) == pytest.approx(-6.82e6 * math.expm1(1.08) * math.expm1(0.017 * 286))
    assert model.rate(-1, 200.0) == pytest.approx(7.25e7 * math.expm1(0.036) * math.expm1(0.018 * 197))
    assert model.current([1.0, -1.0], 500.0) == pytest.approx(
        [0.36 * math.sinh(1.83) / 500, -0.34 * math.sinh(3.5) / 500]
    )


# Write-verify


def window(model) -> tuple[float, float]:
    return float(model.conductance(model.hrs)), float(model.conductance(model.lrs))


def written(shape=(40, 50), **options):
    """Uniformly distributed targets, written into cells that vary."""
    model = preset("stanford_pku")
    targets = np.random.default_rng(5).uniform(*window(model), shape)
    spreads = {"cell_spread": 0.3, "cycle_spread": 0.3}
    return write_verify(model, targets, SCHEME, **({"tolerance": 0.02} | spreads | options))


def test_write_verify():
    result = written()
    assert result.converged.all()
    assert result.conductances.shape == result.pulses.shape == (40, 50)
    assert np.abs(result.errors).max() <= 0.02
    assert result.pulses.max() > 60 > result.pulses.mean() > 20
    error = programming_error(result)
    assert (len(error.errors), error.failed) == (2000, 0)
    assert 0.02 / math.sqrt(3) < error.sigma < 0.02  # from uniform to all at the tolerance
    assert error.sigma**2 == pytest.approx(error.errors.mean() ** 2 + error.errors.var())
    assert Device(program_error=error.sigma).program_error_to == "range"
    assert list(result.frame()) == ["target", "conductance", "error", "pulses", "energy", "converged"]


def test_energy_of_cells_of_different_speed():
    """One pulse on each, against integration: a cell of twice the speed is where the model is after twice the time."""
    model = preset("stanford_pku")
    scheme = PulseScheme(set_volts=(1.6, 0.1, 1.6), reset_volts=(-1.2, -0.1, -1.2), width=1e-8)
    top = np.full(6, window(model)[1])
    result = write_verify(model, top, scheme, tolerance=1e-6, max_pulses=1, cell_spread=0.5, seed=3)
    speeds = np.exp(math.sqrt(math.log1p(0.25)) * np.random.default_rng([3, 1]).standard_normal(6))
    for speed, energy in zip(speeds, result.energy, strict=True):
        pulse = respond(model, [0, 1e-8 * speed], [1.6, 1.6], [model.hrs], samples=2000)
        assert energy == pytest.approx(1.6 * integrate.trapezoid(pulse.current[:, 0], pulse.time) / speed, rel=1e-3)


def test_coarse_pulses_leave_a_uniform_error():
    """Pulses of random size, far beyond the tolerance, end anywhere within it: sigma is tolerance/sqrt(3)."""
    model = LINEAR.replace(r_off=1.5e3)
    scheme = PulseScheme(set_volts=(-0.6, -0.1, -0.6), reset_volts=(0.7, 0.1, 0.7), width=1e-9)
    targets = np.random.default_rng(2).uniform(0.75e-3, 0.9e-3, 2000)
    result = write_verify(model, targets, scheme, tolerance=0.01, max_pulses=500, cycle_spread=1.0)
    error = programming_error(result)
    assert error.failed == 0
    assert error.sigma == pytest.approx(0.01 / math.sqrt(3), rel=0.05)
    assert stats.kstest(error.errors, stats.uniform(-0.01, 0.02).cdf).pvalue > 1e-3


def test_write_verify_is_reproducible():
    first, again, other = written(), written(), written(seed=1)
    assert first.conductances.tobytes() == again.conductances.tobytes()
    assert (first.pulses == again.pulses).all()
    assert (first.conductances != other.conductances).mean() > 0.9


def test_read_noise_enters_the_error():
    """The tolerance holds for what was read, so the noise of the reads adds to the errors."""
    result = written(read_noise=0.05, cell_spread=0, cycle_spread=0)
    errors = np.abs(result.errors[result.converged])
    assert errors.max() > 0.03
    assert programming_error(result).sigma > 1.15 * programming_error(written(cell_spread=0, cycle_spread=0)).sigma


def test_unreachable_targets_are_reported():
    """Beyond the model's range, and out of pulses: not converged, with the truth about conductance and pulses."""
    model = preset("stanford_pku")
    g_off, g_on = window(model)
    targets = np.array([0.5 * (g_on + g_off), 1.2 * g_on, g_off])
    result = write_verify(model, targets, SCHEME, max_pulses=100)
    assert result.converged.tolist() == [True, False, True]
    assert result.pulses[1:].tolist() == [100, 0]  # the last is there already
    assert result.conductances[1] <= g_on
    assert programming_error(result).failed == pytest.approx(1 / 3)
    few = write_verify(model, targets[:1], SCHEME, max_pulses=2)
    assert (few.converged[0], few.pulses[0]) == (False, 2)
    with pytest.raises(ValueError, match="converged=0: must be at least one cell"):
        programming_error(few)


def test_staircase():
    """A cell's voltage rises a step per pulse in one direction, to the last voltage, and starts again after a turn."""
    assert SCHEME.staircase(1)[[0, 1, -1]] == pytest.approx([1, 1.02, 1.6])
    assert len(SCHEME.staircase(-1)) == 23
    scheme = PulseScheme(set_volts=(-0.6, -0.1, -0.8), reset_volts=(0.6, 0.1, 0.7), width=1e-9)
    for count, w in ((1, 3 - 0.4), (2, 3 - 1.2), (3, 3 - 2.4)):  # nm: 1 ns at 2 m/s (v/0.5 - 1), v = -0.6, -0.7, -0.8 V
        result = write_verify(LINEAR, [1e-3], scheme, max_pulses=count, tolerance=1e-6)
        assert result.conductances == pytest.approx(LINEAR.conductance(w * 1e-9), rel=1e-5)
    turn = write_verify(LINEAR, LINEAR.conductance([2.7e-9]), scheme, max_pulses=2, tolerance=1e-6)
    assert turn.conductances == pytest.approx(LINEAR.conductance(2.8e-9), rel=1e-5)  # 2.6 nm, then 0.2 nm back


def test_cell_spread():
    """One pulse moves a VTEAM cell in proportion to its speed: lognormal of the given relative sigma."""
    scheme = PulseScheme(set_volts=(-0.6, -0.1, -0.6), reset_volts=(0.6, 0.1, 0.6), width=1e-9)
    targets = np.full(5000, 1e-3)
    kicks = []
    for spreads in ({"cell_spread": 0.5}, {"cycle_spread": 0.5}):
        g = write_verify(LINEAR, targets, scheme, max_pulses=1, tolerance=1e-6, **spreads).conductances
        kicks.append(3 - (1 / g - 1e3) / 99e3 * 3)
        assert (
            stats.kstest(kicks[-1][kicks[-1] < 2.9] / 0.4, stats.lognorm(math.sqrt(math.log(1.25))).cdf).pvalue > 1e-3
        )
        assert np.log(kicks[-1]).std() == pytest.approx(math.sqrt(math.log(1.25)), rel=0.03)
    assert abs(np.corrcoef(kicks)[0, 1]) < 0.05


# Errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearIonDrift(r_off=50.0), "r_off=50.0: must be above r_on=100.0"),
        (lambda: LinearIonDrift(window="hat"), "window='hat'.*joglekar"),
        (lambda: LINEAR.replace(v_on=0.3), "v_on=0.3.*v_off=0.5"),
        (lambda: LINEAR.replace(k_on=1.0), "k_on=1.0: must be below 0"),
        (lambda: StanfordPKU(gap_min=2e-9), "gap_min=2e-09.*below gap_max"),
        (lambda: preset("tiox_1").replace(eta=-1), "eta=-1"),
        (lambda: DataDriven.replace(preset("tiox_1"), r_min=7e3), "r_max=6000.0: must be above r_min=7000.0"),
        (lambda: PulseScheme((1, -0.1, 2), (-1, -0.1, -2), 1e-8), r"set_volts=\(1, -0.1, 2\)"),
        (lambda: PulseScheme((1, 0.1, 2), (1, 0.1, 2), 1e-8), "reset_volts.*opposite"),
        (lambda: PulseScheme((1, 2), (-1, -0.1, -2), 1e-8), r"set_volts=\(1, 2\): must be three voltages"),
        (lambda: respond("stanford_pku", [0, 1], [1, 1], 0.0), "model='stanford_pku': must be a model"),
        (lambda: respond(LINEAR, [0, 0], [1, 1], 0.0), "times.*ascending"),
        (lambda: respond(LINEAR, [0, 1], [1, 1], 5e-9), "state0=.*within the model's limits, 0 to 3e-09"),
        (lambda: write_verify(LINEAR, [1e-4], SCHEME), "set_volts.*other sign: it lowers conductance"),
        (lambda: written(tolerance=0), "tolerance=0"),
        (lambda: written(cell_spread=-1), "cell_spread=-1"),
        (lambda: written(seed=-1), "seed=-1"),
        (lambda: written(g_on=1e-9), "g_off=.*below g_on=1e-09"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()

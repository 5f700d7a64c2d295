"""Switching models against closed forms, independent integration and published numbers."""

import math

import numpy as np
import pytest
from cell_samples import LINEAR, SWEEPS

from memlib.cells.pulses import respond, sweep_iv
from memlib.cells.switching import PRESETS, WINDOWS, DataDriven, LinearIonDrift, StanfordPKU, preset


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
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()

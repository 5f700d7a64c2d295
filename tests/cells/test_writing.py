"""Write-verify programming against closed forms and integration."""

import math

import numpy as np
import pytest
from cell_samples import LINEAR, SWEEPS
from scipy import integrate, stats

from memlib import Device
from memlib.cells.pulses import respond
from memlib.cells.switching import preset
from memlib.cells.writing import PulseFlow, PulseScheme, programming_error, write_verify

#: Programs the gap of `stanford_pku` finely.
SCHEME = PulseScheme(set_volts=(1.0, 0.02, 1.6), reset_volts=(-1.06, -0.02, -1.5), width=1e-8)


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PulseScheme((1, -0.1, 2), (-1, -0.1, -2), 1e-8), r"set_volts=\(1, -0.1, 2\)"),
        (lambda: PulseScheme((1, 0.1, 2), (1, 0.1, 2), 1e-8), "reset_volts.*opposite"),
        (lambda: PulseScheme((1, 2), (-1, -0.1, -2), 1e-8), r"set_volts=\(1, 2\): must be three voltages"),
        (lambda: write_verify(LINEAR, [1e-4], SCHEME), "set_volts.*other sign: it lowers conductance"),
        (lambda: written(tolerance=0), "tolerance=0"),
        (lambda: written(cell_spread=-1), "cell_spread=-1"),
        (lambda: written(seed=-1), "seed=-1"),
        (lambda: written(g_on=1e-9), "g_off=.*below g_on=1e-09"),
        (lambda: written(g_on=math.inf), "g_on=inf: must be a finite number above 0"),
        (lambda: written(g_off="1 uS"), "g_off='1 uS': must be from 0"),
        (lambda: write_verify(LINEAR, [1e-4], (1.0, 0.1)), r"scheme=\(1.0, 0.1\): must be a PulseScheme"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()

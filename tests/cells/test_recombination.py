"""Recombination of a filament's vacancies: against the integral, both limits, single vacancies, and cells of a chip."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from cell_samples import BASE, programmed
from scipy import constants, integrate, stats

from memlib.cells.recombination import demarcation_energy, surviving

K = constants.k / constants.e  # eV/K
RATE = 1e13
DAY = 86400.0


def integral(energy: float, spread: float, time: float, kelvin: float) -> float:
    """The mean over a normal distribution of energies of what an exponential law leaves."""
    law = stats.norm(energy, spread)

    def left(e: float) -> float:
        return law.pdf(e) * math.exp(-RATE * time * math.exp(-e / (K * kelvin)))

    edge = K * kelvin * math.log(RATE * time)
    low, high = energy - 9 * spread, energy + 9 * spread
    points = np.unique(np.clip([low, energy, high, *(edge + k * K * kelvin for k in (-4, 0, 4, 20))], low, high))
    return sum(integrate.quad(left, *part, epsabs=1e-11)[0] for part in itertools.pairwise(points))


@pytest.mark.parametrize("spread", [0.005, 0.08, 0.4])
@pytest.mark.parametrize(("time", "kelvin"), [(1.0, 300.0), (1e5, 358.0), (3e8, 398.0)])
def test_surviving_is_the_integral(spread, time, kelvin):
    """Before, at and after the edge."""
    edge = K * kelvin * math.log(RATE * time)
    energies = edge + np.array([-2.0, -0.5, 0.0, 0.3, 1.5]) * (spread + K * kelvin)
    expected = [integral(energy, spread, time, kelvin) for energy in energies]
    np.testing.assert_allclose(surviving(energies, spread, time, kelvin, RATE), expected, rtol=0, atol=1e-5)


def test_limits():
    """One energy: an exponential of time. Energies spread over many kT: normal in log time, later by Euler's gamma."""
    rate = RATE * math.exp(-1.1 / (K * 358))
    for time in (1e-14, 1.0, 0.1 / rate, 1 / rate, 5 / rate):
        assert surviving(np.array(1.1), 0.0, time, 358.0, RATE) == pytest.approx(math.exp(-rate * time), rel=1e-6)
    spread, kt = 0.9, K * 300
    for time in (1.0, 1e5, 1e10):
        edge = demarcation_energy(time, 300.0, RATE) + np.euler_gamma * kt
        wide = math.hypot(spread, math.pi / math.sqrt(6) * kt)
        assert surviving(np.array(1.1), spread, time, 300.0, RATE) == pytest.approx(
            NormalDist().cdf((1.1 - edge) / wide), abs=1e-4
        )
    assert surviving(np.array([1.1, 0.1]), 0.08, 1e-14, 300.0, RATE).tolist() == [1, 1]


def test_single_vacancies():
    """Each with an energy, and an exponential lifetime, of its own."""
    generator = np.random.default_rng(1)
    energies = generator.normal(1.15, 0.07, 200_000)
    lifetimes = generator.exponential(np.exp(energies / (K * 358)) / RATE)
    for time in (1e1, 1e3, 1e5):
        expected = surviving(np.array(1.15), 0.07, time, 358.0, RATE)
        left = int((lifetimes > time).sum())
        assert stats.binomtest(left, len(lifetimes), float(expected)).pvalue > 1e-3


def test_cells_decay_each_in_its_own_time():
    """Without a spread within cells the law of what is left, exp(-exp(-x)) of a normal x, is known; HRS stays."""
    device = BASE.replace(
        retention_time=DAY, retention_temperature=398.0, recombination_energy=1.4, recombination_between=0.03
    )
    left = (programmed(device) - device.g_off) / device.g_range
    x = -np.log(-np.log(left[(left > 1e-9) & (left < 1 - 1e-9)]))
    kt = K * 398
    cells = stats.norm((1.4 - kt * math.log(RATE * DAY)) / kt, 0.03 / kt)
    low, high = cells.cdf([-math.log(-math.log(1e-9)), -math.log(-math.log(1 - 1e-9))])
    assert stats.kstest(cells.cdf(x), stats.uniform(low, high - low).cdf).pvalue > 1e-3
    np.testing.assert_allclose(programmed(device, 0.0), device.g_off, rtol=1e-12)
    half = (programmed(device, 0.5) - device.g_off) / device.g_range
    np.testing.assert_allclose(half, left / 2, rtol=0, atol=1e-9)


def test_tail_cells():
    """A fraction of the cells, named by a stream of their own, has lost nearly all where the others have kept it."""
    device = BASE.replace(retention_time=1e5, recombination_energy=1.5, recombination_within=0.03)
    tailed = device.replace(recombination_tail=0.1, recombination_tail_energy=0.8)
    lost = programmed(tailed) < device.g_off + 0.01 * device.g_range
    assert stats.binomtest(int(lost.sum()), lost.size, 0.1).pvalue > 1e-3
    np.testing.assert_allclose(programmed(tailed)[~lost], programmed(device)[~lost])
    assert (programmed(device) > device.g_off + 0.99 * device.g_range).all()


def test_heat_shortens_the_same_decay():
    """With one energy E, an hour at 398 K is exp(E/k (1/300 - 1/398)) hours at 300 K."""
    hour = 3600.0
    longer = hour * math.exp(1.32 / K * (1 / 300 - 1 / 398))
    hot = BASE.replace(retention_time=hour, retention_temperature=398.0, recombination_energy=1.32)
    cold = hot.replace(retention_time=longer, retention_temperature=300.0)
    assert 0.01 < (programmed(hot, n=1)[0] - BASE.g_off) / BASE.g_range < 0.99
    np.testing.assert_allclose(programmed(hot), programmed(cold), rtol=1e-6)


def test_higher_barriers_stretch_time():
    """By exp(E/kT), whatever cells are like: all energies 0.25 eV higher, the same conductances that much later."""
    law = {"recombination_within": 0.08, "recombination_between": 0.06, "recombination_tail": 0.03}
    plain = BASE.replace(
        retention_time=1e4, retention_temperature=358.0, recombination_energy=1.3, recombination_tail_energy=1.0, **law
    )
    later = 1e4 * math.exp(0.25 / (K * 358))
    raised = plain.replace(retention_time=later, recombination_energy=1.55, recombination_tail_energy=1.25)
    np.testing.assert_allclose(programmed(plain), programmed(raised), rtol=1e-6)

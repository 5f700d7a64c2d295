"""Retention and endurance against theory, alone and together with what came before them."""

import numpy as np
import pytest
import torch
from cell_samples import BASE, matches, programmed
from scipy import constants, stats

from memlib import Device, Hardware, Tile, map_network

YEAR = 365.25 * 24 * 3600


def test_decay_is_a_power_law():
    """g (t/t0)^-nu from t0 on, and nothing before; a negative exponent grows."""
    device = BASE.replace(retention_nu=0.05, retention_t0=10.0)
    for time, factor in ((0.0, 1), (9.9, 1), (10.0, 1), (1e3, 100**-0.05), (1e6, 1e5**-0.05)):
        np.testing.assert_allclose(programmed(device.replace(retention_time=time), n=3), factor * BASE.g_on, rtol=1e-12)
    grown = programmed(device.replace(retention_nu=-0.05, retention_time=1e3), n=3)
    np.testing.assert_allclose(grown, 100**0.05 * BASE.g_on, rtol=1e-12)


def test_exponents_of_cells_are_normal():
    """-log(g/g0)/log(t/t0) has the mean and the sigma of nu."""
    device = BASE.replace(retention_nu=0.06, retention_nu_sigma=0.02, retention_time=1e5)
    exponents = -np.log(programmed(device) / BASE.g_on) / np.log(1e5)
    assert matches(exponents, stats.norm(0.06, 0.02))


@pytest.mark.parametrize("time", [1e2, 1e7])
def test_spread_grows_with_the_logarithm_of_time(time):
    """Normal, sigma per decade relative to the range, whatever the state; what would be negative is 0."""
    device = BASE.replace(retention_spread=0.01, retention_time=time)
    for position in (0.4, 1.0):
        target, sigma = BASE.g_off + position * BASE.g_range, 0.01 * np.log10(time) * BASE.g_range
        assert matches(programmed(device, position), stats.norm(target, sigma))
    g = programmed(device.replace(retention_spread=0.5), 0.0)
    assert g.min() == 0
    assert (g == 0).mean() == pytest.approx(stats.norm.cdf(-BASE.g_off / (50 * sigma)), abs=0.02)


def test_arrhenius():
    """A day at 125 C counts as exp(E/k (1/300 - 1/398.15)) days at 300 K."""
    aged = {"retention_nu": 0.03, "retention_nu_sigma": 0.01, "retention_spread": 0.002}
    day, kelvin = 86400.0, 398.15
    boltzmann = constants.k / constants.e
    longer = day * np.exp(1.2 / boltzmann * (1 / 300 - 1 / kelvin))
    assert longer == pytest.approx(255 * YEAR, rel=0.01)
    hot = BASE.replace(**aged, retention_time=day, retention_energy=1.2, retention_temperature=kelvin)
    np.testing.assert_allclose(programmed(hot), programmed(BASE.replace(**aged, retention_time=longer)), rtol=1e-9)
    cold = hot.replace(retention_temperature=250.0, retention_time=100.0)
    np.testing.assert_array_equal(programmed(cold), programmed(BASE))


def test_endurance_by_hand():
    """After 100 times the onset, with exponents 0.25 and 0.1: r_on 10^0.5 times, r_off 10^-0.2 times."""
    worn = BASE.replace(endurance_cycles=1e6, endurance_onset=1e4, endurance_on=0.25, endurance_off=0.1)
    low, high = 10**0.2 / 100e3, 10**-0.5 / 10e3
    for position in (0.0, 0.3, 1.0):
        np.testing.assert_allclose(programmed(worn, position, 2), low + position * (high - low), rtol=1e-12)
    np.testing.assert_array_equal(programmed(worn.replace(endurance_cycles=1e4), 0.3), programmed(BASE, 0.3))


def test_windows_close_and_stay_closed():
    """Once the two resistances meet, every state has that of the worn LRS."""
    worn = BASE.replace(endurance_cycles=1e9, endurance_onset=1.0, endurance_on=0.1, endurance_off=0.1)
    for position in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(programmed(worn, position, 2), 1 / (10e3 * 10**0.9), rtol=1e-12)
    varied = worn.replace(d2d_on=0.5, d2d_off=0.5, endurance_cycles=1e3)
    g = [programmed(varied, position) for position in (0.0, 1.0)]
    closed = g[0] == g[1]
    assert 0 < closed.mean() < 1
    assert (g[0] <= g[1]).all()


def test_faulty_cells_do_not_age():
    """A stuck cell keeps its own g_on, or g_off."""
    aged = {"retention_time": 1e6, "retention_nu": 0.1, "retention_spread": 0.01}
    worn = {"endurance_cycles": 1e6, "endurance_on": 0.05, "endurance_off": 0.05}
    for effect in ("stuck_on", "stuck_off", "unformed"):
        device = BASE.replace(d2d_on=0.2, d2d_off=0.2, **{effect: 1.0})
        np.testing.assert_array_equal(programmed(device.replace(**aged, **worn)), programmed(device))


def test_a_chip_ages_in_place():
    """The same seed is the same chip at another time: cells drift on from where they are, each its own way."""
    layer = torch.nn.Linear(40, 30, bias=False).double()
    torch.nn.init.ones_(layer.weight)
    device = Device.preset("cmo_hfox").replace(read_noise=0.0, states=None)
    off = Tile(dac_bits=None, adc_bits=None)
    x = torch.eye(40, dtype=torch.float64)
    chips = [map_network(layer, Hardware(device.replace(retention_time=t), off), seed=3)(x) for t in (0.0, 1e3, 1e6)]
    early, late = (chip - chips[0] * s for chip, s in zip(chips[1:], (1e3**-0.0018, 1e6**-0.0018), strict=True))
    np.testing.assert_allclose(late, 2 * early, atol=2e-5)  # six decades have twice the spread of three

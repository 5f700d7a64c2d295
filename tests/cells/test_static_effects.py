"""Each static effect against theory, ageing too, alone and together with what came before it."""

import itertools

import numpy as np
import pytest
import torch
from cell_samples import BASE, CELLS, FAULTS, OFF, STATIC, draw, matches, programmed, seen_weights
from scipy import constants, stats
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, map_network
from memlib.cells.static_effects import program_cells

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


@pytest.mark.parametrize(("reference", "position"), list(itertools.product(["range", "g"], [0.3, 1.0])))
def test_program_error(reference, position):
    """Normal, with sigma relative to the range or to the target."""
    device = BASE.replace(program_error=0.03, program_error_to=reference)
    target = device.g_off + position * device.g_range
    sigma = 0.03 * (device.g_range if reference == "range" else target)
    assert matches(programmed(device, position), stats.norm(target, sigma))


def test_program_error_is_clipped_at_zero():
    """What would be negative is 0, and the rest follows the upper part of the normal distribution."""
    device = BASE.replace(program_error=0.2)
    sigma = 0.2 * device.g_range
    g = programmed(device, position=0.0)
    zeros = int((g == 0).sum())
    assert stats.binomtest(zeros, CELLS, stats.norm.cdf(-device.g_off / sigma)).pvalue > 1e-3
    assert matches(g[g > 0], stats.truncnorm(-device.g_off / sigma, np.inf, device.g_off, sigma))


def test_program_error_of_a_mapped_layer():
    """A differential weight has the error of two cells; an offset one twice that of its cell and of the reference."""
    device = BASE.replace(program_error=0.02)
    differential = seen_weights(device)["a"]
    assert matches(differential, stats.norm(1, 0.02 * np.sqrt(2)))
    offset = seen_weights(device, "offset")["a"]
    assert offset.std() == pytest.approx(2 * 0.02 * np.sqrt(2), rel=0.05)
    within = [offset[:, first : first + 30] for first in (0, 30, 60)]  # a tile's columns share a reference
    own = np.concatenate([w - w.mean(1, keepdims=True) for w in within])
    assert matches(own, stats.norm(0, 2 * 0.02 * np.sqrt(29 / 30)))
    references = np.concatenate([w.mean(1) - 1 for w in within])  # each row of a tile has a reference cell
    assert matches(references, stats.norm(0, 2 * 0.02 * np.sqrt(1 + 1 / 30)))


@pytest.mark.parametrize(("effect", "nominal", "position"), [("d2d_on", 10e3, 1.0), ("d2d_off", 100e3, 0.0)])
def test_lognormal_resistances(effect, nominal, position):
    """Median nominal, log-sigma sqrt(ln(1 + sigma^2))."""
    resistance = 1 / programmed(BASE.replace(**{effect: 0.4}), position)
    assert matches(resistance, stats.lognorm(np.sqrt(np.log(1 + 0.4**2)), scale=nominal))
    assert resistance.std() / resistance.mean() == pytest.approx(0.4, rel=0.03)


@pytest.mark.parametrize("sigma", [0.1, 0.8])
def test_truncated_normal_resistances(sigma):
    """Normal, truncated to 0.3 to 3 times nominal."""
    device = BASE.replace(d2d_on=sigma, d2d_distribution="normal")
    relative = 1 / programmed(device) / device.r_on
    assert matches(relative, stats.truncnorm(-0.7 / sigma, 2 / sigma, 1, sigma))
    assert relative.min() >= 0.3 - 1e-12
    assert relative.max() <= 3 + 1e-12


@pytest.mark.parametrize("position", [0.0, 0.25, 1.0])
def test_target_keeps_its_relative_position(position):
    """A cell with its own window is programmed to the same fraction of it."""
    device = BASE.replace(d2d_on=0.3, d2d_off=0.3)
    stuck_on, stuck_off = device.replace(stuck_on=1.0), device.replace(stuck_off=1.0)
    g, own_on, own_off = (programmed(d, position) for d in (device, stuck_on, stuck_off))
    np.testing.assert_allclose(g, own_off + position * (own_on - own_off), rtol=1e-12)


@pytest.mark.parametrize("spread", [{"d2d_on": 0.5}, {"d2d_off": 0.5}, {"d2d_on": 0.5, "d2d_off": 0.5}])
@pytest.mark.parametrize("distribution", ["lognormal", "normal"])
def test_window_is_never_inverted(spread, distribution):
    """r_off >= r_on in every cell, with equality where the draws would cross."""
    device = Device(r_on=10_000.3, r_off=12_000.7, d2d_distribution=distribution, **spread)
    own_on, own_off = programmed(device.replace(stuck_on=1.0)), programmed(device.replace(stuck_off=1.0))
    assert (own_off <= own_on).all()
    assert 0.05 < (own_off == own_on).mean() < 0.6


def test_relative_position_is_not_clipped():
    """A programming error beyond the window stays beyond it in the cell's own window."""
    device = BASE.replace(program_error=0.1, d2d_on=0.2)
    above = programmed(device) > programmed(device.replace(stuck_on=1.0))
    assert above.mean() == pytest.approx(0.5, abs=0.02)


def test_states_are_levels_of_the_window():
    """Targets go to the nearest of evenly spaced levels; a tie goes to the even one, counted from g_off."""
    device = Device(r_on=2**-3, r_off=2**-2, states=5)  # 4 to 8 S in steps of 1 S
    targets = torch.tensor([4, 4.5, 4.6, 5.5, 6.4, 6.5, 7.5, 7.51, 8], dtype=torch.float64)
    assert program_cells(device, targets, draw, 5).tolist() == [4, 4, 5, 6, 6, 6, 8, 8, 8]


@pytest.mark.parametrize(
    ("scheme", "states", "levels"),
    [
        ("differential", 2, [-1, 0, 1]),
        ("differential", 4, [-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1]),
        ("offset", 3, [-1, 0, 1]),
        ("offset", 4, [-1, 0, 1]),
        ("offset", 5, [-1, -1 / 2, 0, 1 / 2, 1]),
        ("offset", 6, [-1, -1 / 2, 0, 1 / 2, 1]),
    ],
)
def test_states_of_a_mapped_layer(scheme, states, levels):
    """Weights become the nearest of symmetric levels that include 0; offset uses one less of an even number."""
    layer = nn.Linear(33, 1, bias=False).double()
    layer.weight.data = torch.arange(-16, 17, dtype=torch.float64)[None] / 16
    device = Device(r_on=2**13, r_off=2**14, states=states)  # exact in float64, so that ties are ties
    analog = map_network(layer, Hardware(device, OFF, Mapping(scheme=scheme)))
    weights, seen = layer.weight.detach().numpy()[0], analog(torch.eye(33, dtype=torch.float64)).numpy()[:, 0]
    levels = np.array(levels)
    distance = np.abs(seen[:, None] - levels)
    assert distance.min(1).max() < 1e-12
    assert set(distance.argmin(1)) == set(range(len(levels)))
    np.testing.assert_allclose(np.abs(seen - weights), np.abs(weights[:, None] - levels).min(1), atol=1e-12)
    np.testing.assert_allclose(seen, -seen[::-1], atol=1e-12)  # ties too


@pytest.mark.parametrize("effect", FAULTS)
def test_faults(effect):
    """The right fraction of cells is stuck, at its own g_on, its own g_off or 0; the others are as without faults."""
    healthy = BASE.replace(d2d_on=0.2, d2d_off=0.2, program_error=0.05)
    g, before = programmed(healthy.replace(**{effect: 0.05}), 0.5), programmed(healthy, 0.5)
    stuck = g != before
    assert stats.binomtest(int(stuck.sum()), CELLS, 0.05).pvalue > 1e-3
    value = np.zeros(CELLS)
    if effect != "unformed":
        r = 10e3 if effect == "stuck_on" else 100e3
        z = draw("d2d_on" if effect == "stuck_on" else "d2d_off").double().numpy()
        value = 1 / (r * np.exp(np.sqrt(np.log(1.04)) * z))
    np.testing.assert_allclose(g[stuck], value[stuck], rtol=1e-12)


def test_later_faults_override_earlier_ones():
    """Stuck on, then stuck off, then unformed: a cell that drew several has the last."""
    device = BASE.replace(stuck_on=0.5, stuck_off=0.4, unformed=0.3)
    hit = {effect: draw(effect).numpy() < getattr(device, effect) for effect in FAULTS}
    expected = np.full(CELLS, device.g_off + 0.5 * device.g_range)
    expected[hit["stuck_on"]] = device.g_on
    expected[hit["stuck_off"]] = device.g_off
    expected[hit["unformed"]] = 0
    assert (hit["stuck_on"] & hit["stuck_off"] & hit["unformed"]).sum() > 1000
    np.testing.assert_allclose(programmed(device, 0.5), expected, rtol=1e-12)


@pytest.mark.parametrize("scheme", ["differential", "offset"])
@pytest.mark.parametrize("effect", FAULTS)
def test_all_cells_faulty(effect, scheme):
    """With probability 1 all cells, the reference's too, are the same, so every weight is seen as 0."""
    seen = seen_weights(BASE.replace(**{effect: 1.0}), scheme, shape=(20, 8))["a"]
    np.testing.assert_allclose(seen, 0, atol=1e-12)


@pytest.mark.parametrize("effect", STATIC)
def test_severities_are_nested(effect):
    """A stronger effect scales the same draws, and sticks the same cells and more."""
    weak, strong = (programmed(BASE.replace(**{effect: s}), 0.5) for s in (0.01, 0.03))
    nominal = programmed(BASE, 0.5)
    if effect in FAULTS:
        assert 0 < (weak != nominal).sum() < (strong != nominal).sum()
        assert ((strong != nominal) >= (weak != nominal)).all()
    elif effect == "program_error":
        np.testing.assert_allclose(strong - nominal, 3 * (weak - nominal), rtol=1e-9, atol=1e-18)
    else:
        stuck, own = ("stuck_on", BASE.g_on) if effect == "d2d_on" else ("stuck_off", BASE.g_off)
        z = []
        for sigma in (0.01, 0.03):
            g = programmed(BASE.replace(**{effect: sigma, stuck: 1.0}))
            z.append(np.log(g / own) / np.sqrt(np.log(1 + sigma**2)))
        np.testing.assert_allclose(z[0], z[1], atol=1e-9)

"""Each non-ideality against theory, and independence of everything that is drawn."""

import itertools
from collections import OrderedDict

import numpy as np
import pytest
import torch
from cell_samples import BASE, CELLS, draw, matches, programmed
from scipy import stats
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, accuracy, footprint, map_network
from memlib.base.random_streams import normals, uniforms
from memlib.cells.device_presets import PRESETS
from memlib.cells.static_effects import program_cells

OFF = Tile(rows=100, cols=30, dac_bits=None, adc_bits=None)
FAULTS = ("stuck_on", "stuck_off", "unformed")
STATIC = {
    "program_error": 0.1, "d2d_on": 0.1, "d2d_off": 0.1, "stuck_on": 0.1, "stuck_off": 0.1, "unformed": 0.1,
}  # fmt: skip


def ones(inputs: int, outputs: int, names: tuple[str, ...] = ("a",)) -> nn.Module:
    """Linear layers whose weights are all 1: target g_on in the positive cells and g_off in the negative ones."""
    layers = OrderedDict((name, nn.Linear(inputs, outputs, bias=False).double()) for name in names)
    for layer in layers.values():
        nn.init.ones_(layer.weight)
    return nn.Sequential(layers)


def seen_weights(device: Device, scheme: str = "differential", seed: int = 0, names=("a",), shape=(200, 100)) -> dict:
    """The weights that a chip's layers compute with, by layer."""
    network = map_network(ones(*shape, names), Hardware(device, OFF, Mapping(scheme=scheme)), seed=seed)
    unit = torch.eye(shape[0], dtype=torch.float64)
    return {name: layer(unit).numpy() for name, layer in network.layers.items()}


def test_varies_tells_whether_chips_differ():
    """Against chips themselves: presets, new and a day old, and every effect that draws."""
    aged = {"retention_time": 86400.0}
    recombining = {"recombination_energy": 1.0, "retention_temperature": 400.0, "recombination_within": 0.1}
    devices = [Device.preset(name) for name in PRESETS]
    devices += [d.replace(**aged) for d in devices if d.retention_nu or d.retention_spread]
    devices += [BASE.replace(**{name: 0.1}) for name in (*STATIC, "read_noise")]
    devices += [BASE.replace(states=4), BASE.replace(retention_nu=0.1, **aged), BASE.replace(**recombining, **aged)]
    devices += [BASE.replace(retention_nu_sigma=0.1), BASE.replace(retention_nu_sigma=0.1, **aged)]
    devices += [BASE.replace(**recombining, recombination_between=0.1, **aged)]
    devices += [BASE.replace(retention_spread=0.1, retention_time=0.5)]  # younger than t0
    devices += [BASE.replace(recombination_energy=1.0, recombination_between=0.1)]
    for device in devices:
        one, other = (seen_weights(device, seed=seed)["a"] for seed in (0, 1))
        assert device.varies == bool((one != other).any()), device
    assert {device.varies for device in devices} == {False, True}


# Static effects


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


@pytest.mark.parametrize(("name", "resistances"), [
    ("10k_100k", (10e3, 100e3)), ("14k_300k", (14e3, 300e3)), ("14k_50M", (14e3, 50e6)),
])  # fmt: skip
def test_presets(name, resistances):
    device = Device.preset(name)
    assert (device.r_on, device.r_off) == resistances
    assert device.replace(**STATIC, states=4, read_noise=1.0).ideal() == device


# Read noise


def redrawn_reads(weights: np.ndarray, volts: np.ndarray, device: Device, scheme: str, n: int) -> np.ndarray:
    """n reads of an ideally programmed matrix (inputs, outputs), every cell redrawn at each, in units of weights."""
    rng, k = np.random.default_rng(0), device.g_range / np.abs(weights).max()
    g_mid = (device.g_on + device.g_off) / 2
    if scheme == "differential":
        parts = [device.g_off + k * np.maximum(weights, 0), device.g_off + k * np.maximum(-weights, 0)]
    else:
        parts, k = [g_mid + k / 2 * weights, np.full((len(weights), 1), g_mid)], k / 2
    currents = []
    for g in parts:
        sigma = device.read_noise * (g if device.read_noise_to == "g" else device.g_range)
        currents.append(volts @ (g + sigma * rng.standard_normal((n, *g.shape))))
    return (currents[0] - currents[1]) / k


@pytest.mark.parametrize("scheme", ["differential", "offset"])
@pytest.mark.parametrize("reference", ["g", "range"])
@pytest.mark.parametrize("converter", ["pair", "column"])
def test_read_noise_equals_redrawing_every_cell(reference, scheme, converter):
    """The noise of column sums has the distribution, and between columns the correlation, of noise in every cell."""
    device = BASE.replace(read_noise=0.2, read_noise_to=reference)
    weights = np.linspace(-1, 0.7, 21).reshape(7, 3) ** 3
    x, n = np.array([1, -0.5, 0.25, 0, 0.8, -1, 0.1]), 5000
    layer = nn.Linear(7, 3, bias=False).double()
    layer.weight.data = torch.from_numpy(weights.T.copy())
    hardware = Hardware(device, OFF.replace(converter=converter), Mapping(scheme=scheme))
    reads = map_network(layer, hardware)(torch.from_numpy(x).expand(n, 7)).numpy()
    brute = redrawn_reads(weights, x, device, scheme, n)
    for column in range(3):
        assert stats.ks_2samp(reads[:, column], brute[:, column]).pvalue > 1e-3
    np.testing.assert_allclose(np.corrcoef(reads.T), np.corrcoef(brute.T), atol=0.06)
    np.testing.assert_allclose(reads.mean(0), x @ weights, atol=5 * brute.std(0).max() / np.sqrt(n))


def test_cells_that_do_not_conduct_are_silent():
    """Unformed cells have no read noise, relative to the range neither."""
    device = BASE.replace(read_noise=0.1, read_noise_to="range", unformed=1.0)
    assert np.abs(seen_weights(device, shape=(20, 8))["a"]).max() == 0


def test_read_noise_advances_and_reset_rewinds():
    """Each forward draws anew; reset() starts the same sequence again; the devices stay as they are."""
    hardware = Hardware(BASE.replace(read_noise=0.1, d2d_on=0.1))
    network = map_network(ones(20, 8), hardware, torch.ones(1, 20).double())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.rand(5, 20, generator=torch.Generator().manual_seed(0)).double()
    first, second = network(x), network(x)
    assert not torch.equal(first, second)
    network.reset()
    assert torch.equal(network(x), first)
    assert torch.equal(network(x), second)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_static_devices_do_not_change_between_reads():
    network = map_network(ones(20, 8), Hardware(BASE.replace(**STATIC), Tile()), torch.ones(1, 20).double())
    x = torch.ones(2, 20, dtype=torch.float64)
    first = network(x)
    assert torch.equal(first[0], first[1])
    assert torch.equal(network(x), first)


# Randomness


def assert_uncorrelated(samples: list[np.ndarray]) -> None:
    """No two samples correlate by more than chance (5 sigma)."""
    correlation = np.corrcoef([sample.ravel() for sample in samples])
    assert np.abs(correlation - np.eye(len(samples))).max() < 5 / np.sqrt(samples[0].size)


def test_streams_are_independent():
    """Every seed, layer, effect and tile has draws of its own."""
    names = [(0, "a", "d2d_on"), (1, "a", "d2d_on"), (0, "b", "d2d_on"), (0, "a", "d2d_off"), (0, "a", "program_error")]
    tiles = [(0, "a", "d2d_on", *tile) for tile in ((0, 0), (0, 1), (1, 0), (0, 11), (1, 1))]
    assert_uncorrelated([normals((CELLS,), *name).numpy() for name in names + tiles])
    assert_uncorrelated([uniforms((CELLS,), 0, "a", effect).numpy() for effect in FAULTS])


def test_same_devices_whatever_the_order():
    """Order of layers, of mapping and of use, and the global random state, decide nothing."""
    device = BASE.replace(**STATIC)
    expected = seen_weights(device, seed=5, names=("a", "b"))
    torch.manual_seed(99)
    seen_weights(device, seed=6)
    again = seen_weights(device, seed=5, names=("c", "b", "a"))
    assert all((again[name] == expected[name]).all() for name in "ab")


def test_other_layers_hardware_changes_no_devices():
    noisy, calibration = Hardware(BASE.replace(**STATIC, read_noise=0.1)), torch.ones(1, 20).double()
    other = Hardware(Device(d2d_on=0.3), Tile(rows=7, adc_bits=5), Mapping(scheme="offset"))
    network = ones(20, 20, ("a", "b"))
    expected = map_network(network, noisy, calibration).layers["b"]
    layer = map_network(network, {"a": other, "b": noisy}, calibration).layers["b"]
    assert layer.state_dict().keys() == expected.state_dict().keys()
    assert all(torch.equal(value, expected.state_dict()[name]) for name, value in layer.state_dict().items())
    assert torch.equal(layer(calibration), expected(calibration))


def test_global_random_state_is_untouched():
    """Nothing reads or changes torch's or numpy's global generators."""
    network, x = ones(20, 8), torch.ones(4, 20).double()
    hardware = Hardware(BASE.replace(**STATIC, read_noise=0.1))
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = accuracy(network, hardware, x, torch.zeros(4).long(), calibration=x, seeds=[0, 1])
    footprint(network, (20,), hardware)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
    torch.manual_seed(3)
    np.testing.assert_array_equal(accuracy(network, hardware, x, torch.zeros(4).long(), x, [0, 1]), first)

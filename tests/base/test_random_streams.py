"""Named streams: everything that is drawn is independent, and depends on no order."""

import numpy as np
import torch
from cell_samples import BASE, CELLS, FAULTS, STATIC, ones, seen_weights

from memlib import Device, Hardware, Mapping, Tile, accuracy, footprint, map_network
from memlib.base.random_streams import normals, uniforms


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

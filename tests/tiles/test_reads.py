"""Reads: noise as if every cell were drawn again, and what stays the same from read to read."""

import numpy as np
import pytest
import torch
from cell_samples import BASE, OFF, ones, seen_weights
from scipy import stats
from torch import nn

from memlib import Device, Hardware, Mapping, map_network


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

"""What cells conduct behind transistors and wires, and how noisy they are there."""

import numpy as np
import pytest
import torch
from small_networks import linear

from memlib import Device, Hardware, Tile, map_network
from memlib.wires.solver import effective_conductance

OFF = Tile(dac_bits=None, adc_bits=None)
BASE = Device()


def test_transistor():
    """A cell conducts g/(1 + g r): a weight of 1 is seen as the difference of the two states behind it."""
    tile = OFF.replace(r_transistor=5e3)
    seen = map_network(linear(torch.ones(2, 3)), Hardware(BASE, tile))(torch.eye(3).double())
    behind = [1 / (r + 5e3) for r in (10e3, 100e3)]
    np.testing.assert_allclose(seen.numpy(), (behind[0] - behind[1]) / (1 / 10e3 - 1 / 100e3), rtol=1e-12)


@pytest.mark.parametrize("reference", ["g", "range"])
def test_read_noise_behind_wires(reference):
    """Sigma scaled as the conductance is: at most too large by the share of the current that the wires take, 20 %."""
    device = BASE.replace(read_noise=0.05, read_noise_to=reference)
    weights = torch.full((16, 16), 1.0, dtype=torch.float64)
    tile = OFF.replace(rows=16, cols=16, r_row=12.0, r_col=12.0)
    n, x = 4000, torch.ones(1, 16, dtype=torch.float64)
    reads = map_network(linear(weights), Hardware(device, tile))(x.expand(n, 16)).numpy()
    generator, expected = torch.Generator().manual_seed(1), 0
    for g in (BASE.g_on, BASE.g_off):
        sigma = 0.05 * (g if reference == "g" else BASE.g_range)
        z = torch.randn(n, 16, 16, generator=generator, dtype=torch.float64)
        cells = (g + sigma * z).clamp(min=0)
        currents = effective_conductance(cells, 12.0, 12.0).sum(1)
        expected = currents - expected if g == BASE.g_off else currents
    expected = -expected.numpy() / BASE.g_range
    assert expected.mean() == pytest.approx(reads.mean(), rel=0.01)
    loss = 1 - expected.mean() / 16
    assert 0.15 < loss < 0.25
    ratio = reads.std(0) / expected.std(0)
    assert ratio.min() > 0.95
    assert ratio.max() < 1 + loss
    assert ratio.mean() < 1 + 0.7 * loss


@pytest.mark.parametrize(("resistances", "most"), [({"r_sense": 300.0}, 0.45), ({"r_driver": 300.0}, 0.45)])
def test_read_noise_behind_ends(resistances, most):
    """Where all of a column's, or a row's, current passes one resistance that takes the share s: s/(1 - s) at most."""
    device, n = BASE.replace(read_noise=0.02), 3000
    tile = OFF.replace(rows=16, cols=16, **resistances)
    reads = map_network(linear(torch.ones(16, 16)), Hardware(device, tile))(torch.ones(n, 16).double()).numpy()
    z = torch.randn(2, n, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    positive, negative = (
        effective_conductance(g * (1 + 0.02 * part), **resistances).sum(1)
        for g, part in zip((1e-4, 1e-5), z, strict=True)
    )
    brute = ((positive - negative) / BASE.g_range).numpy()
    share = 1 - brute.mean() / 16
    assert 0.2 < share < most
    ratio = reads.std(0).mean() / brute.std(0).mean()
    assert 0.97 < ratio < 1 + 1.1 * share / (1 - share)


def test_transistor_quietens_cells():
    """A fluctuation of the resistor reaches the column through the square of the divider, to first order."""
    device = Device(r_on=10e3, r_off=1e9, read_noise=0.01)
    tile = OFF.replace(r_transistor=10e3)
    reads = map_network(linear(torch.ones(1, 1)), Hardware(device, tile))(torch.ones(20000, 1).double()).numpy()
    g = device.g_on * (1 + 0.01 * np.random.default_rng(0).standard_normal(20000))
    brute = g / (1 + g * 10e3) / device.g_range
    assert reads.std() == pytest.approx(brute.std(), rel=0.03)
    assert reads.mean() == pytest.approx(brute.mean(), rel=1e-3)

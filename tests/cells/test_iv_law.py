"""The I-V law of cells: what it does to inputs, and its power series."""

import numpy as np
import pytest
import torch
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, map_network


@pytest.mark.parametrize("layout", ["dense", (2, 2), "sparse"])
@pytest.mark.parametrize("serial", [False, True])
def test_one_law_for_all_cells_bends_the_inputs(layout, serial):
    """The layer computes W f(v)/f(v_read); bits are all driven at v_read, so serial inputs are not bent."""
    layer, x = nn.Conv2d(2, 3, 3, padding=1).double(), torch.linspace(0, 1, 50).double().reshape(1, 2, 5, 5)
    tile = Tile(dac_bits=6, adc_bits=None, bit_serial=serial)
    chip = map_network(layer, Hardware(Device(v0=0.2), tile, Mapping(layout=layout)), calibration=x)
    codes = (x * 63).round()
    bent = codes / 63 if serial else torch.sinh(0.3 / 0.2 * codes / 63) / np.sinh(0.3 / 0.2)
    torch.testing.assert_close(chip(x), layer(bent).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("v0", [0.1, 0.25, 1.0])
def test_series_of_the_law(v0, squared):
    """As many powers as the stated error needs, and no more."""
    device, x = Device(v0=10.0, v0_off=v0), 0.3 / v0
    terms, exact = device.law.series_terms(0.3, squared), (np.sinh(x) / x) ** (1 + squared)
    coefficients = [1, 1 / 6, 1 / 120, 1 / 5040, 1 / 362880, 1 / 39916800, 1 / 6227020800]
    if squared:
        coefficients = [1, 1 / 3, 2 / 45, 1 / 315, 2 / 14175, 2 / 467775, 4 / 42567525, 1 / 638512875]
    sums = np.cumsum([c * x ** (2 * k) for k, c in enumerate(coefficients)])
    assert exact - sums[terms - 1] <= 1e-4 * exact
    assert terms == 1 or exact - sums[terms - 2] > 1e-4 * exact
    assert Device(v0=0.2, v0_off=0.2).law.series_terms(0.3) == 1

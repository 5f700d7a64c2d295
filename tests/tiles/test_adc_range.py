"""The range of ADCs against numbers found by hand and with numpy."""

import numpy as np
import pytest
import torch
from small_networks import mapped, three_layers, uneven_images
from torch import nn

import memlib.chip.layer
import memlib.tiles.input_record
from memlib import Device, Hardware, Mapping, Tile, map_network
from memlib.tiles.adc_range import upper_quantile

G_ON, G_OFF = 1e-4, 1e-5  # of the default device
SCHEMES = ["differential", "offset"]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(
    ("scheme", "converter", "per_row"),
    [
        ("differential", "pair", G_ON - G_OFF),
        ("offset", "pair", (G_ON - G_OFF) / 2),
        ("differential", "column", G_ON),
        ("offset", "column", G_ON),
    ],
)
def test_full_range(scheme, converter, per_row):
    """v_read n s, with n the most selected rows in any tile: 8 of 20 rows, and 6 of 12 in a depthwise layer's tile."""
    tile = Tile(rows=8, cols=2, adc_range="full", converter=converter, v_read=0.2)
    assert mapped(random(20, 3), tile, random(5, 20), scheme=scheme).full_scale == pytest.approx(0.2 * 8 * per_row)
    depthwise = nn.Conv1d(4, 4, 3, groups=4).double()
    hardware = Hardware(tile=tile.replace(rows=12), mapping=Mapping(scheme=scheme))
    layer = map_network(depthwise, hardware, torch.randn(2, 4, 6, dtype=torch.float64)).layers[""]
    assert layer.full_scale == pytest.approx(0.2 * 6 * per_row)


def test_range_without_current_is_full():
    """A chip, or an input, that gives no current gets the full range."""
    tile = Tile(rows=8, adc_calibration="chip")
    expected = 0.3 * 8 * (G_ON - G_OFF)
    assert mapped(random(8, 5), tile, random(6, 8), Device(unformed=1.0)).full_scale == pytest.approx(expected)
    dark = mapped(random(8, 5), tile, np.zeros((6, 8)))
    assert dark.full_scale == pytest.approx(expected)
    assert dark.inputs.x_max == 1
    assert not dark.inputs.signed


@pytest.mark.parametrize("n", [1, 2, 999, 20_000])
@pytest.mark.parametrize("q", [0, 0.3, 0.9, 0.999, 0.99999, 1])
def test_upper_quantile(n, q):
    """As numpy's, which interpolates linearly; whatever the shape, and in parts."""
    values = random(n) ** 3
    parts = torch.from_numpy(values).view(-1, 1).split(700)
    assert upper_quantile(parts, n, q) == pytest.approx(np.quantile(values, q), rel=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("layout", ["dense", (2, 3), "sparse"])
def test_subsampled_range_is_near_the_full_one(monkeypatch, scheme, layout):
    """Ranges from some passes, or maps, differ from those of all by a few per cent."""
    mapping = Mapping(scheme=scheme, layout=layout)
    network, x, hardware = three_layers(), uneven_images(), Hardware(tile=Tile(rows=16), mapping=mapping)
    if layout != "dense":  # few passes: one image in 40 that is larger may be among them, or not
        x[-1] /= 3
    full_scales = []
    monkeypatch.setattr(memlib.tiles.adc_range, "LEAST_PASSES", 30)
    for passes, maps, values in ((10**9, 10**9, 10**9), (1000, 25, 10**9), (10**9, 10**9, 10_000)):
        monkeypatch.setattr(memlib.tiles.input_record, "PASSES", passes)
        monkeypatch.setattr(memlib.tiles.input_record, "MAPS", maps)
        monkeypatch.setattr(memlib.tiles.adc_range, "CALIBRATION_VALUES", values)
        full_scales.append([layer.full_scale for layer in map_network(network, hardware, x).layers.values()])
    np.testing.assert_allclose(full_scales[1], full_scales[0], rtol=0.2)
    np.testing.assert_allclose(full_scales[2], full_scales[0], rtol=0.2)
    assert full_scales[0] != full_scales[1] != full_scales[2]

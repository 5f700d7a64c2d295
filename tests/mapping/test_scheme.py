"""Weights to conductances: the two schemes."""

import numpy as np
import pytest
import torch
from messages import raises
from scipy import stats
from small_networks import linear, random
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, map_network
from memlib.mapping.scheme import target_conductances


def test_target_conductances():
    """The largest weight has the whole window; by layer or by output column."""
    weight = torch.tensor([[2.0, -1.0], [0.0, 0.5]], dtype=torch.float64)
    device = Device(r_on=1 / 8, r_off=1 / 4)  # 4 to 8 S
    for scheme, w_max, targets, scale in (
        ("differential", "layer", [[[8, 4], [4, 5]], [[4, 6], [4, 4]]], [1 / 2, 1 / 2]),
        ("differential", "column", [[[8, 4], [4, 8]], [[4, 6], [4, 4]]], [1 / 2, 1 / 8]),
        ("offset", "layer", [[[8, 5], [6, 6.5]]], [1, 1]),
        ("offset", "column", [[[8, 5], [6, 8]]], [1, 1 / 4]),
    ):
        (g,), per_siemens = target_conductances(weight, device, Mapping(scheme=scheme, w_max=w_max))
        assert g[:, 0].tolist() == targets
        assert per_siemens.tolist() == scale


@pytest.mark.parametrize("scheme", ["differential", "offset"])
@pytest.mark.parametrize("w_max", ["layer", "column"])
def test_layer_of_zeros(scheme, w_max):
    """w_max = 0 becomes 1: a layer of zeros computes its bias."""
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    h = Hardware(tile=Tile(), mapping=Mapping(scheme=scheme, w_max=w_max))
    y = map_network(layer, h, torch.ones(2, 4))(torch.ones(2, 4))
    assert torch.equal(y, layer.bias.detach().expand(2, 3))


def test_unused_cells():
    """Unused cells in selected lines vary like others and let groups mix, unless they are unformed."""
    layer = nn.Conv1d(4, 4, 1, groups=4, bias=False).double()
    x = torch.eye(4, dtype=torch.float64)[:, :, None]
    mixes = {}
    for unused in ("hrs", "unformed"):
        h = Hardware(Device(program_error=0.1), Tile(dac_bits=None, adc_bits=None), Mapping(unused=unused))
        mixes[unused] = map_network(layer, h)(x)[..., 0].numpy()
    np.testing.assert_array_equal(np.diag(mixes["hrs"]), np.diag(mixes["unformed"]))
    assert (mixes["hrs"] != 0).all()
    assert np.count_nonzero(mixes["unformed"]) == 4


OFF = Tile(dac_bits=None, adc_bits=None)


@pytest.mark.parametrize(("scheme", "states", "most"), [("differential", 4, 15), ("offset", 6, 12), ("offset", 3, 4)])
@pytest.mark.parametrize("layout", ["dense", (1, 2), "sparse"])
def test_slices_hold_the_digits_of_weights(scheme, states, most, layout):
    """Two slices of L levels hold whole numbers up to L^2 - 1, or +-(L^2 - 1)/2 for the offset scheme's odd L."""
    layer, x = nn.Conv1d(3, 4, 2, bias=False).double(), random(2, 3, 6)
    hardware = Hardware(Device(states=states), OFF, Mapping(layout, scheme, slices=2))
    chip = map_network(layer, hardware, input_shape=(3, 6))
    w_max = layer.weight.abs().max()
    digital = nn.functional.conv1d(x, ((layer.weight / w_max * most).round() / most * w_max).detach())
    torch.testing.assert_close(chip(x), digital, rtol=0, atol=1e-12)


def test_errors_of_slices_add_up_by_their_weights():
    """With a programming error of sigma in each cell, a pair with 2 slices of 4 levels errs by sigma sqrt(2 17)/5."""
    device = Device(states=4, program_error=0.01)
    chip = map_network(linear(torch.ones(100, 100)), Hardware(device, OFF, Mapping(slices=2)))
    errors = chip(torch.eye(100).double()).numpy() - 1
    assert stats.kstest(errors.ravel(), stats.norm(0, 0.01 * np.sqrt(2 * 17) / 5).cdf).pvalue > 1e-3


@pytest.mark.parametrize("layout", ["toeplitz", (2,), (2, 0), (1.5, 2), 4, (True, 2)])
def test_wrong_layouts(layout):
    """A layout is a name or two whole numbers."""
    raises(ValueError, lambda: Mapping(layout=layout), "layout", "must be")


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("dense", Mapping()),
        ("1x1", Mapping()),
        ("2x4", Mapping((2, 4), order="hwc")),
        ("sparse", Mapping("sparse")),
        ("sparse, unformed", Mapping("sparse", unused="unformed")),
        ("4x4, packed, offset, column", Mapping((4, 4), scheme="offset", w_max="column")),
    ],
)
def test_layouts_as_texts(text, mapping):
    assert Mapping.parse(text) == mapping

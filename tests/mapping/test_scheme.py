"""Weights to conductances: the two schemes."""

import numpy as np
import pytest
import torch
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

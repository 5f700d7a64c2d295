"""What arrays dissipate: by brute force over cells, and the same in every layout."""

import pytest
import torch
from small_networks import convolution
from torch import nn

from memlib import (
    Device,
    Hardware,
    Mapping,
    Tile,
    map_network,
)
from memlib.costs.activity import BATCH, measure
from memlib.zoo.networks import build_network


def test_unformed_cells_save_array_energy():
    """Unused cells conduct, unless they are unformed: the difference is theirs, by brute force over all cells."""
    layer, x = convolution(), torch.rand(2, 2, 6, 5, generator=torch.Generator().manual_seed(1))
    powers = {}
    for unused in ("hrs", "unformed"):
        h = Hardware(Device(), Tile(rows=10, cols=4), Mapping(layout="sparse", order="chw", unused=unused))
        analog = map_network(nn.Sequential(layer), h, x)
        powers[unused] = measure(analog, x)["0"].power
    codes = (x * (255 / x.max())).round()
    squares = (0.3 * codes / 255).double().square().flatten(1)
    tiles = analog.layers["0"].placement
    brute = sum(
        float(squares[:, i].mean()) * 2 * 1e-5
        for tile in tiles
        for i, row in zip(tile.inputs.tolist(), tile.weights.tolist(), strict=True)
        for weight in row
        if weight < 0
    )
    assert powers["hrs"] - powers["unformed"] == pytest.approx(brute, rel=1e-6)


def test_layouts_of_an_ideal_device_draw_the_same():
    """Without unused cells, each weight meets the same voltages in every layout: the arrays' energy is equal."""
    network = build_network("resnet20", 0.25).eval()
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    powers = []
    for layout in ("dense", (4, 4), "sparse"):
        h = Hardware(Device(), Tile(adc_bits=None), Mapping(layout, unused="unformed"))
        powers.append(sum(found.power for found in measure(map_network(network, h, x), x).values()))
    assert powers == pytest.approx([powers[0]] * 3, rel=1e-4)  # codes at half-way may fall either way


def test_batches_of_images_are_one_measurement():
    """Power is a mean over all images, and calls are those of one inference, however many batches there are."""
    layer, x = nn.Linear(6, 4), torch.rand(BATCH + 50, 6, generator=torch.Generator().manual_seed(0))
    chip = map_network(layer, Hardware(), x)
    whole, *parts = (measure(chip, images)[""] for images in (x, x[:BATCH], x[BATCH:]))
    assert whole.calls == parts[0].calls == parts[1].calls
    assert whole.power == pytest.approx((BATCH * parts[0].power + 50 * parts[1].power) / (BATCH + 50), rel=1e-6)

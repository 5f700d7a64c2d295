"""Cells, tiles, passes and conversions, counted by hand; every weight in exactly one cell per polarity."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from memlib import Device, Hardware, Mapping, Tile, footprint, map_network
from memlib.mapping import place, target_conductances
from memlib.networks import build, parameter_count

COUNTS = ["cells_used", "cells_allocated", "tiles", "row_cuts", "passes", "conversions"]


def hardware(rows: int, cols: int, scheme: str = "differential", converter: str = "pair") -> Hardware:
    """Tiles of one shape, with one scheme."""
    return Hardware(tile=Tile(rows=rows, cols=cols, converter=converter), mapping=Mapping(scheme=scheme))


def counts(model: nn.Module, shape: tuple[int, ...], h: Hardware, layer: str = "") -> list[int]:
    """The footprint of one layer, in the order of COUNTS."""
    return footprint(model, shape, h).set_index("layer").loc[layer, COUNTS].tolist()


# Counts by hand


@pytest.mark.parametrize(
    ("scheme", "converter", "expected"),
    [
        ("differential", "pair", [4608, 4 * 128 * 128, 4, 2, 1024, 1024 * 2 * 16]),
        ("differential", "column", [4608, 4 * 128 * 128, 4, 2, 1024, 1024 * 2 * 32]),
        ("offset", "pair", [2304, 2 * 128 * 129, 2, 2, 1024, 1024 * 2 * 16]),
        ("offset", "column", [2304, 2 * 128 * 129, 2, 2, 1024, 1024 * 2 * 17]),
    ],
)
def test_convolution(scheme, converter, expected):
    """3x3, 16 to 16 channels, 32x32 map, 128x128 tiles: 144 rows in 2 cuts; an offset tile has a reference column."""
    layer = nn.Conv2d(16, 16, 3, padding=1)
    assert counts(layer, (16, 32, 32), hardware(128, 128, scheme, converter)) == expected
    row = footprint(layer, (16, 32, 32), hardware(128, 128, scheme, converter)).iloc[0]
    assert row["utilisation"] == pytest.approx(expected[0] / expected[1])
    assert (row["kind"], row["rows"], row["columns"]) == ("conv2d", 144, 16)


def test_linear_with_leading_dimensions():
    """130 x 70 on 64x32 tiles: 3 row cuts, 3 column groups; each of the 5 rows of an input is a pass."""
    assert counts(nn.Linear(130, 70), (5, 130), hardware(64, 32)) == [18_200, 18 * 2048, 18, 3, 5, 5 * 3 * 70]


@pytest.mark.parametrize(
    ("layer", "shape", "passes"),
    [
        (nn.Conv1d(2, 3, 4, stride=3, padding=1), (2, 20), 7),
        (nn.Conv2d(2, 3, (2, 3), stride=(1, 2), dilation=(2, 1)), (2, 7, 9), 5 * 4),
        (nn.Conv2d(2, 3, 3, padding="same", dilation=2, padding_mode="circular"), (2, 6, 5), 30),
        (nn.Conv3d(2, 3, 2, stride=2), (2, 4, 5, 6), 2 * 2 * 3),
        (nn.Linear(6, 3), (6,), 1),
    ],
)
def test_passes(layer, shape, passes):
    """One pass per output position."""
    assert footprint(layer, shape, Hardware())["passes"].tolist() == [passes]


@pytest.mark.parametrize(
    ("scheme", "converter", "tiles", "cells_used", "conversions"),
    [
        ("differential", "pair", 12, 144, 12),
        ("differential", "column", 12, 144, 24),
        ("offset", "pair", 6, 72, 12),
        ("offset", "column", 6, 72, 12 + 6),
    ],
)
def test_depthwise(scheme, converter, tiles, cells_used, conversions):
    """8 channels of 9 rows each on 16x4 tiles: 6 of the 10 tiles have a weight, with 2, 3, 1, 2, 3, 1 columns."""
    layer = nn.Conv2d(8, 8, 3, groups=8)
    cells = tiles * 16 * (5 if scheme == "offset" else 4)
    assert counts(layer, (8, 3, 3), hardware(16, 4, scheme, converter)) == [cells_used, cells, tiles, 5, 1, conversions]
    placement = place((8, 1, 3, 3), 8, 16, 4)
    assert [(tile.group, tile.cut) for tile in placement.tiles] == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 3), (1, 4)]
    assert [len(tile.columns) for tile in placement.tiles] == [2, 3, 1, 2, 3, 1]
    assert [len(tile.rows) for tile in placement.tiles] == [16, 16, 4, 12, 16, 8]


def test_grouped():
    """Two groups of 6 rows x 3 columns on 8x4 tiles: all four pairs of tiles have a corner of a block."""
    layer = nn.Conv1d(4, 6, 3, groups=2)
    assert counts(layer, (4, 3), hardware(8, 4)) == [72, 8 * 32, 8, 2, 1, 4 + 1 + 2 + 2]
    placement = place((6, 2, 3), 2, 8, 4)
    assert [(tile.group, tile.cut, len(tile.rows), len(tile.columns)) for tile in placement.tiles] == [
        (0, 0, 8, 4), (0, 1, 4, 1), (1, 0, 2, 2), (1, 1, 4, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("h", "by_layer"),
    [
        (
            hardware(128, 128),
            {
                "0": [864, 2 * 16_384, 2, 1, 1024, 16 * 1024],
                "3.conv1": [4608, 4 * 16_384, 4, 2, 1024, 2 * 16 * 1024],
                "6.conv1": [9216, 4 * 16_384, 4, 2, 256, 2 * 32 * 256],
                "9.conv2": [73_728, 10 * 16_384, 10, 5, 64, 5 * 64 * 64],
                "14": [1280, 2 * 16_384, 2, 1, 1, 10],
            },
        ),
        (
            hardware(256, 64),
            {
                "3.conv1": [4608, 2 * 16_384, 2, 1, 1024, 16 * 1024],
                "9.conv2": [73_728, 6 * 16_384, 6, 3, 64, 3 * 64 * 64],
            },
        ),
        (hardware(32, 48, "offset"), {"9.conv2": [36_864, 36 * 32 * 49, 36, 18, 64, 18 * 64 * 64]}),
    ],
    ids=["128x128", "256x64", "32x48 offset"],
)
def test_resnet20(h, by_layer):
    """Some layers of ResNet-20 by hand, and in all of them each weight once per polarity."""
    network = build("resnet20")
    table = footprint(network, (3, 32, 32), h).set_index("layer")
    assert len(table) == 20
    for layer, expected in by_layer.items():
        assert table.loc[layer, COUNTS].tolist() == expected
    others = sum(parameter_count(m) for m in network.modules() if isinstance(m, nn.BatchNorm2d)) + 10  # and a bias
    assert table["cells_used"].sum() == (parameter_count(network) - others) * h.mapping.polarities


class Twice(nn.Module):
    """One layer called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x)[..., ::2])


def test_module_called_twice():
    """One set of cells, and the passes of both calls: 8 positions, then 4."""
    assert counts(Twice(), (3, 8), hardware(16, 4), "layer") == [54, 128, 2, 1, 12, 36]


def test_footprint_agrees_with_the_mapped_network():
    """Both come from one placement: the same cells and tiles, with different hardware by layer."""
    network = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(128, 10))
    by_layer = {"0": hardware(16, 3), "*": hardware(100, 4, "offset")}
    table = footprint(network, (4, 6, 6), by_layer)
    summary = map_network(network, by_layer, torch.ones(2, 4, 6, 6)).summary()
    columns = ["layer", "kind", "rows", "columns", "cells_used", "cells_allocated", "tiles", "row_cuts", "utilisation"]
    assert summary.loc[:1, columns].astype(object).values.tolist() == table[columns].astype(object).values.tolist()


# Placement


@pytest.mark.parametrize("case", range(40))
def test_every_weight_has_one_cell(case):
    """In random layers on random tiles: each weight once, where its input and output meet; no idle line selected."""
    rng = np.random.default_rng(case)
    groups, kernel = int(rng.integers(1, 5)), tuple(rng.integers(1, 4, rng.integers(0, 4)).tolist())
    groups = groups if kernel else 1
    shape = (groups * int(rng.integers(1, 6)), int(rng.integers(1, 6)), *kernel)
    rows, cols = (int(n) for n in rng.integers(1, 20, 2))
    block_rows, block_columns = math.prod(shape[1:]), shape[0] // groups
    matrix = np.full((block_rows * groups, shape[0]), -1)
    for output in range(shape[0]):
        first = output // block_columns * block_rows
        matrix[first : first + block_rows, output] = output * block_rows + np.arange(block_rows)
    placement = place(shape, groups, rows, cols)
    seen, places = np.full_like(matrix, -1), set()
    for tile in placement.tiles:
        weights = tile.weights.numpy()
        assert (weights >= 0).any(0).all()
        assert (weights >= 0).any(1).all()
        assert tile.cells_used == (weights >= 0).sum()
        np.testing.assert_array_equal(tile.inputs, tile.cut * rows + tile.rows)
        np.testing.assert_array_equal(tile.outputs, tile.group * cols + tile.columns)
        assert int(tile.rows.max()) < rows
        assert int(tile.columns.max()) < cols
        window = np.ix_(tile.inputs.numpy(), tile.outputs.numpy())
        assert (seen[window] == -1).all()
        seen[window] = weights
        places.add((tile.group, tile.cut))
    np.testing.assert_array_equal(seen, matrix)
    tops, lefts = range(0, matrix.shape[0], rows), range(0, matrix.shape[1], cols)
    full = [(g, c) for g, left in enumerate(lefts) for c, top in enumerate(tops)
            if (matrix[top : top + rows, left : left + cols] >= 0).any()]  # fmt: skip
    assert sorted(places) == full
    assert len(placement.tiles) == len(full)
    assert placement.most_selected_rows == max(len(tile.rows) for tile in placement.tiles)


# Weights to conductances


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
        g, per_siemens = target_conductances(weight, device, Mapping(scheme=scheme, w_max=w_max))
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

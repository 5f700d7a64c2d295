"""Where weights sit: the tiles of every layout, counted by hand."""

import pytest
from torch import Tensor, nn

from memlib import Hardware, Mapping, Tile, footprint
from memlib.layers.geometry import Geometry
from memlib.mapping.placement import place
from memlib.zoo.networks import build_network, parameter_count

COUNTS = ["cells_used", "cells_allocated", "tiles", "row_cuts", "passes", "conversions"]


def hardware(rows: int, cols: int, scheme: str = "differential", converter: str = "pair", **mapping) -> Hardware:
    return Hardware(tile=Tile(rows=rows, cols=cols, converter=converter), mapping=Mapping(scheme=scheme, **mapping))


def counts(model: nn.Module, shape: tuple[int, ...], h: Hardware, layer: str = "") -> list[int]:
    """The footprint of one layer, in the order of COUNTS."""
    return footprint(model, shape, h).set_index("layer").loc[layer, COUNTS].tolist()


# Counts by hand, dense


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
    placement = place(Geometry.of(layer), 16, 4)
    assert [(tile.group, tile.cut) for tile in placement] == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 3), (1, 4)]
    assert placement.selected_columns.tolist() == [2, 3, 1, 2, 3, 1]
    assert placement.selected_rows.tolist() == [16, 16, 4, 12, 16, 8]


def test_grouped():
    """Two groups of 6 rows x 3 columns on 8x4 tiles: all four pairs of tiles have a corner of a block."""
    layer = nn.Conv1d(4, 6, 3, groups=2)
    assert counts(layer, (4, 3), hardware(8, 4)) == [72, 8 * 32, 8, 2, 1, 4 + 1 + 2 + 2]
    placement = place(Geometry.of(layer), 8, 4)
    assert [(tile.group, tile.cut, len(tile.rows), len(tile.columns)) for tile in placement] == [
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
    network = build_network("resnet20")
    table = footprint(network, (3, 32, 32), h).set_index("layer")
    assert len(table) == 20
    for layer, expected in by_layer.items():
        assert table.loc[layer, COUNTS].tolist() == expected
    others = sum(parameter_count(m) for m in network.modules() if isinstance(m, nn.BatchNorm2d)) + 10  # and a bias
    assert table["cells_used"].sum() == (parameter_count(network) - others) * h.mapping.polarities


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x)[..., ::2])


def test_module_called_twice():
    """One set of cells, and the passes of both calls: 8 positions, then 4."""
    assert counts(Twice(), (3, 8), hardware(16, 4), "layer") == [54, 128, 2, 1, 12, 36]


# Counts by hand, with copies


CONVOLUTION = nn.Conv2d(16, 16, 3, padding=1)


@pytest.mark.parametrize(("order", "tiles"), [("chw", 11_264), ("hwc", 1880), ("packed", 760)])
def test_sparse_convolution(order, tiles):
    """3x3, 16 to 16 channels, 32x32 map, 128x128 tiles: one pass; 94 of 96 taps of each dimension lie on the map."""
    used = 2 * 16 * 16 * 94**2
    row = footprint(CONVOLUTION, (16, 32, 32), hardware(128, 128, layout="sparse", order=order)).iloc[0]
    assert row[["cells_used", "cells_allocated", "tiles", "passes"]].tolist() == [used, tiles * 128**2, tiles, 1]
    assert row[["rows", "columns", "window"]].tolist() == [16 * 32 * 32, 16 * 32 * 32, "32x32"]


@pytest.mark.parametrize(
    ("kernel", "positions", "dense", "staggered"), [(32, 33, 2112, 69_696), (30, 35, 1984, 69_440)]
)
def test_layers_of_li_2022(kernel, positions, dense, staggered):
    """Two 1-D layers of 32 kernels in differential pairs; their bias is a further row, with a cell for each column."""
    layer = nn.Conv1d(1, 32, kernel)
    for layout, expected in (("dense", dense), ("sparse", staggered)):
        row = footprint(layer, (1, 64), hardware(64, 64, layout=layout)).iloc[0]
        assert row["cells_used"] + 2 * row["columns"] == expected
        assert row["columns"] * row["passes"] == 32 * positions


def test_window():
    """2x3 outputs of a 5x4 map: 3x2 passes; 4x5 inputs a channel; of 2*3 outputs, those on the map are converted."""
    h = hardware(16, 8, layout=(2, 3), order="chw")
    row = footprint(nn.Conv2d(2, 2, 3), (2, 7, 6), h).iloc[0]
    assert row[["window", "rows", "columns", "passes"]].tolist() == ["2x3", 40, 12, 6]
    assert row["cells_used"] == 2 * 12 * 18
    # 40 rows in 3 cuts of 16, 16, 8; columns in groups of 8 (channel 0, and 2 of channel 1) and 4: all read in all cuts
    selected = place(Geometry.of(nn.Conv2d(2, 2, 3)), 16, 8, (2, 3), "chw", ((7, 6),)).selected_columns
    assert selected.tolist() == [8, 8, 8, 4, 4, 4]
    assert row["tiles"] == 2 * 6
    assert row["conversions"] == 3 * 2 * 20  # the last windows reach beyond the map, where nothing is converted
    assert row["column_activations"] == 2 * 3 * 12 * 6
    assert (
        row["row_activations"] == 2 * (40 + 36) * 6
    )  # the second group has no output that reads places (0, 0), (0, 1)


@pytest.mark.parametrize(
    ("layer", "size", "layout", "rows"),
    [
        (nn.Conv2d(1, 1, 3, padding=1), (1, 1), "dense", 1),  # only the middle of the kernel ever meets the map
        (nn.Conv2d(1, 1, 3, padding=1), (1, 5), "dense", 3),
        (nn.Conv2d(1, 1, 3, padding=1), (5, 5), "sparse", 25),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), (5, 5), "sparse", 49),
        (nn.Conv2d(1, 1, 2, stride=3), (8, 8), "sparse", 36),  # a third of all lines is never read
        (nn.Conv2d(1, 1, 2, stride=3), (8, 8), (1, 2), 8),
        (nn.Conv1d(2, 1, 3, dilation=4), (20,), (7, 2), 2 * 6),  # 1-D uses w: reads 0, 4, 8 and 1, 5, 9
        (nn.Conv3d(1, 1, 2), (3, 4, 5), (2, 3), 2 * 3 * 4),  # 3-D has depth 1
    ],
)
def test_rows(layer, size, layout, rows):
    """Rows are the inputs that a pass reads, unless they are zero padding in every pass."""
    h = hardware(4, 4, layout=layout, order="chw")
    assert footprint(layer, (layer.in_channels, *size), h)["rows"].tolist() == [rows]


def test_map_size_that_changes():
    """A layer called with two sizes keeps the rows that either needs; layouts that depend on the size refuse."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x)[..., :1])

    assert footprint(Twice(), (1, 6), hardware(8, 8))["rows"].tolist() == [3]
    assert footprint(Twice(), (1, 1), hardware(8, 8))["rows"].tolist() == [1]
    with pytest.raises(ValueError, match="layout='sparse': must be 'dense' for a layer that is called with maps"):
        footprint(Twice(), (1, 6), hardware(8, 8, layout="sparse"))

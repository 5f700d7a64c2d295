"""The study of layouts: what is drawn, counted and claimed."""

import numpy as np
import pandas as pd
import pytest
import torch
from made_up import made_up_run
from torch.nn import functional as F

from memlib.mapping.scheme import Mapping
from memlib.studies.s02_mapping import drawn_layer, network_counts


def test_drawing_by_hand():
    """Tiles of 12x12: 18 rows dense, 4x4 inputs of 2 channels in a window, 2x2x3 rectangles packed."""
    table = drawn_layer.drawn_cells(made_up_run()).set_index("layout")
    used = {"dense": 18 * 3, "window 2x2": 18 * 12} | dict.fromkeys(drawn_layer.DRAWN[2:], 2 * 3 * (3 * 6 - 2) ** 2)
    assert table["used"].to_dict() == used
    corners, edges, centre = 4 * 2, 4 * 2, 3  # tiles for 2 channels of 3x3, 3x4 and 4x4 inputs
    assert table["tile_pairs"].tolist()[:3] == [2, 3, corners + edges + centre]
    lines = {"dense": 18 * 3, "window 2x2": 32 * 12, "sparse, packed": 12 * 2 * (4 * 9 + 4 * 12 + 16)}
    for name, selected in lines.items():
        row = table.loc[name]
        assert row["used"] + row["unused"] == selected
        assert row["used"] + row["unused"] + row["deselected"] == row["tile_pairs"] * 12 * 12
    assert table["passes"].tolist() == [36, 9, 1, 1, 1]


@pytest.mark.parametrize("order", ["chw", "hwc"])
def test_drawn_cells_are_those_of_the_unfolded_convolution(order):
    """Used and picked cells against the matrix that torch's convolution of each unit input gives."""
    inputs, outputs = 2 * 36, 3 * 36
    x = torch.eye(inputs).view(inputs, 2, 6, 6)
    matrix = F.conv2d(x, torch.ones(3, 2, 3, 3), padding=1).view(2, 36, 3, 36)
    picked = torch.zeros(3, 6, 6)
    picked[drawn_layer.PIXEL] = 1
    picked = picked.view(3, 36)
    if order == "hwc":
        matrix, picked = matrix.permute(1, 0, 3, 2), picked.T
    matrix, picked = matrix.reshape(inputs, outputs).bool().numpy(), picked.reshape(outputs).bool().numpy()
    cells = drawn_layer.lay_out(Mapping(layout="sparse", order=order)).cells
    assert np.array_equal(cells >= drawn_layer.USED, matrix)
    assert np.array_equal(cells == drawn_layer.PICKED, matrix & picked)
    assert drawn_layer.picked_column(cells) == picked.argmax()
    tiles = matrix.reshape(6, 12, 9, 12).any(axis=(1, 3))
    assert np.array_equal(drawn_layer.corners(cells), 12 * np.argwhere(tiles))


@pytest.mark.parametrize("name", drawn_layer.DRAWN)
def test_one_output_has_its_weights_in_one_column(name):
    """An inner output has 2 x 3x3 weights, all of them under its mark."""
    cells = drawn_layer.lay_out(drawn_layer.LAYOUTS[name]).cells
    assert (cells == drawn_layer.PICKED).sum() == 18
    assert (cells[:, drawn_layer.picked_column(cells)] == drawn_layer.PICKED).sum() == 18


@pytest.mark.slow
def test_counts_and_best_windows_of_a_network():
    """ResNet-20 of width 0.5 on 128x128 by hand: dense and sparse layers; no window is worse than dense or 2x2."""
    layers = network_counts.layer_counts(["resnet20-digits"], [128])
    assert layers.groupby("layout")["layer"].count().tolist() == [20] * len(drawn_layer.LAYOUTS)
    dense = layers[layers["layout"] == "dense"].set_index("layer")
    assert dense.loc[["0", "4.conv1", "9.conv2"], "tiles"].tolist() == [2, 2, 6]  # pairs: 27, 72 and 288 rows
    total = network_counts.totals(layers).set_index("layout")
    assert total.loc["dense", "passes"] == 7 * 1024 + 6 * 256 + 6 * 64 + 1
    assert (total.loc[["sparse, packed", "sparse, hwc", "sparse, chw"], "passes"] == 20).all()
    best = network_counts.best_window_counts(["resnet20-digits"], 128).set_index("layer")
    for other in ("dense", "window 2x2", "window 4x4"):
        reads = layers[layers["layout"] == other].set_index("layer")["tile_reads"]
        assert (best["tile_reads"] <= reads).all()
    wide = network_counts.side_by_side(pd.concat([layers, best.reset_index()]))
    assert wide.loc["9.conv2", ("dense", "tiles")] == 6
    assert wide.loc["14", (network_counts.BEST, "window")] == "1"


def totals_of(dense, packed, other, best):
    """A run with totals of one network from (tiles, tile reads, utilisation) of each layout."""
    values = {"dense": dense, "sparse, packed": packed, "sparse, hwc": other, "sparse, chw": (10**6, 1, 0.1)}
    values[network_counts.BEST] = best
    rows = [dict(layout=k, tiles=t, tile_reads=r, utilisation=u) for k, (t, r, u) in values.items()]
    table = pd.DataFrame(rows).assign(checkpoint="vgg8-digits", tile_size=64)
    return made_up_run(tables={"02_mapping_totals": table})


def test_claims_follow_the_counts():
    """Made-up totals that confirm, and that refute, every claim; equal sides confirm none."""
    yes = network_counts.claims(totals_of((10, 900, 0.1), (1010, 100, 0.2), (1020, 0, 0), (0, 440, 0)))
    no = network_counts.claims(totals_of((10, 900, 0.3), (1000, 500, 0.2), (900, 0, 0), (0, 460, 0)))
    equal = network_counts.claims(totals_of((10, 900, 0.2), (1000, 450, 0.2), (1000, 0, 0), (0, 450, 0)))
    assert [claim.verdict for claim in yes] == ["confirmed"] * 5
    assert [claim.verdict for claim in no + equal] == ["refuted"] * 10
    assert [claim.effect for claim in yes] == pytest.approx([1010 / 1020, 2, 101, 440 / 900, 100 / 440])
    assert all(claim.text.startswith("VGG-8 (width 0.125): ") for claim in yes)
    assert all(claim.text.endswith("(64x64)") for claim in yes)

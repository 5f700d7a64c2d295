"""What a mapping occupies and how often it is used, from the placement that accuracy is computed with."""

import math
from collections.abc import Mapping as MappingType
from typing import Any

import pandas as pd
from torch import nn

from memlib.hardware import Hardware, per_layer
from memlib.layers import Geometry, matrix_layers, output_sizes
from memlib.mapping import Placement, place


def layer_footprint(placement: Placement, hardware: Hardware) -> dict[str, Any]:
    """Cells and tiles of one layer; positive and negative cells sit in two physical tiles, counted as two.

    Returns:
        kind, rows and columns of its matrix, cells_used (holding a weight), cells_allocated (tiles x rows x cols, and
        `rows` more per tile for an offset reference), tiles, row_cuts, utilisation (used by allocated).
    """
    tile, mapping = hardware.tile, hardware.mapping
    tiles = len(placement.tiles) * mapping.polarities
    used = sum(t.cells_used for t in placement.tiles) * mapping.polarities
    allocated = tiles * tile.rows * (tile.cols + (mapping.scheme == "offset"))
    return {
        "kind": f"conv{len(placement.kernel)}d" if placement.kernel else "linear",
        "rows": placement.inputs,
        "columns": placement.outputs,
        "cells_used": used,
        "cells_allocated": allocated,
        "tiles": tiles,
        "row_cuts": len({t.cut for t in placement.tiles}),
        "utilisation": used / allocated,
    }


def conversions_per_pass(placement: Placement, hardware: Hardware) -> int:
    """ADC conversions of all tiles in one pass: one per selected column pair, or per column and reference."""
    per_column = hardware.tile.converter == "column"
    if hardware.mapping.scheme == "offset":
        return sum(len(tile.columns) + per_column for tile in placement.tiles)
    return sum(len(tile.columns) * (1 + per_column) for tile in placement.tiles)


def footprint(
    model: nn.Module,
    input_shape: tuple[int, ...],
    hardware: Hardware | MappingType[str, Hardware],
    digital: Any = (),
) -> pd.DataFrame:
    """Cells, tiles and conversions of every layer, for one input of `input_shape`, without running the network.

    Returns:
        A row per layer: `layer`, the columns of `layer_footprint`, `passes` and `conversions` per inference.

    Raises:
        ValueError: for a layer that cannot be mapped, or an input that does not fit the model.
    """
    layers = matrix_layers(model, digital)
    sizes = output_sizes(model, layers, input_shape)
    rows = []
    for name, h in per_layer(hardware, layers).items():
        geometry = Geometry.of(layers[name])
        placement = place(geometry.weight_shape, geometry.groups, h.tile.rows, h.tile.cols)
        passes = sum(math.prod(size) for size in sizes[name])
        conversions = passes * conversions_per_pass(placement, h)
        rows.append({"layer": name, **layer_footprint(placement, h), "passes": passes, "conversions": conversions})
    return pd.DataFrame(rows)

"""What a mapping occupies and how often it is used, from the placement that accuracy is computed with."""

import math
from collections.abc import Mapping as MappingType
from typing import Any

import pandas as pd
from torch import nn

from memlib.hardware import Hardware, per_layer
from memlib.layers import Geometry, call_sizes, map_sizes, matrix_layers
from memlib.placement import Placement, Size


def layer_footprint(placement: Placement, hardware: Hardware) -> dict[str, Any]:
    """Cells and tiles of one layer; positive and negative cells sit in two physical tiles, counted as two.

    Returns:
        kind, window (outputs of a pass), rows and columns of its matrix, cells_used (holding a weight),
        cells_allocated (tiles x rows x cols, and `rows` more per tile for an offset reference), tiles, row_cuts,
        utilisation (used by allocated).
    """
    tile, mapping, geometry = hardware.tile, hardware.mapping, placement.window.geometry
    tiles = len(placement) * mapping.polarities
    used = placement.cells_used * mapping.polarities
    allocated = tiles * tile.rows * (tile.cols + (mapping.scheme == "offset"))
    return {
        "kind": f"conv{geometry.dims}d" if geometry.dims else "linear",
        "window": "x".join(map(str, placement.window.shape)) or "1",
        "rows": placement.matrix_rows,
        "columns": placement.window.outputs,
        "cells_used": used,
        "cells_allocated": allocated,
        "tiles": tiles,
        "row_cuts": int(placement.cuts.max()) + 1,
        "utilisation": used / allocated,
    }


def layer_activity(placement: Placement, hardware: Hardware, calls: list[Size]) -> dict[str, int]:
    """How often the parts of one layer are used for one input, whose calls have these sizes (see `call_sizes`).

    Returns:
        passes; row_activations (rows driven) and column_activations (columns read, references too), of all physical
        tiles in all passes; conversions of the ADCs.
    """
    window, polarities = placement.window, hardware.mapping.polarities
    maps = [(size, 1) if window.geometry.dims else ((), math.prod(size)) for size in calls]
    passes = sum(math.prod(window.passes(size)) * times for size, times in maps)
    scheme = hardware.mapping.scheme
    conversions = sum(placement.conversions(size, hardware.tile.converter, scheme) * times for size, times in maps)
    references = len(placement) if scheme == "offset" else 0
    return {
        "passes": passes,
        "row_activations": passes * int(placement.selected_rows.sum()) * polarities,
        "column_activations": passes * (int(placement.selected_columns.sum()) * polarities + references),
        "conversions": conversions,
    }


def footprint(
    model: nn.Module,
    input_shape: tuple[int, ...],
    hardware: Hardware | MappingType[str, Hardware],
    digital: Any = (),
) -> pd.DataFrame:
    """Cells, tiles and activity of every layer, for one input of `input_shape`, without running the network.

    Returns:
        A row per layer: `layer`, and the columns of `layer_footprint` and `layer_activity`.

    Raises:
        ValueError: for a layer that cannot be mapped, or an input that does not fit the model.
    """
    layers = matrix_layers(model, digital)
    calls = call_sizes(model, layers, input_shape)
    rows = []
    for name, h in per_layer(hardware, layers).items():
        placement = h.place(Geometry.of(layers[name]), map_sizes(layers[name], calls[name]))
        rows.append({"layer": name, **layer_footprint(placement, h), **layer_activity(placement, h, calls[name])})
    return pd.DataFrame(rows)

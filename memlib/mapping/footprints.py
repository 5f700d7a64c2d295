"""Cells, tiles and uses of a mapping, counted on the placement that accuracy is computed with."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
from torch import nn

from memlib.base.checks import one_of, whole
from memlib.base.progress_bar import progress
from memlib.layers.geometry import Size
from memlib.mapping.hardware import Choices, Hardware
from memlib.mapping.placement import Placement, place
from memlib.mapping.plan import LayerPlan, plan_chip


def layer_footprint(placement: Placement, hardware: Hardware) -> dict[str, Any]:
    """Cells and tiles of one layer; both polarities, and every slice, sit in physical tiles of their own.

    Returns:
        kind, window (outputs of a pass), rows and columns of its matrix, cells_used (holding a weight),
        cells_allocated (tiles x rows x cols, and `rows` more per tile for an offset reference), tiles, row_cuts,
        utilisation (used by allocated).
    """
    tile, mapping, geometry = hardware.tile, hardware.mapping, placement.window.geometry
    tiles = len(placement) * mapping.cells
    used = placement.cells_used * mapping.cells
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


def layer_activity(
    placement: Placement, hardware: Hardware, calls: Sequence[Size], signed: bool = False
) -> dict[str, int]:
    """How often the parts of one layer are used for one input, whose calls have these sizes (see `call_sizes`).

    Args:
        signed: whether the layer's input is, which takes bit-serial reads two phases.

    Returns:
        passes; tile_reads, row_activations (rows driven) and column_activations (columns read, references too), of all
        physical tiles in all passes; conversions of the ADCs.
    """
    window, mapping = placement.window, hardware.mapping
    maps = [(size, 1) if window.geometry.dims else ((), math.prod(size)) for size in calls]
    planes = hardware.tile.planes(signed)
    passes = planes * sum(math.prod(window.passes(size)) * times for size, times in maps)
    per_map = (placement.conversions(size, hardware.tile.converter, mapping.scheme).sum() for size, _ in maps)
    conversions = sum(int(n) * times for n, (_, times) in zip(per_map, maps, strict=True))
    references = len(placement) * mapping.slices if mapping.scheme == "offset" else 0
    return {
        "passes": passes,
        "tile_reads": passes * len(placement) * mapping.cells,
        "row_activations": passes * int(placement.selected_rows.sum()) * mapping.cells,
        "column_activations": passes * (int(placement.selected_columns.sum()) * mapping.cells + references),
        "conversions": conversions * planes * mapping.slices,
    }


def footprint(
    model: nn.Module, input_shape: tuple[int, ...], hardware: Choices, digital: Any = (), signed: Iterable[str] = ()
) -> pd.DataFrame:
    """Cells, tiles and activity of every layer, for one input of `input_shape`, without running the network.

    Args:
        hardware, digital: see `memlib.map_network`.
        signed: names of layers with signed inputs, which bit-serial reads take two phases for.

    Returns:
        A row per layer: `layer`, and the columns of `layer_footprint` and `layer_activity`.

    Raises:
        ValueError: for a layer that cannot be mapped, or an input that does not fit the model.
    """
    plan = plan_chip(model, hardware, input_shape, digital)
    rows, signed = [], set(signed)
    for name in signed:
        one_of("signed: layer", name, plan)
    for name, layer in plan.items():
        cells = layer_footprint(layer.placement, layer.hardware)
        activity = layer_activity(layer.placement, layer.hardware, layer.calls, name in signed)
        rows.append({"layer": name, **cells, **activity})
    return pd.DataFrame(rows)


def best_windows(
    model: nn.Module,
    input_shape: tuple[int, ...],
    hardware: Choices,
    objective: str | Callable[[dict[str, Any]], float] = "tile_reads",
    largest: int = 64,
    digital: Any = (),
) -> pd.DataFrame:
    """For each convolution, the window of outputs that makes an objective smallest, by trying all; orders as given.

    Args:
        input_shape, hardware, digital: see `footprint`.
        objective: a column of `footprint`, or a function of a row of it (a dict).
        largest: outputs of a window at most.

    Returns:
        A row per convolution: layer, window (h, w) that `Mapping(layout=...)` takes, value, and dense, the value of the
        window (1, 1). Of equal windows the smallest.

    Raises:
        ValueError: for an unknown objective, and as `footprint`.
    """
    largest = whole("largest", largest, 1)
    plan = plan_chip(model, hardware, input_shape, digital)
    rows, known = [], {}
    for layer in progress([layer for layer in plan.values() if layer.geometry.dims], unit="layers"):
        alike = layer.geometry, layer.calls, layer.hardware
        if alike not in known:
            known[alike] = _values(layer, objective, largest)
        values = known[alike]
        best = min(values, key=lambda window: (values[window], window[0] * window[1], window))
        rows.append({"layer": layer.name, "window": best, "value": values[best], "dense": values[1, 1]})
    return pd.DataFrame(rows)


def _values(layer: LayerPlan, objective: str | Callable, largest: int) -> dict[tuple[int, int], float]:
    """The objective of one layer for every window."""
    values: dict[tuple[int, int], float] = {}
    # all windows (h, w) of at most so many outputs that are not clipped by the smallest map
    rows, columns = (1, *map(min, zip(*map(layer.geometry.output_size, layer.sizes), strict=True)))[-2:]
    windows = [(h, w) for h in range(1, min(rows, largest) + 1) for w in range(1, min(columns, largest // h) + 1)]
    for window in windows:
        mapping, tile = layer.hardware.mapping.replace(layout=window), layer.hardware.tile
        candidate = layer.hardware.replace(mapping=mapping)
        # without keeping the placement for later
        placement = place.__wrapped__(layer.geometry, tile.rows, tile.cols, window, mapping.order, layer.sizes)
        row = {**layer_footprint(placement, candidate), **layer_activity(placement, candidate, layer.calls)}
        if not callable(objective):
            one_of("objective", objective, [key for key, value in row.items() if not isinstance(value, str)])
        values[window] = objective(row) if callable(objective) else row[objective]
    return values

"""Tiles, cells, passes and tile reads of whole networks, by layout and size of tiles."""

from collections.abc import Sequence
from math import inf

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from memlib.evidence.claims import Claim, Statement, exactly
from memlib.mapping.footprints import best_windows, footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.placement import place
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.drawing import fix_layout, severity_colors
from memlib.studies.run import Run
from memlib.studies.s02_mapping.drawn_layer import LAYOUTS, PACKED
from memlib.studies.shared.trained_networks import INPUT_SHAPE, label, network_of
from memlib.zoo.checkpoints import load_checkpoint

#: A further layout in tables and claims: for each convolution the window with the fewest tile reads.
BEST = "best windows"
SUMMED = ["tiles", "cells_used", "cells_allocated", "passes", "tile_reads"]


def layer_counts(checkpoints: Sequence[str], tile_sizes: Sequence[int]) -> pd.DataFrame:
    """A row per network, layout, size of square tiles, and layer, with the columns of `memlib.footprint`."""
    tables = []
    for checkpoint in checkpoints:
        model = load_checkpoint(checkpoint)
        for name, mapping in LAYOUTS.items():
            for size in tile_sizes:
                hardware = Hardware(tile=Tile(rows=size, cols=size), mapping=mapping)
                tables.append(_labelled(footprint(model, INPUT_SHAPE, hardware), checkpoint, name, size))
                place.cache_clear()  # those of small tiles take much memory, and none is needed again
    return pd.concat(tables, ignore_index=True)


def best_window_counts(checkpoints: Sequence[str], tile_size: int) -> pd.DataFrame:
    """The same with the window of the fewest tile reads for each convolution, and linear layers as they are."""
    tables = []
    for checkpoint in checkpoints:
        model, hardware = load_checkpoint(checkpoint), Hardware(tile=Tile(rows=tile_size, cols=tile_size))
        windows = best_windows(model, INPUT_SHAPE, hardware).set_index("layer")["window"]
        by_layer = {name: hardware.replace(mapping=Mapping(layout=window)) for name, window in windows.items()}
        table = footprint(model, INPUT_SHAPE, {"*": hardware, **by_layer})
        tables.append(_labelled(table, checkpoint, BEST, tile_size))
    return pd.concat(tables, ignore_index=True)


def _labelled(table: pd.DataFrame, checkpoint: str, layout: str, size: int) -> pd.DataFrame:
    for at, (name, value) in enumerate((("checkpoint", checkpoint), ("layout", layout), ("tile_size", size))):
        table.insert(at, name, value)
    return table


def totals(layers: pd.DataFrame) -> pd.DataFrame:
    """A row per network, layout and tile size: sums over the layers, and the share of the cells that is used."""
    total = layers.groupby(["checkpoint", "layout", "tile_size"], sort=False)[SUMMED].sum().reset_index()
    total.insert(6, "utilisation", total["cells_used"] / total["cells_allocated"])
    return total


def layers_of(run: Run) -> pd.DataFrame:
    """The `layer_counts` of all sizes of tiles that the study asks for."""
    return layer_counts(run.p.checkpoints, sorted({*run.p.tile_sizes, run.p.claim_tile_size}))


def totals_by_size(run: Run) -> pd.DataFrame:
    """The `totals` on tiles of all sizes of the figure."""
    layers = run.once(layers_of)
    return totals(layers[layers["tile_size"].isin(run.p.tile_sizes)])


def claimed_layers(run: Run) -> pd.DataFrame:
    """The layers on tiles of the claims' size, with the best windows too."""
    layers, size = run.once(layers_of), run.p.claim_tile_size
    best = best_window_counts(run.p.checkpoints, size)
    return pd.concat([layers[layers["tile_size"] == size], best], ignore_index=True)


def claimed_totals(run: Run) -> pd.DataFrame:
    """The `totals` on which claims are decided."""
    return totals(run.table("02_mapping_windows"))


def side_by_side(layers: pd.DataFrame) -> pd.DataFrame:
    """The layers of one network, with some columns of three layouts side by side."""
    columns = ["cells_used", "tiles", "utilisation", "passes", "tile_reads"]
    beside = {}
    for name in ("dense", PACKED, BEST):
        table = layers[layers["layout"] == name].set_index("layer")
        beside[name] = table[["window"] * (name == BEST) + columns].rename(columns={"cells_used": "cells"})
    return pd.concat(beside, axis=1)


# Colours for the window, dark to light from one output to the whole map; line styles and markers for the order.
_STYLES = dict(zip(LAYOUTS, zip([0, 1, 2, 3, 3, 3], "os^DPX", ["-"] * 4 + ["--", ":"], strict=True), strict=True))


def plot_counts(frame: pd.DataFrame) -> Figure:
    """Draw a row per network: tiles, utilisation and tile reads over tile size, a line per layout, and passes."""
    checkpoints, sizes = frame["checkpoint"].unique(), sorted(frame["tile_size"].unique())
    figure, axes = plt.subplots(
        len(checkpoints), 4, figsize=(11.5, 2.6 * len(checkpoints) + 0.7), width_ratios=(1.15, 1.15, 1.15, 1),
        sharex="col", sharey="col", squeeze=False, layout=ConstrainedLayoutEngine(w_pad=0.08),
    )  # fmt: skip
    for checkpoint, row in zip(checkpoints, axes, strict=True):
        group = frame[frame["checkpoint"] == checkpoint]
        for column, axis in zip(("tiles", "utilisation", "tile_reads"), row, strict=False):
            _lines(axis, group, column)
        _passes(row[3], group[group["tile_size"] == sizes[0]])
        row[0].set_ylabel(f"{label(checkpoint)}\n\ntiles")
        row[1].set_ylabel("cells that hold a weight (%)")
        row[2].set_ylabel("tile reads per inference")
    for axis in axes[-1, :3]:
        axis.set_xlabel("rows and columns of a tile")
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, sizes)
        axis.minorticks_off()
    axes[0, 1].set_ylim(0, 102)
    axes[-1, 3].set_xlabel("passes per inference")
    for axis, title in zip(axes[0], ("space", "use of it", "work", "steps in time"), strict=True):
        axis.set_title(title)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    return fix_layout(figure)


def _lines(axis: Axes, group: pd.DataFrame, column: str) -> None:
    colors = severity_colors(5)  # its lightest is too light for a line
    for layout, line in group.groupby("layout", sort=False):
        shade, marker, style = _STYLES[layout]
        values = 100 * line[column] if column == "utilisation" else line[column]
        axis.plot(line["tile_size"], values, style, marker=marker, color=colors[shade], markersize=4, label=layout)
    if column != "utilisation":
        axis.set_yscale("log")


def _passes(axis: Axes, group: pd.DataFrame) -> None:
    colors = severity_colors(5)
    for i, (layout, passes) in enumerate(zip(group["layout"], group["passes"], strict=True)):
        shade, marker, _ = _STYLES[layout]
        axis.plot(passes, i, marker, color=colors[shade], markersize=5)
        axis.annotate(f"{passes:,}", (passes, i), (6, 0), textcoords="offset points", va="center", fontsize="small")
    axis.set_xscale("log")
    axis.set_xlim(3, 3e5)
    axis.set_xticks([10, 100, 1e3, 1e4, 1e5])
    axis.minorticks_off()
    axis.set_yticks(range(len(group)), group["layout"])
    axis.set_ylim(len(group) - 0.5, -0.5)


#: The claims about each network by id: text, column of the totals, a layout and its rivals, bounds, and subject. The
#: ratio of the layout's total to the smallest of its rivals' must lie within the bounds.
LAYOUT_CLAIMS: dict[str, tuple[str, str, tuple[str, ...], tuple[float, float], str]] = {
    "packed_order": (
        "sparse, the packed order needs fewer tiles than the hwc and chw orders",
        "tiles", (PACKED, "sparse, hwc", "sparse, chw"), (0, 1), "area",
    ),
    "packed_utilisation": (
        "sparse packed uses a larger share of its cells than dense", "utilisation", (PACKED, "dense"), (1, inf), "area",
    ),
    "packed_tiles": (
        "sparse packed needs over 100 times the tiles of dense", "tiles", (PACKED, "dense"), (100, inf), "area",
    ),
    "windows_reads": (
        "the best windows need less than half the tile reads of dense",
        "tile_reads", (BEST, "dense"), (0, 0.5), "tile reads",
    ),
    "packed_reads": (
        "sparse packed needs fewer tile reads than the best windows",
        "tile_reads", (PACKED, BEST), (0, 1), "tile reads",
    ),
}  # fmt: skip
#: The claim that the README shows, about the first network.
IN_README = "packed_tiles"


def claims(run: Run) -> list[Claim]:
    """The claims about each network, from the totals of all layouts and the best windows on one tile size."""
    total, decided = run.table("02_mapping_totals"), []
    for (checkpoint, size), group in total.groupby(["checkpoint", "tile_size"], sort=False):
        layouts, first = group.set_index("layout"), checkpoint == total["checkpoint"].iloc[0]
        for key, (text, column, names, (low, high), subject) in LAYOUT_CLAIMS.items():
            one, *others = layouts.loc[list(names), column]
            ratio, headline = float(one / min(others)), "02_mapping_footprint" if first and key == IN_README else ""
            sentence = f"{label(checkpoint)}: {text} ({size}x{size})"
            statement = Statement(f"{key}/{network_of(checkpoint)}", sentence, subject, headline)
            decided.append(exactly(statement, ratio, low < ratio < high))
    return decided

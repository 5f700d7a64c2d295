"""The study 02_mapping: how layouts lay a layer on tiles, and how many tiles and reads whole networks need."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch, Rectangle
from torch import nn

from memlib.evidence.claims import Claim, Statement, exactly
from memlib.layers.geometry import Geometry
from memlib.mapping.footprints import best_windows, footprint, layer_activity, layer_footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.placement import place
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.drawing import Drawing, fix_layout, severity_colors
from memlib.studies.run import Run
from memlib.studies.study import Study, Values, networks, same
from memlib.studies.trained_networks import INPUT_SHAPE, label, network_of
from memlib.zoo.checkpoints import load_checkpoint, manifest_entry

PACKED = "sparse, packed"
#: The layouts that are compared, by the name that figures and tables give them.
LAYOUTS: dict[str, Mapping] = {
    "dense": Mapping(layout="dense"),
    "window 2x2": Mapping(layout=(2, 2)),
    "window 4x4": Mapping(layout=(4, 4)),
    PACKED: Mapping(layout="sparse", order="packed"),
    "sparse, hwc": Mapping(layout="sparse", order="hwc"),
    "sparse, chw": Mapping(layout="sparse", order="chw"),
}
#: Beside them in tables and claims: the window with the fewest tile reads for each convolution.
BEST = "best windows"

# The drawing: one small layer, on small tiles

#: 2 to 3 channels, on a map of 6x6.
LAYER, MAP_SIZE = Geometry.of(nn.Conv2d(2, 3, 3, padding=1)), (6, 6)
DRAWN_TILE = 12
#: (channel, y, x) of the output whose weights are picked out.
PIXEL = (1, 2, 3)
#: In the order of the panels.
DRAWN = ("dense", "window 2x2", PACKED, "sparse, chw", "sparse, hwc")
PICKED_LABEL = "used, for the one output that the mark points at"
#: The states of a drawn cell, from outside the tiles to the picked output's weights. Colours differ in lightness.
STATES = {
    "not allocated": "#ffffff",
    "deselected: no weight in its row or column of the tile": "#f0f0f0",
    "unused: in a selected row and column, but no weight": "#c3d9ec",
    "used: holds a weight": "#5d8fc2",
    PICKED_LABEL: "#a80f0f",
}
NOT_ALLOCATED, DESELECTED, UNUSED, USED, PICKED = range(len(STATES))
#: How tables write them, one letter a cell.
LETTERS = ".-oxP"


@dataclass(frozen=True)
class LaidOut:
    """A layer on tiles side by side: column groups from left to right, row cuts from top to bottom."""

    cells: np.ndarray  #: (rows, columns) index of a state in STATES
    counts: dict[str, Any]  #: those of `layer_footprint` and `layer_activity`


def lay_out(mapping: Mapping) -> LaidOut:
    """Lay LAYER on tiles of DRAWN_TILE x DRAWN_TILE cells."""
    hardware = Hardware(tile=Tile(rows=DRAWN_TILE, cols=DRAWN_TILE), mapping=mapping)
    placement = hardware.place(LAYER, (MAP_SIZE,))
    window = placement.window
    position = (at % length for at, length in zip(PIXEL[1:], window.shape, strict=True))
    output = np.ravel_multi_index((PIXEL[0], *position), (LAYER.outputs, *window.shape))
    tiles = placement.cuts.max() + 1, placement.groups.max() + 1
    cells = np.full([DRAWN_TILE * n for n in tiles], NOT_ALLOCATED, np.int8)
    for tile in placement:
        top, left = tile.cut * DRAWN_TILE, tile.group * DRAWN_TILE
        cells[top : top + DRAWN_TILE, left : left + DRAWN_TILE] = DESELECTED
        states = np.where(tile.weights < 0, UNUSED, np.where(tile.outputs == output, PICKED, USED))
        cells[np.ix_(top + tile.rows, left + tile.columns)] = states
    counts = layer_footprint(placement, hardware) | layer_activity(placement, hardware, [MAP_SIZE])
    return LaidOut(cells, counts)


def corners(cells: np.ndarray) -> np.ndarray:
    """(tiles, 2) row and column of the first cell of each allocated tile."""
    return DRAWN_TILE * np.argwhere(cells[::DRAWN_TILE, ::DRAWN_TILE] != NOT_ALLOCATED)


def picked_column(cells: np.ndarray) -> int:
    """The column that holds all weights of the picked output."""
    return int(np.flatnonzero((cells == PICKED).any(0))[0])


def drawn_cells(drawn: dict[str, LaidOut]) -> pd.DataFrame:
    """A row per layout: cells of each kind in the tiles of one polarity, as the other's look the same."""
    rows = []
    for name, d in drawn.items():
        states = np.bincount(d.cells.ravel(), minlength=len(STATES))
        kinds = {"deselected": DESELECTED, "unused": UNUSED, "used": USED, "picked": PICKED}
        row = {"layout": name, "tile_pairs": len(corners(d.cells)), **{kind: states[i] for kind, i in kinds.items()}}
        row["used"] += row["picked"]
        rows.append(row | {key: d.counts[key] for key in ("utilisation", "passes", "tile_reads")})
    return pd.DataFrame(rows)


def cell_lines(drawn: dict[str, LaidOut]) -> pd.DataFrame:
    """A row per layout and line of cells, with a letter of LETTERS for each cell."""
    rows = [
        {"layout": name, "row": row, "cells": "".join(LETTERS[state] for state in line)}
        for name, d in drawn.items()
        for row, line in enumerate(d.cells)
    ]
    return pd.DataFrame(rows)


def draw(lines: pd.DataFrame, counts: pd.DataFrame) -> Figure:
    """Draw the layer, and the layouts of DRAWN at one scale, three in a first row and two in a second.

    Args:
        lines: see `cell_lines`.
        counts: see `drawn_cells`.
    """
    cells = {
        name: np.array([[LETTERS.index(letter) for letter in line] for line in part["cells"]])
        for name, part in lines.groupby("layout")
    }
    inch, lefts, tops = 0.043, (62, 99, 134, 12, 134), (20, 20, 20, 84, 84)  # of a cell; of the panels, in cells
    rows, columns = cells[DRAWN[-1]].shape
    width, height = lefts[-1] + columns + 4, tops[-1] + rows + 22
    figure = plt.figure(figsize=(width * inch, height * inch))

    def panel(left: float, top: float, shape: tuple[int, ...]) -> Axes:
        """Add axes at a place, in cells."""
        return figure.add_axes((left / width, 1 - (top + shape[0]) / height, shape[1] / width, shape[0] / height))

    _sketch(panel(3, 20, (36, 38)))
    for name, left, top in zip(DRAWN, lefts, tops, strict=True):
        axis = panel(left, top, cells[name].shape)
        _panel(axis, cells[name])
        c = counts.set_index("layout").loc[name]
        text = f"{c['tile_pairs']:.0f} tile pairs, {100 * c['utilisation']:.0f} % used\n{c['passes']:.0f} pass"
        _title(axis, name, text if c["passes"] == 1 else f"{text}es")
    handles = [Patch(facecolor=color, edgecolor="0.15", linewidth=0.5, label=name) for name, color in STATES.items()]
    figure.legend(handles=handles, loc="lower center", ncols=3, frameon=False, fontsize="small")
    return figure


def _panel(axis: Axes, cells: np.ndarray) -> None:
    """Draw the cells, a frame around each tile, and a mark at the picked column."""
    rows, columns = cells.shape
    colors = ListedColormap(list(STATES.values()))
    axis.imshow(cells, cmap=colors, vmin=0, vmax=len(STATES) - 1, extent=(0, columns, rows, 0), interpolation="none")
    for top, left in corners(cells):
        tile = Rectangle((left, top), DRAWN_TILE, DRAWN_TILE, fill=False, edgecolor="0.15", linewidth=0.7)
        axis.add_patch(tile).set_clip_on(False)
    mark = picked_column(cells) + 0.5
    axis.plot(mark, -1.8, marker="v", color=STATES[PICKED_LABEL], clip_on=False, markersize=5)
    axis.set(xlim=(0, columns), ylim=(rows, 0), xlabel="column", ylabel="row")
    axis.set(xticks=range(0, columns + 1, 12 * (1 + (columns > 24))), yticks=range(0, rows + 1, 12))
    axis.xaxis.label.set_fontsize("small")
    axis.yaxis.label.set_fontsize("small")
    axis.grid(False)
    axis.tick_params(length=2, pad=1, labelsize="x-small")
    axis.spines[:].set_visible(False)


def _title(axis: Axes, name: str, text: str) -> None:
    """Write a bold line and the rest, above the mark of the picked column."""
    for line, above, weight in ((text, 9, "normal"), (name, 31, "bold")):
        place = (0.5, 1), (0, above), "axes fraction", "offset points"
        axis.annotate(line, *place, ha="center", va="bottom", fontsize="small", fontweight=weight)


def _sketch(axis: Axes) -> None:
    """Draw input and output maps of the layer, with the picked output and the inputs that it reads."""
    channel, y, x = PIXEL
    size, steps = 10.2, [np.arange(n + 1) * 10.2 / n for n in MAP_SIZE]
    for number, left in ((LAYER.inputs, 4), (LAYER.outputs, 25)):
        for i in range(number):
            top = 18.9 + 11.9 * (i - number / 2)
            if left == 4 or i == channel:
                first, last = ((y - 1, x - 1), (y + 2, x + 2)) if left == 4 else ((y, x), (y + 1, x + 1))
                corner = left + steps[1][first[1]], top + steps[0][first[0]]
                extent = steps[1][last[1] - first[1]], steps[0][last[0] - first[0]]
                axis.add_patch(Rectangle(corner, *extent, color=STATES[PICKED_LABEL], linewidth=0))
            axis.vlines(left + steps[1], top, top + size, color="0.3", linewidth=0.5)
            axis.hlines(top + steps[0], left, left + size, color="0.3", linewidth=0.5)
    axis.annotate("", (24, 18), (15.2, 18), arrowprops={"arrowstyle": "->", "color": "0.3"})
    axis.set(xlim=(0, 38), ylim=(36, 0))
    axis.axis("off")
    kernel, pixels = "x".join(map(str, LAYER.kernel)), "x".join(map(str, MAP_SIZE))
    text = (
        f"{LAYER.inputs} to {LAYER.outputs} channels on a {pixels} map\n{kernel} kernel, padding {LAYER.padding[0][0]}"
    )
    _title(axis, "the layer", text)


# The networks


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


SUMMED = ["tiles", "cells_used", "cells_allocated", "passes", "tile_reads"]


def totals(layers: pd.DataFrame) -> pd.DataFrame:
    """A row per network, layout and tile size: sums over the layers, and the share of the cells that is used."""
    total = layers.groupby(["checkpoint", "layout", "tile_size"], sort=False)[SUMMED].sum().reset_index()
    total.insert(6, "utilisation", total["cells_used"] / total["cells_allocated"])
    return total


def side_by_side(layers: pd.DataFrame) -> pd.DataFrame:
    """The layers of one network, with some columns of three layouts side by side."""
    columns = ["cells_used", "tiles", "utilisation", "passes", "tile_reads"]
    parts = {}
    for name in ("dense", PACKED, BEST):
        part = layers[layers["layout"] == name].set_index("layer")
        parts[name] = part[["window"] * (name == BEST) + columns].rename(columns={"cells_used": "cells"})
    return pd.concat(parts, axis=1)


# Colours for the window, dark to light from one output to the whole map; line styles and markers for the order.
_STYLES = dict(zip(LAYOUTS, zip([0, 1, 2, 3, 3, 3], "os^DPX", ["-"] * 4 + ["--", ":"], strict=True), strict=True))


def plot(frame: pd.DataFrame) -> Figure:
    """Draw a row per network: tiles, utilisation and tile reads over tile size, a line per layout, and passes."""
    checkpoints, sizes = frame["checkpoint"].unique(), sorted(frame["tile_size"].unique())
    figure, axes = plt.subplots(
        len(checkpoints), 4, figsize=(11.5, 2.6 * len(checkpoints) + 0.7), width_ratios=(1.15, 1.15, 1.15, 1),
        sharex="col", sharey="col", squeeze=False, layout=ConstrainedLayoutEngine(w_pad=0.08),
    )  # fmt: skip
    for checkpoint, row in zip(checkpoints, axes, strict=True):
        part = frame[frame["checkpoint"] == checkpoint]
        for column, axis in zip(("tiles", "utilisation", "tile_reads"), row, strict=False):
            _lines(axis, part, column)
        _passes(row[3], part[part["tile_size"] == sizes[0]])
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


def _lines(axis: Axes, part: pd.DataFrame, column: str) -> None:
    colors = severity_colors(5)  # its lightest is too light for a line
    for layout, line in part.groupby("layout", sort=False):
        shade, marker, style = _STYLES[layout]
        values = 100 * line[column] if column == "utilisation" else line[column]
        axis.plot(line["tile_size"], values, style, marker=marker, color=colors[shade], markersize=4, label=layout)
    if column != "utilisation":
        axis.set_yscale("log")


def _passes(axis: Axes, part: pd.DataFrame) -> None:
    colors = severity_colors(5)
    for i, (layout, passes) in enumerate(zip(part["layout"], part["passes"], strict=True)):
        shade, marker, _ = _STYLES[layout]
        axis.plot(passes, i, marker, color=colors[shade], markersize=5)
        axis.annotate(f"{passes:,}", (passes, i), (6, 0), textcoords="offset points", va="center", fontsize="small")
    axis.set_xscale("log")
    axis.set_xlim(3, 3e5)
    axis.set_xticks([10, 100, 1e3, 1e4, 1e5])
    axis.minorticks_off()
    axis.set_yticks(range(len(part)), part["layout"])
    axis.set_ylim(len(part) - 0.5, -0.5)


@dataclass(frozen=True)
class LayoutClaim:
    """A claim that is made of each network: how a total of one layout compares with the smallest of others."""

    id: str
    text: str
    column: str  #: of the totals
    layouts: tuple[str, ...]  #: the one, then the others
    threshold: float  #: of their ratio
    above: bool = False  #: whether the ratio should be above the threshold; else below
    subject: str = "area"
    in_readme: bool = False  #: for the first network

    def statement(self, checkpoint: str, size: int, first: bool) -> Statement:
        """The statement about one network on tiles of this size."""
        text = f"{label(checkpoint)}: {self.text} ({size}x{size})"
        shown = "02_mapping_footprint" if first and self.in_readme else ""
        return Statement(f"{self.id}/{network_of(checkpoint)}", text, self.subject, shown)


LAYOUT_CLAIMS = (
    LayoutClaim(
        "packed_order",
        "sparse, the packed order needs fewer tiles than the hwc and chw orders",
        "tiles",
        (PACKED, "sparse, hwc", "sparse, chw"),
        1,
    ),
    LayoutClaim(
        "packed_utilisation",
        "sparse packed uses a larger share of its cells than dense",
        "utilisation",
        (PACKED, "dense"),
        1,
        above=True,
    ),
    LayoutClaim(
        "packed_tiles",
        "sparse packed needs over 100 times the tiles of dense",
        "tiles",
        (PACKED, "dense"),
        100,
        above=True,
        in_readme=True,
    ),
    LayoutClaim(
        "windows_reads",
        "the best windows need less than half the tile reads of dense",
        "tile_reads",
        (BEST, "dense"),
        0.5,
        subject="tile reads",
    ),
    LayoutClaim(
        "packed_reads",
        "sparse packed needs fewer tile reads than the best windows",
        "tile_reads",
        (PACKED, BEST),
        1,
        subject="tile reads",
    ),
)


def claims(total: pd.DataFrame) -> list[Claim]:
    """The claims about each network, from the totals of all layouts and the best windows on one tile size."""
    decided = []
    for (checkpoint, size), group in total.groupby(["checkpoint", "tile_size"], sort=False):
        layouts = group.set_index("layout")
        for claim in LAYOUT_CLAIMS:
            one, *others = layouts.loc[list(claim.layouts), claim.column]
            ratio = float(one / min(others))
            holds = ratio > claim.threshold if claim.above else ratio < claim.threshold
            statement = claim.statement(checkpoint, size, checkpoint == total["checkpoint"].iloc[0])
            decided.append(exactly(statement, ratio, holds))
    return decided


def _laid_out(_: Run) -> dict[str, LaidOut]:
    return {name: lay_out(LAYOUTS[name]) for name in DRAWN}


def _layers(run: Run) -> pd.DataFrame:
    return layer_counts(run.p.checkpoints, sorted({*run.p.tile_sizes, run.p.claim_tile_size}))


def _footprint(run: Run) -> pd.DataFrame:
    layers = run.once(_layers)
    return totals(layers[layers["tile_size"].isin(run.p.tile_sizes)])


def _windows(run: Run) -> pd.DataFrame:
    layers, size = run.once(_layers), run.p.claim_tile_size
    best = best_window_counts(run.p.checkpoints, size)
    return pd.concat([layers[layers["tile_size"] == size], best], ignore_index=True)


def _inputs(p: SimpleNamespace) -> dict[str, Any]:
    recipes = {checkpoint: manifest_entry(checkpoint)["recipe"] for checkpoint in p.checkpoints}
    return {
        "networks": {name: {key: recipe[key] for key in ("network", "width")} for name, recipe in recipes.items()},
        "layouts": {name: asdict(mapping) for name, mapping in LAYOUTS.items()},
        "input_shape": list(INPUT_SHAPE),
        "drawn": {"layer": asdict(LAYER), "map_size": MAP_SIZE, "tile": DRAWN_TILE, "pixel": PIXEL},
    }


STUDY = Study(
    name="02_mapping",
    parameters={
        "checkpoints": networks("resnet20", "vgg8"),
        "tile_sizes": Values([32, 64, 128, 256, 512], [32, 128, 512]),
        "claim_tile_size": same(128),
    },
    tables={
        "02_mapping_cells": lambda run: cell_lines(run.once(_laid_out)),
        "02_mapping": lambda run: drawn_cells(run.once(_laid_out)),
        "02_mapping_footprint": _footprint,
        "02_mapping_windows": _windows,
        "02_mapping_totals": lambda run: totals(run.table("02_mapping_windows")),
    },
    drawings={
        "02_mapping": Drawing(draw, ("02_mapping_cells", "02_mapping")),
        "02_mapping_footprint": Drawing(plot, ("02_mapping_footprint",)),
    },
    claims={"02_mapping_footprint": lambda run: claims(run.table("02_mapping_totals"))},
    inputs=_inputs,
)

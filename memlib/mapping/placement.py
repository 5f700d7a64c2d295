"""Where every weight of a layer sits: the layout (layer to matrix) and the cut into tiles.

One family of layouts, by the *window* of outputs that a pass computes: of one output (dense), of some (shifted copies
of each kernel, SDK: Rhe et al., "VW-SDK", DATE 2022, arXiv 2112.11282), of all (sparse). The placement is the one
description of the machine: accuracy, footprint and cost are all computed from it.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from memlib.base.checks import fail
from memlib.layers.geometry import Geometry, Size
from memlib.mapping.packing import rectangles
from memlib.mapping.window import Window, alive_places, window_of


@dataclass(frozen=True)
class PlacedTile:
    """One allocated tile, or the two of a differential pair; only selected rows and columns are listed."""

    group: int  #: number of its column group
    cut: int  #: number of its row cut
    rows: np.ndarray  #: (n,) positions of the selected rows in the tile
    columns: np.ndarray  #: (m,) positions of the selected columns in the tile
    inputs: np.ndarray  #: (n,) which input of a pass drives each selected row
    outputs: np.ndarray  #: (m,) which output of a pass each selected column adds to
    weights: np.ndarray  #: (n, m) index into (copies, *weight.shape), flattened; -1 for an unused cell

    @property
    def cells_used(self) -> int:
        """Cells that hold a weight, of one polarity."""
        return int((self.weights >= 0).sum())


@dataclass(frozen=True)
class Placement:
    """All tiles of one layer, by column group and then row cut; their lists stand one behind the other."""

    window: Window
    sizes: tuple[Size, ...]  #: of the input maps at each call of the layer; empty if not known
    groups: np.ndarray  #: (tiles,) number of the column group
    cuts: np.ndarray  #: (tiles,) number of the row cut
    row_ends: np.ndarray  #: (tiles,) end of each tile's part of the next two
    rows: np.ndarray  #: positions of the selected rows in their tiles
    inputs: np.ndarray  #: which input of a pass drives each of them
    column_ends: np.ndarray  #: (tiles,) end of each tile's part of the next two
    columns: np.ndarray  #: positions of the selected columns in their tiles
    outputs: np.ndarray  #: which output of a pass each of them adds to
    matrix_rows: int  #: rows of the layer's matrix
    sparse: bool  #: whether the window is the whole map by choice

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, i: int) -> PlacedTile:
        """One tile."""
        rows, columns = (slice(e[i - 1] if i else 0, e[i]) for e in (self.row_ends, self.column_ends))
        inputs, outputs = self.inputs[rows], self.outputs[columns]
        weights = self.weights(inputs[None], outputs[None])[0]
        numbers = int(self.groups[i]), int(self.cuts[i])
        return PlacedTile(*numbers, self.rows[rows], self.columns[columns], inputs, outputs, weights)

    def __iter__(self) -> Iterator[PlacedTile]:
        return (self[i] for i in range(len(self)))

    @property
    def selected_rows(self) -> np.ndarray:
        """(tiles,) rows with a used cell."""
        return np.diff(self.row_ends, prepend=0)

    @property
    def selected_columns(self) -> np.ndarray:
        """(tiles,) columns with a used cell."""
        return np.diff(self.column_ends, prepend=0)

    @cached_property
    def cells_used(self) -> int:
        """Cells that hold a weight, of one polarity: each weight of each copy once, unless its input is always 0."""
        g = self.window.geometry
        return g.outputs * (g.inputs // g.groups) * int(self._alive[self.window.places].sum())

    @cached_property
    def _alive(self) -> np.ndarray:
        return alive_places(self.window, self.sizes)

    @cached_property
    def fixed_size(self) -> bool:
        """Whether another size of the input map would need another placement."""
        return not self.by_convolution or not self._alive.all()

    @property
    def by_convolution(self) -> bool:
        """Whether each row cut is a convolution of the layer's own kernel size: the dense layout, or a linear layer."""
        return self.window.copies == 1 and not self.sparse

    def conversions(self, size: Size, converter: str, scheme: str) -> np.ndarray:
        """(passes,) ADC conversions in each pass over a map of this size, of columns (or pairs) that meet an output.

        A converter for each column converts the references too, in every pass.
        """
        columns = np.bincount(self.outputs % self.window.copies, minlength=self.window.copies)
        converted = columns @ self.window.converted(size)
        if converter == "pair":
            return converted
        return 2 * converted if scheme == "differential" else converted + len(self)

    def weights(self, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Which weights sit where rows and columns cross.

        Args:
            inputs: (tiles, n) of each row; outputs: (tiles, m) of each column; a number beyond the last is no line.

        Returns:
            (tiles, n, m) index into (copies, *weight.shape), flattened; -1 where no weight sits.
        """
        w, g = self.window, self.window.geometry
        channel, place = np.divmod(inputs.astype(np.int64), w.places_count)
        output, copy = np.divmod(outputs.astype(np.int64), w.copies)
        per_group, of_group = g.inputs // g.groups, g.outputs // g.groups
        used = (channel // per_group)[:, :, None] == (output // of_group)[:, None, :]
        used &= ((inputs < w.inputs)[:, :, None]) & (outputs < w.outputs)[:, None, :]
        kernel = np.zeros((1, 1, 1), np.int64)
        strides = [math.prod(map(len, w.offsets[d + 1 :])) for d in range(g.dims)]
        for d, offsets in enumerate(w.offsets):
            here = place // strides[d] % len(offsets)
            there = copy // math.prod(w.shape[d + 1 :]) % w.shape[d]
            tap = w.taps(d, here[:, :, None], there[:, None, :])
            used &= tap >= 0
            kernel = kernel * g.kernel[d] + tap
        row = (channel % per_group * g.positions)[:, :, None]
        column = ((copy * g.outputs + output) * (per_group * g.positions))[:, None, :]
        return np.where(used, column + row + kernel, -1)


@lru_cache(maxsize=64)
def place(
    geometry: Geometry,
    rows: int,
    cols: int,
    layout: str | tuple[int, int] = "dense",
    order: str = "packed",
    sizes: tuple[Size, ...] = (),
) -> Placement:
    """Place a layer on tiles of `rows` x `cols` cells.

    The matrix has a row per input of a pass, unless that is zero in every pass, and a column per output, block-diagonal
    for groups. It is cut every `rows` rows and `cols` columns, except in the packed sparse layout, where each column
    group is a rectangle of outputs and has just the rows that these need.

    Args:
        layout, order: as in `Mapping`.
        sizes: distinct sizes of the input maps; may be left out in the dense layout, which then keeps all rows. Errors
            are those of `window_of`.
    """
    window = window_of(geometry, layout, sizes)
    alive = alive_places(window, sizes)
    sparse = layout == "sparse" and geometry.dims > 0
    packed = sparse and order == "packed"
    groups = rectangles(window, alive, rows, cols) if packed else _cut_columns(window, order, cols)
    placed = []
    for group, columns in enumerate(groups):
        inputs, rank = _needed(window, alive, columns, order)
        if packed:
            rank = np.arange(len(inputs))
        cuts = rank // rows
        edges = [*np.flatnonzero(np.diff(cuts, prepend=-1)), len(inputs)]  # of no inputs: one edge, and no tile
        for start, end in itertools.pairwise(edges):
            selected = _selected_columns(window, inputs[start:end], columns)
            here = rank[start:end] % rows, inputs[start:end], selected, columns[selected]
            placed.append((group, cuts[start], *(part.astype(np.int32) for part in here)))
    if not placed:
        fail("layer", geometry, "one of which some output reads more than padding")
    numbers, row_cuts, *lists = zip(*placed, strict=True)
    row_ends, column_ends = (np.cumsum([len(part) for part in lists[i]], dtype=np.int64) for i in (1, 3))
    positions, inputs, columns, outputs = (np.concatenate(part) for part in lists)
    by_row, by_column = (row_ends, positions, inputs), (column_ends, columns, outputs)
    matrix_rows = geometry.inputs * int(alive.sum())
    tiles = np.array(numbers, np.int64), np.array(row_cuts, np.int64)
    return Placement(window, sizes, *tiles, *by_row, *by_column, matrix_rows, sparse)


def _cut_columns(window: Window, order: str, cols: int) -> Iterator[np.ndarray]:
    """The outputs of each column group: (channel, *position), or in hwc (*position, channel), every `cols`."""
    numbers = np.arange(window.outputs)
    if order == "hwc":
        numbers = numbers.reshape(-1, window.copies).T.ravel()
    return (numbers[left : left + cols] for left in range(0, len(numbers), cols))


def _needed(window: Window, alive: np.ndarray, outputs: np.ndarray, order: str) -> tuple[np.ndarray, np.ndarray]:
    """The inputs that some outputs read, in the order of rows, and which rows of the whole matrix they are."""
    g = window.geometry
    output, copy = np.divmod(outputs, window.copies)
    group = output // (g.outputs // g.groups)
    per_group = g.inputs // g.groups
    of_groups = []
    for number in np.unique(group):
        place = np.unique(window.places[np.unique(copy[group == number])])
        channels = np.arange(number * per_group, (number + 1) * per_group)
        of_groups.append((channels[:, None] * window.places_count + place[alive[place]]).ravel())
    inputs = np.concatenate(of_groups)
    channel, place = np.divmod(inputs, window.places_count)
    row = np.cumsum(alive)[place] - 1
    if order != "hwc":
        return inputs, channel * int(alive.sum()) + row
    rank = row * g.inputs + channel
    by_rank = np.argsort(rank)
    return inputs[by_rank], rank[by_rank]


def _selected_columns(window: Window, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Which of the columns have a used cell in the rows of these inputs."""
    g = window.geometry
    channel, place = np.divmod(inputs, window.places_count)
    output, copy = np.divmod(outputs, window.copies)
    group, of_rows = output // (g.outputs // g.groups), channel // (g.inputs // g.groups)
    used = np.zeros(len(outputs), bool)
    for number in np.unique(of_rows):
        there = np.zeros(window.places_count, bool)
        there[place[of_rows == number]] = True
        mine = group == number
        used[mine] = there[window.places[copy[mine]]].any(1)
    return np.flatnonzero(used)

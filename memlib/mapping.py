"""How a layer's weights become cells: scheme (signed weight to conductances), and placement (cells in tiles).

The placement is the one description of the machine: accuracy, footprint and cost are all computed from it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from memlib.config import Config, config
from memlib.device import Device
from memlib.streams import normals, uniforms
from memlib.validate import fail, one_of

SCHEMES = ("differential", "offset")
UNIFORM_EFFECTS = ("stuck_on", "stuck_off", "unformed")


@config
class Mapping(Config):
    """How weights are laid out on tiles."""

    layout: str = "dense"  #: "dense": each kernel stored once (im2col), one pass per output position
    scheme: str = "differential"  #: or "offset": one cell per weight, and a reference column per tile
    order: str = "packed"  #: rows (c, ky, kx); "chw" is the same in the dense layout
    #: "hrs": unused cells hold the scheme's zero state; "unformed": they do not conduct (differential only).
    unused: str = "hrs"
    #: The weight that maps to the full window: the largest of the whole "layer", or of each output "column".
    w_max: str = "layer"

    def __post_init__(self) -> None:
        if self.layout != "dense":
            raise NotImplementedError(f"layout={self.layout!r}: only 'dense' is built so far")
        if self.order == "hwc":
            raise NotImplementedError("order='hwc': only 'packed' and 'chw' are built so far")
        one_of("scheme", self.scheme, SCHEMES)
        one_of("order", self.order, ("packed", "chw"))
        one_of("unused", self.unused, ("hrs", "unformed"))
        one_of("w_max", self.w_max, ("layer", "column"))
        if self.scheme == "offset" and self.unused == "unformed":
            fail("unused", self.unused, "'hrs' with the offset scheme, whose zero state conducts")

    @property
    def polarities(self) -> int:
        """Cells, and physical tiles, per weight."""
        return 2 if self.scheme == "differential" else 1


def usable_states(states: int | None, scheme: str) -> int | None:
    """Levels the scheme can use: offset needs g_mid among them, so of an even number it uses one less.

    Raises:
        ValueError: for two states with the offset scheme.
    """
    if states is None or scheme == "differential":
        return states
    if states < 3:
        fail("states", states, "at least 3 with the offset scheme, whose levels include the middle, or None for off")
    return states - 1 + states % 2


def zero_state(device: Device, scheme: str) -> float:
    """The conductance, S, that stands for weight 0: g_off in both cells of a pair, or g_mid."""
    return device.g_off if scheme == "differential" else (device.g_on + device.g_off) / 2


def target_conductances(weight: Tensor, device: Device, mapping: Mapping) -> tuple[Tensor, Tensor]:
    """Wanted conductance of every cell that holds a weight, and what a pair's conductance difference means.

    differential: g_pos = g_off + k max(W, 0), g_neg = g_off + k max(-W, 0), W = (g_pos - g_neg)/k
    offset:       g = g_mid + (k/2) W, W = 2 (g - g_mid)/k,     with k = (g_on - g_off)/w_max

    Args:
        weight: (out, ...) float64.

    Returns:
        targets (polarity, 1, *weight.shape) in S, float64, and the weight per siemens of difference, (out,), 1/S.
    """
    largest = weight.abs().flatten(1).amax(1)
    if mapping.w_max == "layer":
        largest = largest.amax().expand_as(largest)
    k = device.g_range / torch.where(largest > 0, largest, 1.0)
    scaled = weight * k.view(-1, *[1] * (weight.dim() - 1))
    if mapping.scheme == "differential":
        return device.g_off + torch.stack((scaled.clamp(min=0), (-scaled).clamp(min=0)))[:, None], 1 / k
    return (zero_state(device, "offset") + scaled / 2)[None, None], 2 / k


@dataclass(frozen=True)
class PlacedTile:
    """One allocated tile, or the two of a differential pair; only selected rows and columns are listed."""

    group: int  #: number of its column group
    cut: int  #: number of its row cut
    rows: Tensor  #: (n,) positions of the selected rows in the tile
    columns: Tensor  #: (m,) positions of the selected columns in the tile
    inputs: Tensor  #: (n,) which input of a pass, counted (c, ky, kx), drives each selected row
    outputs: Tensor  #: (m,) which output channel each selected column adds to
    weights: Tensor  #: (n, m) index into the flattened weight; -1 for an unused cell

    @cached_property
    def cells_used(self) -> int:
        """Cells that hold a weight, of one polarity."""
        return int((self.weights >= 0).sum())

    @property
    def has_unused(self) -> bool:
        """Whether a selected row and column cross at a cell without a weight."""
        return self.cells_used < self.weights.numel()


@dataclass(frozen=True)
class Placement:
    """Where every weight of one layer sits; accuracy, footprint and cost are computed from this one object."""

    tiles: tuple[PlacedTile, ...]
    inputs: int  #: inputs of a pass: input channels times kernel positions
    outputs: int  #: output channels
    kernel: tuple[int, ...]  #: kernel size; () for a linear layer

    def row_cuts(self) -> Iterator[tuple[PlacedTile, ...]]:
        """The tiles of each row cut, whose partial sums are converted separately and added digitally."""
        for cut in sorted({tile.cut for tile in self.tiles}):
            yield tuple(tile for tile in self.tiles if tile.cut == cut)

    @property
    def most_selected_rows(self) -> int:
        """The largest number of selected rows in any tile."""
        return max(len(tile.rows) for tile in self.tiles)


@lru_cache(maxsize=1024)
def place(shape: tuple[int, ...], groups: int, rows: int, cols: int) -> Placement:
    """Place a layer's weight in the dense layout on tiles of `rows` x `cols` cells.

    The matrix has a row per (c, ky, kx) and a column per output channel, block-diagonal for groups, and is cut every
    `rows` rows and `cols` columns.

    Args:
        shape: of the weight, (out, in/groups, *kernel).
    """
    outputs, kernel = shape[0], shape[2:]
    block_rows, block_columns = math.prod(shape[1:]), outputs // groups
    inputs = block_rows * groups
    tiles = []
    for group, left in enumerate(range(0, outputs, cols)):
        for cut, top in enumerate(range(0, inputs, rows)):
            row = torch.arange(top, min(top + rows, inputs))
            column = torch.arange(left, min(left + cols, outputs))
            used = (row // block_rows)[:, None] == (column // block_columns)[None, :]
            row, column, used = row[used.any(1)], column[used.any(0)], used[used.any(1)][:, used.any(0)]
            if used.numel():
                weights = torch.where(used, column * block_rows + (row % block_rows)[:, None], -1)
                tiles.append(PlacedTile(group, cut, row - top, column - left, row, column, weights))
    return Placement(tuple(tiles), inputs, outputs, kernel)


@dataclass(frozen=True)
class ProgrammedCut:
    """The conductances of one row cut, all its tiles side by side; 0 where a row is deselected for a column."""

    tiles: tuple[PlacedTile, ...]
    first_input: int  #: the arrays below start at this input of the pass, the first of its channel
    outputs: slice  #: the output channels that its columns add to
    g: Tensor  #: (polarity, columns, inputs) S, float64
    tile_of_column: Tensor  #: (columns,) index into tiles
    reference: Tensor | None  #: (tiles, inputs) S, the reference column of each tile; None for differential

    @property
    def subtracted(self) -> tuple[Tensor, Tensor]:
        """What conducts, and what is subtracted from it: the negative columns, or the tiles' references."""
        return self.g[0], self.g[1] if self.reference is None else self.reference


class Programmer:
    """Programs one layer's cells once: draws every static effect from its named stream."""

    def __init__(self, weight: Tensor, device: Device, mapping: Mapping, seed: int, name: str) -> None:
        self.device, self.mapping, self.seed, self.name = device, mapping, seed, name
        self.states = usable_states(device.states, mapping.scheme)
        targets, self.weight_per_siemens = target_conductances(weight, device, mapping)
        self.used = self._program(targets).flatten(1)

    def _program(self, target: Tensor, *tile: int) -> Tensor:
        """Program cells to `target`; `tile` names the stream of cells that hold no weight."""

        def draw(effect: str) -> Tensor:
            source = uniforms if effect in UNIFORM_EFFECTS else normals
            return source(tuple(target.shape), self.seed, self.name, effect, *tile)

        return self.device.program(target, draw, self.states)

    def cut(self, tiles: tuple[PlacedTile, ...], placement: Placement, rows: int, cols: int) -> ProgrammedCut:
        """Gather the conductances of one row cut of tiles with `rows` x `cols` cells."""
        positions = math.prod(placement.kernel)
        first = min(int(tile.inputs[0]) for tile in tiles) // positions * positions
        last = max(int(tile.inputs[-1]) for tile in tiles) // positions * positions + positions
        low, high = int(tiles[0].outputs[0]), int(tiles[-1].outputs[-1]) + 1
        g = torch.zeros(self.mapping.polarities, high - low, last - first, dtype=torch.float64)
        offset = self.mapping.scheme == "offset"
        reference = torch.zeros(len(tiles), last - first, dtype=torch.float64) if offset else None
        owner = torch.empty(high - low, dtype=torch.long)
        for i, tile in enumerate(tiles):
            cells = self.used[:, tile.weights.clamp(min=0)]
            if tile.has_unused or offset:
                others = self._other_cells(tile, rows, cols)
                cells = torch.where(tile.weights >= 0, cells, others[:, tile.rows][:, :, tile.columns])
                if offset:
                    reference[i, tile.inputs - first] = others[0, tile.rows, cols]
            columns = tile.outputs - low
            g[:, columns[:, None], tile.inputs - first] = cells.transpose(1, 2)
            owner[columns] = i
        return ProgrammedCut(tiles, first, slice(low, high), g, owner, reference)

    def _other_cells(self, tile: PlacedTile, rows: int, cols: int) -> Tensor:
        """Unused cells (polarity, rows, :cols) and the reference column [..., cols], S; 0 for unformed ones."""
        shape = (self.mapping.polarities, rows, cols + 1)
        if self.mapping.unused == "unformed":
            return torch.zeros(shape, dtype=torch.float64)
        target = torch.full(shape, zero_state(self.device, self.mapping.scheme), dtype=torch.float64)
        return self._program(target, tile.group, tile.cut)

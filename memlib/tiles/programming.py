"""One chip's cells: each layer's weights programmed into the tiles of its placement, with every static effect."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from memlib.base.progress_bar import progress
from memlib.base.random_streams import generator
from memlib.cells.static_effects import draw_effect, program_cells
from memlib.mapping.hardware import Hardware
from memlib.mapping.placement import Placement
from memlib.mapping.plan import LayerPlan
from memlib.mapping.scheme import target_conductances, usable_states, zero_state
from memlib.tiles.conductances import ProgrammedTiles
from memlib.wires.solver import estimated_seconds

#: Cells programmed at once. A multiple of 16: torch draws normals by 16, and parts of that length add up to the whole.
CHUNK = 2**20
BLOCK_CELLS = 2**20  #: cells of one block of tiles
PATIENCE = 10.0  #: wires that take longer than this, s, show how long still


class Programmer:
    """Programs one layer's cells once: draws every static effect from its named stream.

    Args:
        targets: (polarity, 1, *weight.shape) S, see `mapping.target_conductances`.
        name: of its streams.
    """

    def __init__(self, targets: Tensor, placement: Placement, hardware: Hardware, *name: int | str) -> None:
        self.placement, self.name = placement, name
        self.tile, self.device, self.mapping = hardware.tile, hardware.device, hardware.mapping
        self.states = usable_states(self.device.states, self.mapping.scheme)
        self.used = self._program_used(targets)

    def _program_used(self, targets: Tensor) -> Tensor:
        """Conductances of the cells that hold a weight: (polarity, copies * weights), or if all copies are alike one.

        Their draws are those of one array (polarity, copies, *weight.shape) for each effect, taken part by part.
        """
        targets = targets.flatten(1)
        polarities, weights = targets.shape
        copies = self.placement.window.copies
        if self.device == self.device.ideal():
            return targets
        generators: dict[str, torch.Generator] = {}
        g = torch.empty(polarities * copies * weights, dtype=torch.float64)
        for part in _parts(len(g)):
            number = torch.arange(part.start, part.stop)
            target = targets.flatten()[number // (copies * weights) * weights + number % weights]

            def draw(effect: str, target: Tensor = target) -> Tensor:
                if effect not in generators:
                    generators[effect] = generator(*self.name, effect)
                return draw_effect(effect, target.shape, generators[effect])

            g[part] = program_cells(self.device, target, draw, self.states)
        return g.view(polarities, -1)

    def blocks(self) -> Iterator[ProgrammedTiles]:
        """All tiles, in order, some at a time."""
        numbers, p = np.arange(len(self.placement)), self.placement
        rows, columns = int(p.selected_rows.max()), int(p.selected_columns.max())
        at_once = max(1, BLOCK_CELLS // (rows * columns))
        parts = [numbers[first : first + at_once] for first in range(0, len(numbers), at_once)]
        if self.tile.wired and len(p) * self.mapping.polarities * estimated_seconds(rows, columns) > PATIENCE:
            label = f"wires of {len(p)} tiles of layer {self.name[1]!r}"
            return map(self.block, progress(parts, label=label, unit="blocks"))
        return map(self.block, parts)

    def row_cuts(self) -> Iterator[ProgrammedTiles]:
        """The tiles of each row cut, whose partial sums are converted separately and added digitally."""
        for cut in np.unique(self.placement.cuts):
            yield self.block(np.flatnonzero(self.placement.cuts == cut))

    def block(self, tiles: np.ndarray) -> ProgrammedTiles:
        """Gather the conductances of some tiles."""
        p = self.placement
        inputs, row_of = _padded(p.inputs, p.row_ends, tiles, p.window.inputs)
        outputs, column_of = _padded(p.outputs, p.column_ends, tiles, p.window.outputs)
        weights = torch.from_numpy(p.weights(inputs, outputs))
        has_input, has_output = torch.from_numpy(inputs < p.window.inputs), torch.from_numpy(outputs < p.window.outputs)
        exists = has_input[:, :, None] & has_output[:, None, :]
        g = self.used[:, weights.clamp(min=0) % self.used.shape[1]]
        rows, columns = _positions(p.rows, row_of), _positions(p.columns, column_of)
        unused = exists & (weights < 0)
        g = torch.where(exists & ~unused, g, 0.0)
        if self.mapping.unused == "hrs" and unused.any():
            g[:, unused] = self._other_cells(tiles, rows, columns, unused)
        columns = columns.cummax(1).values
        if offset := self.mapping.scheme == "offset":
            at_end = torch.full((len(tiles), 1), self.tile.cols)
            selected = has_input[:, :, None]
            reference = torch.zeros(1, *selected.shape, dtype=torch.float64)
            reference[:, selected] = self._other_cells(tiles, rows, at_end, selected)
            g, columns = torch.cat((g, reference), -1), torch.cat((columns, at_end), 1)
        rows = torch.where(has_input, rows, self.tile.rows)
        numbers = np.stack((p.groups[tiles], p.cuts[tiles]), 1)
        lines = torch.from_numpy(inputs), torch.from_numpy(outputs), rows, columns
        return ProgrammedTiles(self.device, self.tile, offset, numbers, *lines, g.mT.contiguous())

    def _other_cells(self, tiles: np.ndarray, rows: Tensor, columns: Tensor, chosen: Tensor) -> Tensor:
        """Conductances (polarity, cells) of the chosen cells, which hold no weight: unused or reference ones.

        The cells are those where rows (tiles, n) cross columns (tiles, m), given by positions, and `chosen` is true.
        """
        shape = (self.mapping.polarities, self.tile.rows, self.tile.cols + 1)
        lines = zip(rows, columns, chosen, strict=True)
        places = [(row[:, None] * (self.tile.cols + 1) + column)[mask] for row, column, mask in lines]

        def draw(effect: str) -> Tensor:  # of each tile's own streams
            numbers = [(int(self.placement.groups[t]), int(self.placement.cuts[t])) for t in tiles]
            sources = (generator(*self.name, effect, *at) for at in numbers)
            parts = zip(sources, places, strict=True)
            return torch.cat([draw_effect(effect, shape, source).flatten(1)[:, place] for source, place in parts], 1)

        zero = zero_state(self.device, self.mapping.scheme)
        target = torch.full((self.mapping.polarities, int(chosen.sum())), zero, dtype=torch.float64)
        return program_cells(self.device, target, draw, self.states)


def program_slices(layer: LayerPlan, seed: int = 0) -> list[Programmer]:
    """The cells of a layer on one chip, a `Programmer` for each slice of its weights (one, if they are not sliced).

    Device seed and layer name the streams; those of a later slice have its number too.
    """
    h, weight = layer.hardware, layer.module.weight.detach()
    targets, _ = target_conductances(weight.cpu().double(), h.device, h.mapping)
    common = layer.placement, h, seed, layer.name
    return [Programmer(part, *common, *(("slice", s) if s else ())) for s, part in enumerate(targets)]


def _parts(length: int) -> Iterator[slice]:
    """Parts of `CHUNK` cells; the last has as many more as are left, since torch draws fewer than 16 another way."""
    ends = [*range(CHUNK, length - 16, CHUNK), length]
    return (slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True))


def _positions(lines: np.ndarray, where: np.ndarray) -> Tensor:
    """Positions in the tile of the lines at some entries of a list; 0 at its end, which stands for no line."""
    return torch.from_numpy(np.append(lines, 0)[where]).long()


def _padded(values: np.ndarray, ends: np.ndarray, tiles: np.ndarray, filler: int) -> tuple[np.ndarray, np.ndarray]:
    """The tiles' parts of a list as rows of one array, and where in the list each entry stands (its end for none)."""
    starts, stops = np.where(tiles > 0, ends[tiles - 1], 0), ends[tiles]
    where = starts[:, None] + np.arange(max(stops - starts))
    where = np.where(where < stops[:, None], where, len(values))
    return np.append(values, filler).astype(np.int64)[where], where

"""One chip's cells: each layer's weights programmed into the tiles of its placement, with every static effect."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from memlib.device import Device
from memlib.mapping import Mapping, target_conductances, usable_states, zero_state
from memlib.placement import Placement
from memlib.streams import generator, normals, uniforms
from memlib.tile import Tile

UNIFORM_EFFECTS = ("stuck_on", "stuck_off", "unformed")
#: Cells programmed at once. A multiple of 16: torch draws normals by 16, and parts of that length add up to the whole.
CHUNK = 2**20
#: Cells of one block of tiles.
BLOCK_CELLS = 2**20


@dataclass(frozen=True)
class ProgrammedTiles:
    """The conductances of some tiles, selected lines only; those with fewer end in zeros and lines that are none."""

    tiles: np.ndarray  #: (tiles,) their numbers in the placement
    inputs: Tensor  #: (tiles, n) which input of a pass drives a row; the number of inputs for a row that is none
    outputs: Tensor  #: (tiles, m) which output a column adds to; the number of outputs for a column that is none
    g: Tensor  #: (polarity, tiles, m, n) S, float64
    reference: Tensor | None  #: (tiles, n) S, the reference column of each tile; None for differential

    def currents(self, converter: str) -> Tensor:
        """Conductances (tiles, conversions, n), S, whose product with the voltages is what the converters see.

        One conversion per pair; or, for the converter "column", all columns, and then their negative ones or the
        reference.
        """
        first, second = self._subtracted
        return torch.cat((first, second), 1) if converter == "column" else first - second

    def noise_variances(self, converter: str, device: Device) -> Tensor:
        """Conductance variances (tiles, normals, n), S^2, at a read; a pair has one normal, a reference its own."""
        first, second = (device.noise_variance(part) for part in self._subtracted)
        shared = converter == "pair" and self.reference is None
        return first + second if shared else torch.cat((first, second), 1)

    @property
    def _subtracted(self) -> tuple[Tensor, Tensor]:
        """What conducts, and what is subtracted from it: the negative columns, or the tiles' references."""
        return self.g[0], self.g[1] if self.reference is None else self.reference[:, None]

    def load(self) -> Tensor:
        """(tiles, n) S: all that a row drives, used, unused and reference cells of both polarities."""
        load = self.g.sum((0, 2))
        return load if self.reference is None else load + self.reference


class Programmer:
    """Programs one layer's cells once: draws every static effect from its named stream."""

    def __init__(
        self, weight: Tensor, placement: Placement, tile: Tile, device: Device, mapping: Mapping, *name: int | str
    ) -> None:
        self.placement, self.device, self.mapping, self.name = placement, device, mapping, name
        self.rows, self.cols = tile.rows, tile.cols
        self.states = usable_states(device.states, mapping.scheme)
        targets, self.weight_per_siemens = target_conductances(weight, device, mapping)
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
                sample = torch.rand if effect in UNIFORM_EFFECTS else torch.randn
                return sample(target.shape, generator=generators[effect])

            g[part] = self.device.program(target, draw, self.states)
        return g.view(polarities, -1)

    def blocks(self) -> Iterator[ProgrammedTiles]:
        """All tiles, in order, some at a time."""
        numbers, p = np.arange(len(self.placement)), self.placement
        at_once = max(1, BLOCK_CELLS // int(p.selected_rows.max() * p.selected_columns.max()))
        return (self.block(numbers[first : first + at_once]) for first in range(0, len(numbers), at_once))

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
        exists = torch.from_numpy((inputs < p.window.inputs)[:, :, None] & (outputs < p.window.outputs)[:, None, :])
        g = self.used[:, weights.clamp(min=0) % self.used.shape[1]]
        rows, columns = (np.append(part, 0) for part in (p.rows, p.columns))  # the last stands for a line that is none
        rows, columns = torch.from_numpy(rows[row_of]).long(), torch.from_numpy(columns[column_of]).long()
        unused = exists & (weights < 0)
        g = torch.where(exists & ~unused, g, 0.0)
        reference = None
        if self.mapping.scheme == "offset":
            at_end = torch.full((len(tiles), 1), self.cols)
            selected = torch.from_numpy(inputs < p.window.inputs)
            reference = torch.zeros(selected.shape, dtype=torch.float64)
            reference[selected] = self._other_cells(tiles, rows, at_end, selected[:, :, None])[0]
        if self.mapping.unused == "hrs" and unused.any():
            g[:, unused] = self._other_cells(tiles, rows, columns, unused)
        return ProgrammedTiles(tiles, torch.from_numpy(inputs), torch.from_numpy(outputs), g.mT.contiguous(), reference)

    def _other_cells(self, tiles: np.ndarray, rows: Tensor, columns: Tensor, chosen: Tensor) -> Tensor:
        """Conductances (polarity, cells) of the chosen cells, which hold no weight: unused or reference ones.

        Args:
            rows: (tiles, n) positions; columns: (tiles, m) positions; chosen: (tiles, n, m) which of their crossings.
        """
        shape = (self.mapping.polarities, self.rows, self.cols + 1)
        places = [
            (row[:, None] * (self.cols + 1) + column)[mask]
            for row, column, mask in zip(rows, columns, chosen, strict=True)
        ]

        def draw(effect: str) -> Tensor:
            source = uniforms if effect in UNIFORM_EFFECTS else normals
            numbers = [(int(self.placement.groups[t]), int(self.placement.cuts[t])) for t in tiles]
            parts = zip(numbers, places, strict=True)
            return torch.cat([source(shape, *self.name, effect, *at).flatten(1)[:, place] for at, place in parts], 1)

        zero = zero_state(self.device, self.mapping.scheme)
        target = torch.full((self.mapping.polarities, int(chosen.sum())), zero, dtype=torch.float64)
        return self.device.program(target, draw, self.states)


def _parts(length: int) -> Iterator[slice]:
    """Parts of `CHUNK` cells; the last has as many more as are left, since torch draws fewer than 16 another way."""
    ends = [*range(CHUNK, length - 16, CHUNK), length]
    return (slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True))


def _padded(values: np.ndarray, ends: np.ndarray, tiles: np.ndarray, filler: int) -> tuple[np.ndarray, np.ndarray]:
    """The tiles' parts of a list as rows of one array, and where in the list each entry stands (its end for none)."""
    starts, stops = np.where(tiles > 0, ends[tiles - 1], 0), ends[tiles]
    where = starts[:, None] + np.arange(max(stops - starts))
    where = np.where(where < stops[:, None], where, len(values))
    return np.append(values, filler).astype(np.int64)[where], where

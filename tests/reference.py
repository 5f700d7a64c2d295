"""The slow reference simulator: one layer on tiles, cell by cell, written from sections 3 and 4 of the design alone.

It is the definition when a fast path is in doubt, so it shares nothing with one but the named random streams and the
configurations, which are read as plain containers of fields. Every layout and order; states, program error,
device-to-device variation, faults and read noise. Siemens, volt, ampere; float64. Slow by intention: for layers of a
few thousand cells.

Names: a row of the layer's matrix is (input channel, *offset from the window's origin in the padded map); a column is
(output channel, *position in the window); a pass is the window's number in each dimension. A linear layer has no
dimensions: its rows are (input,), its columns (output,), its window, its map and its only pass ().
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.stats import norm

from memlib.device import Device
from memlib.mapping import Mapping
from memlib.streams import normals, uniforms
from memlib.tile import Tile

NORMAL_EFFECTS = ("program_error", "d2d_on", "d2d_off")
UNIFORM_EFFECTS = ("stuck_on", "stuck_off", "unformed")
PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
POSITIVE = 0  # polarity; 1 is negative; the cells of the offset scheme are all positive

Index = tuple[int, ...]


@dataclass
class AllocatedTile:
    """What conducts in one tile: its selected rows and columns, with their positions in the tile, and their cells."""

    column_group: int
    row_cut: int
    rows: dict[Index, int]
    columns: dict[Index, int]
    cells: list[list[list[float]]] = field(default_factory=list)  #: [polarity][selected column][selected row]
    reference: list[float] = field(default_factory=list)  #: [selected row]; empty for differential


@dataclass
class ReferenceLayer:
    """One layer on tiles, simulated cell by cell."""

    weight: np.ndarray  #: (out, in) for linear, (c_out, c_in/groups, *kernel) for conv
    bias: np.ndarray | None
    device: Device
    tile: Tile
    mapping: Mapping
    name: str
    seed: int
    groups: int = 1
    input_size: tuple[int, ...] = ()  #: of the unpadded map; () for linear
    stride: tuple[int, ...] = ()
    padding: list[tuple[int, int]] = field(default_factory=list)  #: (before, after) of each spatial dimension
    dilation: tuple[int, ...] = ()
    padding_mode: str = "zeros"
    x_max: float = 1.0  #: of the layer's input, from calibration
    signed: bool = False  #: whether the layer's input is, from calibration
    adc_range: float | None = None  #: ampere; see set_range

    def __post_init__(self) -> None:
        self.weight = np.asarray(self.weight, dtype=np.float64)
        self.differential = self.mapping.scheme == "differential"
        self.per_column = self.tile.converter == "column"
        self.polarities = 2 if self.differential else 1
        self.c_out, self.c_in_group, *self.kernel = self.weight.shape
        self.x_max = self.x_max or 1.0
        self.c_in = self.c_in_group * self.groups
        self.sparse = self.mapping.layout == "sparse" and self.kernel != []
        self.out = self._out_shape()
        self.window = self._window()
        self.passes = tuple(math.ceil(size / w) for size, w in zip(self.out, self.window, strict=True))
        self.copies = {position: copy for copy, position in enumerate(np.ndindex(*self.window))}
        self.g_on, self.g_off = 1 / self.device.r_on, 1 / self.device.r_off
        self.g_mid = (self.g_on + self.g_off) / 2
        self.g_zero = self.g_off if self.differential else self.g_mid
        self.w_max = self._largest_weights()
        self.placement = self._place_tiles()
        self.chip = self._program_tiles(ideal=False)

    # Range and forward

    def set_range(self, calibration_x: np.ndarray) -> None:
        """Set the converters' range, in ampere, from the inputs that the layer has in the float network."""
        full = self._full_range()
        if self.tile.adc_range == "full":
            self.adc_range = full
            return
        tiles = self.chip if self.tile.adc_calibration == "chip" else self._program_tiles(ideal=True)
        volts = self._input_voltages(calibration_x)
        magnitudes = []
        for n, index, tile in itertools.product(range(len(volts)), np.ndindex(*self.passes), tiles):
            currents = self._converter_currents(tile, self._row_voltages(tile, volts[n], index), [])
            converted = zip(currents, self._is_converted(tile, index), strict=True)
            magnitudes += [abs(current) for current, is_converted in converted if is_converted]
        self.adc_range = float(np.quantile(magnitudes or [0.0], self.tile.adc_quantile)) or full

    def forward(self, x: np.ndarray, noise: torch.Generator | None = None) -> np.ndarray:
        """Outputs (N, c_out, *out), or (N, out) for linear; without a generator there is no read noise."""
        volts = self._input_voltages(x)
        y = np.zeros((len(volts), self.c_out, *self.out))
        z_tiles = self._draw_read_noise(len(volts), noise)
        for n, index in itertools.product(range(len(volts)), np.ndindex(*self.passes)):
            for tile, z_tile in zip(self.chip, z_tiles, strict=True):
                z = [z_conversion[(n, *index)] for z_conversion in z_tile]
                currents = self._converter_currents(tile, self._row_voltages(tile, volts[n], index), z)
                for column, current in zip(tile.columns, self._pair_results(tile, currents), strict=True):
                    output = self._output(column, index)
                    if output is not None:
                        y[(n, *output)] += current * self._digital_scale(column[0])
        if self.bias is not None:
            y += np.asarray(self.bias, dtype=np.float64).reshape(-1, *[1] * len(self.out))
        return y

    # Energy and counts

    def array_energy(self, x: np.ndarray, t_read: float) -> float:
        """What all cells, references and surplus columns too, take for all images, in joule; without read noise."""
        volts = self._input_voltages(x)
        power = 0.0
        for n, index, tile in itertools.product(range(len(volts)), np.ndindex(*self.passes), self.chip):
            row_volts = self._row_voltages(tile, volts[n], index)
            for cells in filter(None, [*itertools.chain(*tile.cells), tile.reference]):
                power += sum(v**2 * g for v, g in zip(row_volts, cells, strict=True))
        return power * t_read

    def conversions(self) -> int:
        """Conversions for one image; those of surplus outputs do not take place."""
        return sum(sum(self._is_converted(tile, i)) for i in np.ndindex(*self.passes) for tile in self.placement)

    def tiles(self) -> int:
        """Physical tiles: two for each differential pair."""
        return self.polarities * len(self.placement)

    def cells_allocated(self) -> int:
        """All cells of all physical tiles, references too."""
        return self.tiles() * self.tile.rows * (self.tile.cols + (not self.differential))

    def cells_used(self) -> int:
        """Cells that hold a weight, of both polarities."""
        pairs = (pair for tile in self.placement for pair in itertools.product(tile.rows, tile.columns))
        return self.polarities * sum(self._weight_index(*pair) is not None for pair in pairs)

    # Geometry

    def _out_shape(self) -> Index:
        """The size of the output map."""
        padded = [size + sum(pads) for size, pads in zip(self.input_size, self.padding, strict=True)]
        dimensions = zip(padded, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((size - dilation * (k - 1) - 1) // stride + 1 for size, k, stride, dilation in dimensions)

    def _window(self) -> Index:
        """The output window that one pass computes, clipped to the map; 1-D uses w of (h, w), 3-D has depth 1."""
        if self.sparse:
            return self.out
        h, w = (1, 1) if isinstance(self.mapping.layout, str) else self.mapping.layout
        return tuple(min(sizes) for sizes in zip((1, h, w)[3 - len(self.out) :], self.out, strict=True))

    def _output(self, column: Index, index: Index) -> Index | None:
        """The output (channel, *position) that a column computes in a pass; None for a surplus one, beyond the map."""
        channel, *inside = column
        position = [i * w + p for i, w, p in zip(index, self.window, inside, strict=True)]
        return (channel, *position) if all(p < size for p, size in zip(position, self.out, strict=True)) else None

    def _input(self, row: Index, index: Index) -> Index | None:
        """The input (channel, *position in the padded map) that drives a row in a pass; None if it is always 0."""
        channel, *offset = row
        steps = zip(index, self.window, self.stride, offset, strict=True)
        position = [i * w * stride + o for i, w, stride, o in steps]
        return (channel, *position) if all(self._is_input(*place) for place in enumerate(position)) else None

    def _is_input(self, dimension: int, position: int) -> bool:
        """Whether a position in one dimension of the padded map, or beyond it, can be other than 0."""
        size, (before, after) = self.input_size[dimension], self.padding[dimension]
        if self.padding_mode == "zeros":
            return before <= position < before + size
        return position < before + size + after

    def _positions_read(self, outputs: list[range]) -> list[list[int]]:
        """In each dimension, the positions from the origin that a range of outputs reads."""
        steps = zip(outputs, self.kernel, self.stride, self.dilation, strict=True)
        return [
            sorted({p * stride + tap * dilation for p in span for tap in range(k)})
            for span, k, stride, dilation in steps
        ]

    # The matrix and its tiles

    def _place_tiles(self) -> list[AllocatedTile]:
        """All tiles with a used cell, by column group and then row cut, still without conductances."""
        tiles = []
        for group, (rows, columns) in enumerate(self._column_groups()):
            for cut, first in enumerate(range(0, len(rows), self.tile.rows)):
                cut_rows = rows[first : first + self.tile.rows]
                used = {(i, j) for i in cut_rows for j in columns if self._weight_index(i, j) is not None}
                used_rows, used_columns = {i for i, _ in used}, {j for _, j in used}
                selected_rows = {i: at for at, i in enumerate(cut_rows) if i in used_rows}
                selected_columns = {j: at for at, j in enumerate(columns) if j in used_columns}
                if used:
                    tiles.append(AllocatedTile(group, cut, selected_rows, selected_columns))
        return tiles

    def _column_groups(self) -> Iterator[tuple[list[Index], list[Index]]]:
        """The rows, still uncut, and the columns of each column group."""
        if self.sparse and self.mapping.order == "packed":
            for block in self._blocks(self._best_block()):
                yield list(itertools.product(*self._inputs_needed(block))), list(itertools.product(*block))
            return
        positions = self._positions_read([range(w) for w in self.window])
        rows = self._in_order(itertools.product(range(self.c_in), *positions))
        rows = [row for row in rows if any(self._input(row, index) is not None for index in np.ndindex(*self.passes))]
        columns = self._in_order(np.ndindex(self.c_out, *self.window))
        for first in range(0, len(columns), self.tile.cols):
            yield rows, columns[first : first + self.tile.cols]

    def _in_order(self, names: Iterator[Index]) -> list[Index]:
        """Rows or columns by channel and then position, or in hwc order by position and then channel."""
        return sorted(names, key=lambda name: (*name[1:], name[0]) if self.mapping.order == "hwc" else name)

    def _blocks(self, shape: Index) -> Iterator[list[range]]:
        """The outputs in blocks of (channels, *positions), in raster order, clipped at the edges."""
        sizes = (self.c_out, *self.out)
        for start in itertools.product(*(range(0, size, step) for size, step in zip(sizes, shape, strict=True))):
            bounds = zip(start, shape, sizes, strict=True)
            yield [range(first, min(first + step, size)) for first, step, size in bounds]

    def _inputs_needed(self, block: list[range]) -> list[list[int]]:
        """The input channels and, in each dimension, the positions that a block of outputs needs."""
        channels, *outputs = block
        groups = {channel // (self.c_out // self.groups) for channel in channels}
        c_in = [channel for channel in range(self.c_in) if channel // self.c_in_group in groups]
        read = enumerate(self._positions_read(outputs))
        return [c_in, *([place for place in places if self._is_input(dimension, place)] for dimension, places in read)]

    def _best_block(self) -> Index:
        """The block (channels, [1,] [h,] w) with the fewest tiles; ties: fewest rows, then smallest h, w, channels."""
        height, width = (1, *self.out)[-2:]
        candidates = []
        for h, w, c in itertools.product(range(1, height + 1), range(1, width + 1), range(1, self.c_out + 1)):
            if h * w * c > self.tile.cols:
                continue
            shape = (c, *(1, h, w)[3 - len(self.out) :])
            rows = [math.prod(map(len, self._inputs_needed(block))) for block in self._blocks(shape)]
            tiles = sum(math.ceil(count / self.tile.rows) for count in rows)
            candidates.append((tiles, sum(rows), h, w, c, shape))
        return min(candidates)[-1]

    # Weights to cells

    def _largest_weights(self) -> list[float]:
        """w_max of each output channel; the same for all with w_max="layer"."""
        if self.mapping.w_max == "column":
            largest = [float(abs(self.weight[channel]).max()) for channel in range(self.c_out)]
        else:
            largest = [float(abs(self.weight).max())] * self.c_out
        return [value or 1.0 for value in largest]

    def _weight_index(self, row: Index, column: Index) -> Index | None:
        """Where in `weight` the matrix element stands; None where no weight is: a structural zero."""
        (c_in, *offset), (c_out, *inside) = row, column
        if c_in // self.c_in_group != c_out // (self.c_out // self.groups):
            return None
        taps = []
        for o, p, k, stride, dilation in zip(offset, inside, self.kernel, self.stride, self.dilation, strict=True):
            tap, rest = divmod(o - p * stride, dilation)
            if rest or not 0 <= tap < k:
                return None
            taps.append(tap)
        return (c_out, c_in % self.c_in_group, *taps)

    def _target(self, w: float, channel: int, polarity: int) -> float:
        """The conductance wanted for a weight of an output channel."""
        k = (self.g_on - self.g_off) / self.w_max[channel]
        if not self.differential:
            return self.g_mid + k / 2 * w
        return self.g_off + k * max(w if polarity == POSITIVE else -w, 0.0)

    def _program_tiles(self, ideal: bool) -> list[AllocatedTile]:
        """The tiles with their conductances; `ideal`: without any static effect."""
        used = {} if ideal else self._draw_cells((self.polarities, len(self.copies), *self.weight.shape))
        shape = (self.polarities, self.tile.rows, self.tile.cols + 1)
        tiles = []
        for tile in self.placement:
            unused = {} if ideal else self._draw_cells(shape, tile.column_group, tile.row_cut)
            new = replace(tile, cells=[], reference=[])
            for p in range(self.polarities):
                new.cells.append([[self._cell(p, i, j, tile, used, unused) for i in tile.rows] for j in tile.columns])
            if not self.differential:
                places = [(POSITIVE, at, self.tile.cols) for at in tile.rows.values()]
                new.reference.extend(self._program(self.g_zero, unused, place) for place in places)
            tiles.append(new)
        return tiles

    def _cell(self, polarity: int, row: Index, column: Index, tile: AllocatedTile, used: dict, unused: dict) -> float:
        """The conductance of one cell in a selected row and column."""
        index = self._weight_index(row, column)
        if index is not None:
            target = self._target(float(self.weight[index]), column[0], polarity)
            return self._program(target, used, (polarity, self.copies[column[1:]], *index))
        if self.mapping.unused == "unformed":
            return 0.0
        return self._program(self.g_zero, unused, (polarity, tile.rows[row], tile.columns[column]))

    # Static effects

    def _draw_cells(self, shape: tuple[int, ...], *numbers: int) -> dict[str, np.ndarray]:
        """Each effect's random numbers for an array of cells, float32; `numbers` names the tile of unused cells."""
        draws = {effect: normals(shape, self.seed, self.name, effect, *numbers) for effect in NORMAL_EFFECTS}
        draws |= {effect: uniforms(shape, self.seed, self.name, effect, *numbers) for effect in UNIFORM_EFFECTS}
        return {effect: draw.numpy() for effect, draw in draws.items()}

    def _program(self, target: float, draws: dict[str, np.ndarray], at: tuple[int, ...]) -> float:
        """The conductance that a cell has after all static effects; without draws, the target itself."""
        if not draws:
            return target
        d = self.device
        g = self._nearest_state(target)
        if d.program_error:
            scale = self.g_on - self.g_off if d.program_error_to == "range" else g
            g = max(g + d.program_error * scale * float(draws["program_error"][at]), 0.0)
        own_on, own_off = self.g_on, self.g_off
        if d.d2d_on or d.d2d_off:
            r_on = self._own_resistance(d.r_on, d.d2d_on, float(draws["d2d_on"][at]))
            r_off = max(self._own_resistance(d.r_off, d.d2d_off, float(draws["d2d_off"][at])), r_on)
            own_on, own_off = 1 / r_on, 1 / r_off
            relative = (g - self.g_off) / (self.g_on - self.g_off)
            g = max(own_off + relative * (own_on - own_off), 0.0)
        for effect, value in (("stuck_on", own_on), ("stuck_off", own_off), ("unformed", 0.0)):
            if draws[effect][at] < np.float32(getattr(d, effect)):
                g = value
        return g

    def _nearest_state(self, target: float) -> float:
        """The nearest level, numbered from g_off; half-way goes to the even number."""
        states = self.device.states
        if states is None:
            return target
        if not self.differential and states % 2 == 0:
            states -= 1
        if states == 1:
            return self.g_mid
        step = (self.g_on - self.g_off) / (states - 1)
        return self.g_off + step * round((target - self.g_off) / step)

    def _own_resistance(self, nominal: float, sigma: float, z: float) -> float:
        """A cell's own r_on or r_off."""
        if not sigma:
            return nominal
        if self.device.d2d_distribution == "lognormal":
            return nominal * math.exp(math.sqrt(math.log(1 + sigma**2)) * z)
        low, high = norm.cdf((0.3 - 1) / sigma), norm.cdf((3 - 1) / sigma)
        return nominal * (1 + sigma * float(norm.ppf(low + norm.cdf(z) * (high - low))))

    # Input

    def _input_voltages(self, x: np.ndarray) -> np.ndarray:
        """The padded map in volt: (N, C, *spatial)."""
        if x.shape[1:] != (self.c_in, *self.input_size):
            raise ValueError(f"x is {x.shape[1:]}, not {(self.c_in, *self.input_size)}")
        volts = np.asarray(x, dtype=np.float64).copy()
        for index in np.ndindex(*volts.shape):
            volts[index] = self._dac(float(volts[index]))
        before_after = [(0, 0), (0, 0), *self.padding]
        if self.padding_mode == "zeros":
            return np.pad(volts, before_after)
        return np.pad(volts, before_after, mode=PAD_MODES[self.padding_mode])

    def _dac(self, x: float) -> float:
        if self.tile.dac_bits is None:
            return self.tile.v_read * x / self.x_max
        return self.tile.v_read * quantise(x / self.x_max, self.tile.dac_bits, self.signed)

    def _row_voltages(self, tile: AllocatedTile, volts: np.ndarray, index: Index) -> list[float]:
        """The voltage of every selected row of a tile in a pass, from one image's padded map."""
        inputs = [self._input(row, index) for row in tile.rows]
        return [0.0 if place is None else float(volts[place]) for place in inputs]

    # Read and output

    def _draw_read_noise(self, n: int, noise: torch.Generator | None) -> list:
        """For each tile, normals (N, *passes) of each of its reads, in the order of _converter_currents.

        Drawn for a row cut at once where each kernel is stored once, else tile by tile.
        """
        if noise is None or not self.device.read_noise:
            return [[]] * len(self.chip)
        polarities = self.polarities if self.per_column else 1
        references = 0 if self.differential else 1
        if self.sparse or any(w > 1 for w in self.window):
            counts = [polarities * len(tile.columns) + references for tile in self.chip]
            draws = [torch.randn((count, n, *self.passes), generator=noise) for count in counts]
            return [z.double().numpy() for z in draws]
        reads: list[list[np.ndarray]] = [[] for _ in self.chip]
        for row_cut in sorted({tile.row_cut for tile in self.chip}):
            tiles = [(t, tile) for t, tile in enumerate(self.chip) if tile.row_cut == row_cut]
            counts = [(t, len(tile.columns)) for t, tile in tiles] * polarities + [(t, references) for t, _ in tiles]
            draw = torch.randn((n, *self.passes, sum(count for _, count in counts)), generator=noise)
            z = iter(draw.double().movedim(-1, 0).numpy())
            for t, count in counts:
                reads[t] += itertools.islice(z, count)
        return reads

    def _is_converted(self, tile: AllocatedTile, index: Index) -> list[bool]:
        """For each of _converter_currents, whether a pass converts it: not those of surplus columns."""
        in_map = [self._output(column, index) is not None for column in tile.columns]
        if not self.per_column:
            return in_map
        return in_map * 2 if self.differential else [*in_map, True]

    def _converter_currents(self, tile: AllocatedTile, volts: list[float], z: list) -> list[float]:
        """Currents that the tile's converters see in one pass, before surplus ones are left out.

        One per pair; or with one converter per column all positive columns, then all negative ones (differential), or
        all columns, then the reference (offset). `z`: the normals of these reads, with the reference's at the end for
        both kinds of converter; empty: no read noise.
        """
        z = z or [0.0] * (self.polarities * len(tile.columns) + 1)
        reads = [[self._read(cells, volts) for cells in columns] for columns in tile.cells]
        if self.differential and not self.per_column:
            pairs = enumerate(zip(*reads, strict=True))
            return [pos - neg + z[j] * math.sqrt(pos_var + neg_var) for j, ((pos, pos_var), (neg, neg_var)) in pairs]
        columns = [read for polarity in reads for read in polarity]
        currents = [current + z[j] * math.sqrt(variance) for j, (current, variance) in enumerate(columns)]
        if self.differential:
            return currents
        reference, reference_variance = self._read(tile.reference, volts)
        reference += z[-1] * math.sqrt(reference_variance)
        if self.per_column:
            return [*currents, reference]
        return [current - reference for current in currents]

    def _read(self, cells: list[float], volts: list[float]) -> tuple[float, float]:
        """The current of one column and the variance of its read noise."""
        current = variance = 0.0
        for g, v in zip(cells, volts, strict=True):
            scale = g
            if self.device.read_noise_to == "range":
                scale = self.g_on - self.g_off if g > 0 else 0.0
            current += v * g
            variance += (v * self.device.read_noise * scale) ** 2
        return current, variance

    def _pair_results(self, tile: AllocatedTile, currents: list[float]) -> list[float]:
        """What the digital side takes for the current of each pair of columns, in ampere."""
        converted = [self._adc(current) for current in currents]
        if not self.per_column:
            return converted
        count = len(tile.columns)
        if self.differential:
            return [converted[j] - converted[count + j] for j in range(count)]
        return [converted[j] - converted[count] for j in range(count)]

    def _adc(self, current: float) -> float:
        if self.tile.adc_bits is None:
            return current
        signed = self.signed if self.per_column else True
        return self.adc_range * quantise(current / self.adc_range, self.tile.adc_bits, signed)

    def _full_range(self) -> float:
        s = self.g_on if self.per_column else (self.g_on - self.g_off) / (1 if self.differential else 2)
        return self.tile.v_read * max((len(tile.rows) for tile in self.placement), default=0) * s

    def _digital_scale(self, channel: int) -> float:
        """Output per ampere of a column pair."""
        k = (self.g_on - self.g_off) / self.w_max[channel]
        return self.x_max / (self.tile.v_read * k) * (1 if self.differential else 2)


def quantise(relative: float, bits: int, signed: bool) -> float:
    """A converter: the value relative to full scale, rounded to the nearest code (half to even) and clipped."""
    largest = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    code = min(max(round(relative * largest), -largest if signed else 0), largest)
    return code / largest

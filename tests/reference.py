"""The slow reference simulator: one layer on tiles, cell by cell, written from sections 3 to 5 of the design alone.

It is the definition when a fast path is in doubt, so it shares nothing with one but the named random streams and the
configurations, which are read as plain containers of fields. Every layout and order; every static effect, I-V law and
read noise; transistors and wires; converter errors, bit-serial inputs and slices. Siemens, volt, ampere; float64. Slow
by intention: for layers of a few thousand cells, with wires a few hundred to a tile.

Names: a row of the layer's matrix is (input channel, *offset from the window's origin in the padded map); a column is
(output channel, *position in the window); a pass is the window's number in each dimension. A linear layer has no
dimensions: its rows are (input,), its columns (output,), its window, its map and its only pass ().
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import nodal_oracle
import numpy as np
import torch
from scipy.integrate import quad

from memlib.base.random_streams import normals, uniforms
from memlib.cells.device import Device
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile

NORMAL_EFFECTS = ("program_error", "d2d_on", "d2d_off", "retention_nu", "retention_spread", "recombination_energy")
UNIFORM_EFFECTS = ("stuck_on", "stuck_off", "unformed", "recombination_tail")
PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
POSITIVE = 0  # polarity; 1 is negative; the cells of the offset scheme are all positive
BOLTZMANN = 8.617333262e-5  # eV/K

Index = tuple[int, ...]


@dataclass(slots=True)
class Cell:
    """A cell in its tile, or the crossing that it stands in."""

    g: float  #: of cell and transistor, S
    v0: float | None  #: of its I-V law, V
    read: float  #: current at the end of its column per volt at its row's driver, S; without wires g
    noise: float  #: the deviation of `read` per unit of read_noise, S


@dataclass
class AllocatedTile:
    """What conducts in one tile: its selected rows and columns, with their positions in the tile, and their cells."""

    column_group: int
    row_cut: int
    rows: dict[Index, int]
    columns: dict[Index, int]
    #: [polarity][selected column][selected row]; the last column of the offset scheme is the reference
    cells: list[list[list[Cell]]] = field(default_factory=list)
    admittance: list[np.ndarray] = field(default_factory=list)  #: [polarity], of the selected rows; empty without wires
    adc_errors: dict[str, np.ndarray] = field(default_factory=dict)  #: standard normals [polarity, column position]


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
        self.chip = [self._program_tiles(slice_, ideal=False) for slice_ in range(self.mapping.slices)]

    # Range and forward

    def set_range(self, calibration_x: np.ndarray) -> None:
        """Set the converters' range, in ampere, from the inputs that the layer has in the float network."""
        full = self._full_range()
        if self.tile.adc_range == "full":
            self.adc_range = full
            return
        chip = self.chip
        if self.tile.adc_calibration == "design":
            chip = [self._program_tiles(slice_, ideal=True) for slice_ in range(self.mapping.slices)]
        images = [image for _, volts in self._drives(calibration_x) for image in volts]
        magnitudes = []
        for image, index, tile in itertools.product(images, np.ndindex(*self.passes), itertools.chain(*chip)):
            currents = self._converter_currents(tile, self._row_voltages(tile, image, index), [])
            converted = zip(currents, self._is_converted(tile, index), strict=True)
            magnitudes += [abs(current) for current, is_converted in converted if is_converted]
        self.adc_range = float(np.quantile(magnitudes or [0.0], self.tile.adc_quantile)) or full

    def forward(self, x: np.ndarray, noise: torch.Generator | Sequence[torch.Generator] | None = None) -> np.ndarray:
        """Outputs (N, c_out, *out), or (N, out) for linear.

        `noise`: the generator of read noise, or one for each slice; None: no read noise.
        """
        y = np.zeros((len(x), self.c_out, *self.out))
        generators = noise if isinstance(noise, Sequence) else [noise]
        if noise is None:
            generators = [None] * self.mapping.slices
        for slice_, generator in zip(range(self.mapping.slices), generators, strict=True):
            for weight, volts in self._drives(x):
                z_tiles = self._draw_read_noise(len(x), generator)
                self._add_read(y, slice_, weight, volts, z_tiles)
        if self.bias is not None:
            y += np.asarray(self.bias, dtype=np.float64).reshape(-1, *[1] * len(self.out))
        return y

    def _add_read(self, y: np.ndarray, slice_: int, weight: float, volts: np.ndarray, z_tiles: list) -> None:
        """Add to the outputs what one slice's tiles say to one drive of the rows, which counts for `weight`."""
        for n, index in itertools.product(range(len(volts)), np.ndindex(*self.passes)):
            for tile, z_tile in zip(self.chip[slice_], z_tiles, strict=True):
                z = [z_conversion[(n, *index)] for z_conversion in z_tile]
                currents = self._converter_currents(tile, self._row_voltages(tile, volts[n], index), z)
                for column, current in zip(tile.columns, self._pair_results(tile, currents), strict=True):
                    output = self._output(column, index)
                    if output is not None:
                        y[(n, *output)] += current * self._digital_scale(column[0], slice_) * weight

    # Energy and counts

    def array_energy(self, x: np.ndarray, t_read: float) -> float:
        """What all cells, references and surplus columns too, take for all images, in joule; without read noise."""
        power = 0.0
        images = [image for _, volts in self._drives(x) for image in volts]
        for image, index, tile in itertools.product(images, np.ndindex(*self.passes), itertools.chain(*self.chip)):
            volts = self._row_voltages(tile, image, index)
            for polarity in range(self.polarities):
                power += self._tile_power(tile, polarity, volts)
        return power * t_read

    def conversions(self) -> int:
        """Conversions for one image; those of surplus outputs do not take place."""
        reads = self.mapping.slices
        if self.tile.bit_serial:
            reads *= 2 * (self.tile.dac_bits - 1) if self.signed else self.tile.dac_bits
        return reads * sum(
            sum(self._is_converted(tile, i)) for i in np.ndindex(*self.passes) for tile in self.placement
        )

    def tiles(self) -> int:
        """Physical tiles: two for each differential pair, and so many for each slice."""
        return self.mapping.slices * self.polarities * len(self.placement)

    def cells_allocated(self) -> int:
        """All cells of all physical tiles, references too."""
        return self.tiles() * self.tile.rows * (self.tile.cols + (not self.differential))

    def cells_used(self) -> int:
        """Cells that hold a weight or a digit of it, of both polarities."""
        pairs = (pair for tile in self.placement for pair in itertools.product(tile.rows, tile.columns))
        return self.mapping.slices * self.polarities * sum(self._weight_index(*pair) is not None for pair in pairs)

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

    def _target(self, w: float, channel: int, polarity: int, slice_: int) -> float:
        """The conductance wanted for a weight of an output channel."""
        k = (self.g_on - self.g_off) / self.w_max[channel]
        if self.mapping.slices > 1:
            step = (self.g_on - self.g_off) / (self._levels() - 1)
            return self.g_zero + step * self._digit(w, channel, polarity, slice_)
        if not self.differential:
            return self.g_mid + k / 2 * w
        return self.g_off + k * max(w if polarity == POSITIVE else -w, 0.0)

    def _digit(self, w: float, channel: int, polarity: int, slice_: int) -> int:
        """The digit of a weight that one of its cells holds: of its magnitude, or balanced (offset)."""
        base = self._levels()
        whole = round(w / self.w_max[channel] * self._largest_whole())
        if self.differential:
            own = (whole >= 0) == (polarity == POSITIVE)
            return abs(whole) // base**slice_ % base if own else 0
        half = (base - 1) // 2
        for _ in range(slice_ + 1):
            digit = (whole + half) % base - half
            whole = (whole - digit) // base
        return digit

    def _levels(self) -> int:
        """Levels that the scheme can use: an odd number for offset."""
        return self.device.states - (not self.differential and self.device.states % 2 == 0)

    def _largest_whole(self) -> int:
        """The whole number that stands for w_max in slices."""
        largest = self._levels() ** self.mapping.slices - 1
        return largest if self.differential else largest // 2

    def _program_tiles(self, slice_: int, ideal: bool) -> list[AllocatedTile]:
        """The tiles of one slice with their conductances; `ideal`: without any static effect."""
        used = {} if ideal else self._draw_cells((self.polarities, len(self.copies), *self.weight.shape), slice_)
        shape = (self.polarities, self.tile.rows, self.tile.cols + 1)
        tiles = []
        for tile in self.placement:
            numbers = tile.column_group, tile.row_cut
            unused = {} if ideal else self._draw_cells(shape, slice_, *numbers)
            new = replace(tile, cells=[], admittance=[], adc_errors=self._draw_adc_errors(slice_, *numbers))
            for p in range(self.polarities):
                columns = [
                    [self._conductance(p, i, j, tile, slice_, used, unused) for i in tile.rows] for j in tile.columns
                ]
                if not self.differential:
                    places = [(POSITIVE, at, self.tile.cols) for at in tile.rows.values()]
                    columns.append([self._program(self.g_zero, unused, place) for place in places])
                new.cells.append([[self._in_tile(g) for g in column] for column in columns])
                if any((self.tile.r_driver, self.tile.r_row, self.tile.r_col, self.tile.r_sense)):
                    new.admittance.append(self._wire(new, p))
            tiles.append(new)
        return tiles

    def _conductance(
        self, polarity: int, row: Index, column: Index, tile: AllocatedTile, slice_: int, used: dict, unused: dict
    ) -> float:
        """The conductance of one cell in a selected row and column."""
        index = self._weight_index(row, column)
        if index is not None:
            target = self._target(float(self.weight[index]), column[0], polarity, slice_)
            return self._program(target, used, (polarity, self.copies[column[1:]], *index))
        if self.mapping.unused == "unformed":
            return 0.0
        return self._program(self.g_zero, unused, (polarity, tile.rows[row], tile.columns[column]))

    # Static effects

    def _draw_cells(self, shape: tuple[int, ...], slice_: int, *numbers: int) -> dict[str, np.ndarray]:
        """Each effect's random numbers for an array of cells, float32; `numbers` names the tile of unused cells."""
        of = self._stream(slice_)
        draws = {effect: normals(shape, *of, effect, *numbers) for effect in NORMAL_EFFECTS}
        draws |= {effect: uniforms(shape, *of, effect, *numbers) for effect in UNIFORM_EFFECTS}
        return {effect: draw.numpy() for effect, draw in draws.items()}

    def _draw_adc_errors(self, slice_: int, *numbers: int) -> dict[str, np.ndarray]:
        """Standard normals for the converter of each column position, a reference's (`cols`) too."""
        shape = (self.polarities, self.tile.cols + 1)
        of = self._stream(slice_)
        return {effect: normals(shape, *of, effect, *numbers).numpy() for effect in ("adc_gain", "adc_offset")}

    def _stream(self, slice_: int) -> tuple[str | int, ...]:
        """How the names of a slice's random streams begin."""
        return (self.seed, self.name, "slice", slice_) if slice_ else (self.seed, self.name)

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
        r_on, r_off = d.r_on, d.r_off
        if d.d2d_on or d.d2d_off:
            r_on = self._own_resistance(d.r_on, d.d2d_on, float(draws["d2d_on"][at]))
            r_off = max(self._own_resistance(d.r_off, d.d2d_off, float(draws["d2d_off"][at])), r_on)
            own_on, own_off = 1 / r_on, 1 / r_off
            relative = (g - self.g_off) / (self.g_on - self.g_off)
            g = max(own_off + relative * (own_on - own_off), 0.0)
        in_tail = draws["recombination_tail"][at] < np.float32(d.recombination_tail)
        g = own_off + (g - own_off) * self._left(in_tail, float(draws["recombination_energy"][at]))
        g = self._retained(g, float(draws["retention_nu"][at]), float(draws["retention_spread"][at]))
        g = self._worn(g, r_on, r_off)
        for effect, value in (("stuck_on", own_on), ("stuck_off", own_off), ("unformed", 0.0)):
            if draws[effect][at] < np.float32(getattr(d, effect)):
                g = value
        return g

    def _nearest_state(self, target: float) -> float:
        """The nearest level, numbered from g_off; half-way goes to the even number."""
        if self.device.states is None:
            return target
        states = self._levels()
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
        cdf = NormalDist().cdf
        low, high = cdf((0.3 - 1) / sigma), cdf((3 - 1) / sigma)
        return nominal * (1 + sigma * NormalDist().inv_cdf(low + cdf(z) * (high - low)))

    def _left(self, in_tail: bool, z: float) -> float:
        """The fraction of its vacancies that has not recombined: each has an energy of its own and its own rate."""
        d = self.device
        if not d.recombination_energy or not d.retention_time:
            return 1.0
        kt = BOLTZMANN * d.retention_temperature
        mean = d.recombination_tail_energy if in_tail else d.recombination_energy
        mean += d.recombination_between * z
        if d.recombination_rate * d.retention_time <= 1:
            return 1.0

        def there(energy: float) -> float:
            return math.exp(-d.recombination_rate * d.retention_time * math.exp(-energy / kt))

        if not d.recombination_within:
            return there(mean)
        energies = NormalDist(mean, d.recombination_within)
        edge = kt * math.log(d.recombination_rate * d.retention_time)  # half of those of this energy have recombined
        low, high = mean - 8 * d.recombination_within, mean + 8 * d.recombination_within
        steps = sorted({low, high, *(min(max(edge + k * kt, low), high) for k in (-4, 0, 4, 12))})
        parts = itertools.pairwise(steps)
        return sum(quad(lambda e: there(e) * energies.pdf(e), *part, epsabs=1e-10)[0] for part in parts)

    def _retained(self, g: float, z_nu: float, z_spread: float) -> float:
        """What a cell of conductance g has drifted to since it was programmed."""
        d = self.device
        warmth = 1 / d.retention_reference - 1 / d.retention_temperature
        s = d.retention_time / d.retention_t0 * math.exp(d.retention_energy / BOLTZMANN * warmth)
        if s <= 1:
            return g
        g *= s ** -(d.retention_nu + d.retention_nu_sigma * z_nu)
        return max(g + d.retention_spread * math.log10(s) * (self.g_on - self.g_off) * z_spread, 0.0)

    def _worn(self, g: float, r_on: float, r_off: float) -> float:
        """The conductance at the same place in the window that cycling has left of a cell's own r_on and r_off."""
        d = self.device
        if d.endurance_cycles <= d.endurance_onset:
            return g
        ratio = d.endurance_cycles / d.endurance_onset
        worn_on = r_on * ratio**d.endurance_on
        worn_off = max(r_off / ratio**d.endurance_off, worn_on)
        window = 1 / r_on - 1 / r_off
        relative = (g - 1 / r_off) / window if window else 0.0
        return max(1 / worn_off + relative * (1 / worn_on - 1 / worn_off), 0.0)

    # Cells in tiles

    def _in_tile(self, g: float) -> Cell:
        """A cell with its I-V law and its transistor, a resistor in series."""
        series = 1 + g * self.tile.r_transistor
        noise = g
        if self.device.read_noise_to == "range":
            noise = self.g_on - self.g_off if g > 0 else 0.0
        return Cell(g=g / series, v0=self._own_v0(g), read=g / series, noise=noise / series**2)

    def _own_v0(self, g: float) -> float | None:
        """v0 of a cell of conductance g."""
        d = self.device
        if d.v0 is None or d.v0_off is None:
            return d.v0
        state = min(max((g - self.g_off) / (self.g_on - self.g_off), 0.0), 1.0)
        return d.v0_off + (d.v0 - d.v0_off) * state

    def _wire(self, tile: AllocatedTile, polarity: int) -> np.ndarray:
        """Put the wires of one physical tile into what its cells read as; the admittance of its selected rows."""
        t, reference = self.tile, [] if self.differential else [self.tile.cols]
        rows, columns, cells = [*tile.rows.values()], [*tile.columns.values(), *reference], tile.cells[polarity]
        g = np.zeros((t.rows, t.cols + len(reference)))
        g[np.ix_(rows, columns)] = np.array([[cell.g for cell in column] for column in cells]).T
        solved = nodal_oracle.solve(g, (t.r_row, t.r_col, t.r_driver, t.r_sense, 0.0), rows)
        for column, effective in zip(cells, solved.g_eff[:, columns].T, strict=True):
            for cell, read in zip(column, effective, strict=True):
                cell.read = float(read)
                cell.noise *= cell.read / cell.g if cell.g > 0 else 0.0
        return solved.admittance[rows]

    def _tile_power(self, tile: AllocatedTile, polarity: int, volts: list[float]) -> float:
        """What one physical tile takes, in watt."""
        columns = tile.cells[polarity]
        if not tile.admittance:
            return sum(sum(v * response(v, c.v0) * c.g for v, c in zip(volts, cells, strict=True)) for cells in columns)
        driven = []
        for v, cells in zip(volts, zip(*columns, strict=True), strict=True):
            g = sum(cell.g for cell in cells)
            driven.append(sum(cell.g * response(v, cell.v0) for cell in cells) / g if g else v)
        return float(np.array(volts) @ tile.admittance[polarity] @ np.array(driven))

    # Input

    def _drives(self, x: np.ndarray) -> list[tuple[float, np.ndarray]]:
        """The reads of a pass: for each, the weight of its result and the padded map in volt, (N, C, *spatial)."""
        if x.shape[1:] != (self.c_in, *self.input_size):
            raise ValueError(f"x is {x.shape[1:]}, not {(self.c_in, *self.input_size)}")
        v_read, bits = self.tile.v_read, self.tile.dac_bits
        values = [float(value) for value in np.asarray(x, dtype=np.float64).flat]
        if bits is None:
            volts = [v_read * value / self.x_max for value in values]
            return [(1.0, self._padded(np.reshape(volts, x.shape)))]
        codes = np.reshape([code(value / self.x_max, bits, self.signed) for value in values], x.shape)
        largest = largest_code(bits, self.signed)
        if not self.tile.bit_serial:
            return [(1.0, self._padded(v_read * (codes / largest)))]
        return [
            (sign * 2**bit / largest, self._padded(v_read * (np.maximum(sign * codes, 0) // 2**bit % 2)))
            for sign in ((1, -1) if self.signed else (1,))
            for bit in range(bits - self.signed)
        ]

    def _padded(self, volts: np.ndarray) -> np.ndarray:
        """The map with its padding."""
        before_after = [(0, 0), (0, 0), *self.padding]
        if self.padding_mode == "zeros":
            return np.pad(volts, before_after)
        return np.pad(volts, before_after, mode=PAD_MODES[self.padding_mode])

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
            return [[]] * len(self.placement)
        polarities = self.polarities if self.per_column else 1
        references = 0 if self.differential else 1
        if self.sparse or any(w > 1 for w in self.window):
            counts = [polarities * len(tile.columns) + references for tile in self.placement]
            draws = [torch.randn((count, n, *self.passes), generator=noise) for count in counts]
            return [z.double().numpy() for z in draws]
        reads: list[list[np.ndarray]] = [[] for _ in self.placement]
        for row_cut in sorted({tile.row_cut for tile in self.placement}):
            tiles = [(t, tile) for t, tile in enumerate(self.placement) if tile.row_cut == row_cut]
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
        if self.differential or self.per_column:
            return currents
        return [current - currents[-1] for current in currents[:-1]]

    def _converters(self, tile: AllocatedTile) -> list[tuple[int, int]]:
        """For each of _converter_currents, which converter takes it: (polarity, column position)."""
        positions = list(tile.columns.values())
        if not self.per_column:
            return [(POSITIVE, at) for at in positions]
        if self.differential:
            return list(itertools.product(range(2), positions))
        return [(POSITIVE, at) for at in [*positions, self.tile.cols]]

    def _read(self, cells: list[Cell], volts: list[float]) -> tuple[float, float]:
        """The current of one column and the variance of its read noise."""
        current = variance = 0.0
        for cell, v in zip(cells, volts, strict=True):
            f = response(v, cell.v0)
            current += f * cell.read
            variance += (f * self.device.read_noise * cell.noise) ** 2
        return current, variance

    def _pair_results(self, tile: AllocatedTile, currents: list[float]) -> list[float]:
        """What the digital side takes for the current of each pair of columns, in ampere."""
        converted = [self._adc(*pair, tile) for pair in zip(currents, self._converters(tile), strict=True)]
        if not self.per_column:
            return converted
        count = len(tile.columns)
        if self.differential:
            return [converted[j] - converted[count + j] for j in range(count)]
        return [converted[j] - converted[count] for j in range(count)]

    def _adc(self, current: float, converter: tuple[int, int], tile: AllocatedTile) -> float:
        bits = self.tile.adc_bits
        if bits is None:
            return current
        signed = self.signed and not self.tile.bit_serial if self.per_column else True
        gain = 1 + self.tile.adc_gain_error * float(tile.adc_errors["adc_gain"][converter])
        offset = self.tile.adc_offset_error * float(tile.adc_errors["adc_offset"][converter])
        relative = gain * (current / self.adc_range) + offset
        return self.adc_range * (code(relative, bits, signed) / largest_code(bits, signed))

    def _full_range(self) -> float:
        s = self.g_on if self.per_column else (self.g_on - self.g_off) / (1 if self.differential else 2)
        return self._v_scale() * max((len(tile.rows) for tile in self.placement), default=0) * s

    def _v_scale(self) -> float:
        """What the I-V law makes of v_read for the difference between the two ends of the window."""
        d = self.device
        on = response(self.tile.v_read, d.v0)
        if d.v0 is None or d.v0_off is None:
            return on
        off = response(self.tile.v_read, d.v0_off)
        return (self.g_on * on - self.g_off * off) / (self.g_on - self.g_off)

    def _digital_scale(self, channel: int, slice_: int) -> float:
        """Output per ampere of a column pair."""
        k = (self.g_on - self.g_off) / self.w_max[channel]
        if self.mapping.slices > 1:
            base = self._levels()
            return base**slice_ * (base - 1) / self._largest_whole() * self.x_max / (self._v_scale() * k)
        return self.x_max / (self._v_scale() * k) * (1 if self.differential else 2)


def response(v: float, v0: float | None) -> float:
    """A cell's current at v volt per siemens of its conductance, in volt."""
    return v if v0 is None else v0 * math.sinh(v / v0)


def largest_code(bits: int, signed: bool) -> int:
    """The largest code of a converter."""
    return 2 ** (bits - 1) - 1 if signed else 2**bits - 1


def code(relative: float, bits: int, signed: bool) -> int:
    """What a converter makes of a value relative to full scale: the nearest code (half to even), clipped."""
    largest = largest_code(bits, signed)
    return min(max(round(relative * largest), -largest if signed else 0), largest)

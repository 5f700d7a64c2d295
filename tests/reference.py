"""The slow reference simulator: one layer on tiles, cell by cell, written from sections 3 and 4 of the design alone.

It is the definition when a fast path is in doubt, so it shares nothing with one but the named random streams and the
configurations, which are read as plain containers of fields. Dense layout; states, program error, device-to-device
variation, faults and read noise. Siemens, volt, ampere; float64. Slow by intention: for layers of a few thousand cells.
"""

import math
from dataclasses import dataclass, field

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


@dataclass
class AllocatedTile:
    """What conducts in one tile: its selected rows and columns (numbers in the layer's matrix) and their cells."""

    column_group: int
    row_cut: int
    rows: list[int]
    columns: list[int]
    cells: list[list[list[float]]]  #: conductances [polarity][selected column][selected row]
    reference: list[float]  #: conductances [selected row] of the reference column; empty for differential


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
        self.matrix_rows = list(np.ndindex(self.c_in_group * self.groups, *self.kernel))  # (c, ky, kx)
        self.g_on, self.g_off = 1 / self.device.r_on, 1 / self.device.r_off
        self.g_mid = (self.g_on + self.g_off) / 2
        self.g_zero = self.g_off if self.differential else self.g_mid
        self.w_max = self._largest_weights()
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
        for n in range(len(volts)):
            for position in np.ndindex(*self._out_shape(volts)):
                row_volts = self._row_voltages(volts[n], position)
                for tile in tiles:
                    magnitudes += [abs(current) for current in self._converter_currents(tile, row_volts, [], 0.0)]
        self.adc_range = float(np.quantile(magnitudes, self.tile.adc_quantile)) or full

    def forward(self, x: np.ndarray, noise: torch.Generator | None = None) -> np.ndarray:
        """Outputs (N, c_out, *out), or (N, out) for linear; without a generator there is no read noise."""
        volts = self._input_voltages(x)
        out = self._out_shape(volts)
        y = np.zeros((len(volts), self.c_out, *out))
        for row_cut in sorted({tile.row_cut for tile in self.chip}):
            tiles = [tile for tile in self.chip if tile.row_cut == row_cut]
            z_tiles = self._draw_read_noise(tiles, (len(volts), *out), noise)
            for n in range(len(volts)):
                for position in np.ndindex(*out):
                    row_volts = self._row_voltages(volts[n], position)
                    for tile, (z_columns, z_reference) in zip(tiles, z_tiles, strict=True):
                        z = [z_column[(n, *position)] for z_column in z_columns]
                        z_ref = 0.0 if z_reference is None else z_reference[(n, *position)]
                        currents = self._converter_currents(tile, row_volts, z, z_ref)
                        for column, current in zip(tile.columns, self._pair_results(tile, currents), strict=True):
                            y[(n, column, *position)] += current * self._digital_scale(column)
        if self.bias is not None:
            y += np.asarray(self.bias, dtype=np.float64).reshape(-1, *[1] * len(out))
        return y

    # Weights to cells

    def _largest_weights(self) -> list[float]:
        """w_max of each output column; the same for all with w_max="layer"."""
        if self.mapping.w_max == "column":
            largest = [float(abs(self.weight[column]).max()) for column in range(self.c_out)]
        else:
            largest = [float(abs(self.weight).max())] * self.c_out
        return [value or 1.0 for value in largest]

    def _weight_index(self, row: int, column: int) -> tuple[int, ...] | None:
        """Where in `weight` the matrix element stands; None off the block diagonal, where no weight is."""
        channel, *offset = self.matrix_rows[row]
        if channel // self.c_in_group != column // (self.c_out // self.groups):
            return None
        return (column, channel % self.c_in_group, *offset)

    def _target(self, w: float, column: int, polarity: int) -> float:
        """The conductance wanted for a weight."""
        k = (self.g_on - self.g_off) / self.w_max[column]
        if not self.differential:
            return self.g_mid + k / 2 * w
        return self.g_off + k * max(w if polarity == POSITIVE else -w, 0.0)

    def _program_tiles(self, ideal: bool) -> list[AllocatedTile]:
        """All tiles with a used cell, by column group and then row cut; `ideal`: without any static effect."""
        shape = (self.polarities, 1, *self.weight.shape)
        used = {} if ideal else self._draw_cells(shape)
        tiles = []
        for group, first_column in enumerate(range(0, self.c_out, self.tile.cols)):
            for cut, first_row in enumerate(range(0, len(self.matrix_rows), self.tile.rows)):
                columns = range(first_column, min(first_column + self.tile.cols, self.c_out))
                rows = range(first_row, min(first_row + self.tile.rows, len(self.matrix_rows)))
                selected_rows = [i for i in rows if any(self._weight_index(i, j) for j in columns)]
                selected_columns = [j for j in columns if any(self._weight_index(i, j) for i in rows)]
                if not selected_rows:
                    continue
                shape = (self.polarities, self.tile.rows, self.tile.cols + 1)
                unused = {} if ideal else self._draw_cells(shape, group, cut)
                tile = AllocatedTile(group, cut, selected_rows, selected_columns, [], [])
                for p in range(self.polarities):
                    tile.cells.append([])
                    for j in selected_columns:
                        here = [(p, i - first_row, j - first_column) for i in selected_rows]
                        cells = [self._cell(i, j, at, used, unused) for i, at in zip(selected_rows, here, strict=True)]
                        tile.cells[p].append(cells)
                if not self.differential:
                    for i in selected_rows:
                        at = (POSITIVE, i - first_row, self.tile.cols)
                        tile.reference.append(self._program(self.g_zero, unused, at))
                tiles.append(tile)
        return tiles

    def _cell(self, row: int, column: int, at: tuple[int, int, int], used: dict, unused: dict) -> float:
        """The conductance of one cell of the matrix; `at`: its polarity, row and column in the tile."""
        index = self._weight_index(row, column)
        if index is not None:
            target = self._target(float(self.weight[index]), column, at[0])
            return self._program(target, used, (at[0], 0, *index))
        return 0.0 if self.mapping.unused == "unformed" else self._program(self.g_zero, unused, at)

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

    def _out_shape(self, volts: np.ndarray) -> tuple[int, ...]:
        dimensions = zip(volts.shape[2:], self.kernel, self.stride, self.dilation, strict=True)
        return tuple((size - dilation * (k - 1) - 1) // stride + 1 for size, k, stride, dilation in dimensions)

    def _row_voltages(self, volts: np.ndarray, position: tuple[int, ...]) -> list[float]:
        """The voltage of every row of the matrix in the pass of one output position."""
        result = []
        for channel, *offset in self.matrix_rows:
            steps = zip(position, offset, self.stride, self.dilation, strict=True)
            place = [p * stride + k * dilation for p, k, stride, dilation in steps]
            result.append(float(volts[(channel, *place)]))
        return result

    # Read and output

    def _draw_read_noise(
        self, tiles: list[AllocatedTile], shape: tuple[int, ...], noise: torch.Generator | None
    ) -> list:
        """For each tile of a row cut: normals (N, *out) of each read, as _converter_currents, and of its reference."""
        if noise is None or not self.device.read_noise:
            return [([], None)] * len(tiles)
        columns = sum(len(tile.columns) for tile in tiles)
        polarities = self.polarities if self.per_column else 1
        references = 0 if self.differential else len(tiles)
        z = torch.randn((*shape, polarities * columns + references), generator=noise).double().numpy()
        result = []
        first = 0
        for t, tile in enumerate(tiles):
            numbers = [p * columns + first + j for p in range(polarities) for j in range(len(tile.columns))]
            z_reference = None if self.differential else z[..., polarities * columns + t]
            result.append(([z[..., number] for number in numbers], z_reference))
            first += len(tile.columns)
        return result

    def _converter_currents(self, tile: AllocatedTile, row_volts: list[float], z: list, z_ref: float) -> list:
        """Currents that the tile's converters see in one pass.

        One per pair; or with one converter per column all positive columns, then all negative ones (differential), or
        all columns, then the reference (offset). `z`: their normals in that order, bar the reference's; empty: none.
        """
        z = z or [0.0] * (self.polarities * len(tile.columns))
        volts = [row_volts[i] for i in tile.rows]
        reads = [[self._read(cells, volts) for cells in columns] for columns in tile.cells]
        if self.differential and not self.per_column:
            pairs = enumerate(zip(*reads, strict=True))
            return [pos - neg + z[j] * math.sqrt(pos_var + neg_var) for j, ((pos, pos_var), (neg, neg_var)) in pairs]
        columns = [read for polarity in reads for read in polarity]
        currents = [current + z[j] * math.sqrt(variance) for j, (current, variance) in enumerate(columns)]
        if self.differential:
            return currents
        reference, reference_variance = self._read(tile.reference, volts)
        reference += z_ref * math.sqrt(reference_variance)
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
        return self.tile.v_read * max(len(tile.rows) for tile in self.chip) * s

    def _digital_scale(self, column: int) -> float:
        """Output per ampere of a column pair."""
        k = (self.g_on - self.g_off) / self.w_max[column]
        return self.x_max / (self.tile.v_read * k) * (1 if self.differential else 2)


def quantise(relative: float, bits: int, signed: bool) -> float:
    """A converter: the value relative to full scale, rounded to the nearest code (half to even) and clipped."""
    largest = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    code = min(max(round(relative * largest), -largest if signed else 0), largest)
    return code / largest

"""Layers whose products are computed by tiles.

Static effects are programmed once into conductances and folded, with every scale, into one kernel per row cut, so
that a product of converter codes with it is a current in ADC codes. With converters and read noise off, all cuts fold
into one ordinary layer. `tests/reference.py` is the definition that this module is tested against.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from memlib.calibration import LayerInputs
from memlib.device import Device
from memlib.hardware import Hardware
from memlib.layers import Geometry
from memlib.mapping import ProgrammedCut, Programmer, place
from memlib.streams import generator
from memlib.tile import CALIBRATION_VALUES, LEAST_PASSES, Tile, code_limits, upper_quantile
from memlib.validate import fail


@dataclass(frozen=True)
class _Cut:
    """How one row cut's kernel meets the input and the output."""

    first: int  #: its first input channel
    channels: int  #: how many input channels it reads
    outputs: slice  #: the output channels it adds to


def converted_currents(cut: ProgrammedCut, converter: str) -> Tensor:
    """Conductance matrix (conversions, inputs), S, whose product with the voltages is what the converters see."""
    first, second = cut.subtracted
    if converter == "column":
        return torch.cat((first, second))
    return first - (second if cut.reference is None else second[cut.tile_of_column])


def noise_variances(cut: ProgrammedCut, converter: str, device: Device) -> Tensor:
    """Conductance variances (normals, inputs), S^2, at a read; a pair shares one normal, a reference has its own."""
    first, second = (device.noise_variance(part) for part in cut.subtracted)
    if converter == "pair" and cut.reference is None:
        return first + second
    return torch.cat((first, second))


def calibrated_range(cuts: list[ProgrammedCut], tile: Tile, inputs: LayerInputs) -> float:
    """The quantile of |I|, A, over the converted currents that the recorded inputs cause in these devices."""
    matrices = [(cut.first_input, converted_currents(cut, tile.converter)) for cut in cuts]
    conversions = sum(len(matrix) for _, matrix in matrices)
    passes = inputs.passes[: max(LEAST_PASSES, CALIBRATION_VALUES // conversions)].double()
    v = quantise_input(passes, tile, inputs) * input_volts(tile, inputs)
    currents = [v[:, first : first + m.shape[1]] @ m.to(v).T for first, m in matrices]
    return upper_quantile(torch.cat([i.abs().flatten() for i in currents]), tile.adc_quantile)


def quantise_input(x: Tensor, tile: Tile, inputs: LayerInputs | None) -> Tensor:
    """Inputs to DAC codes; unchanged without a DAC."""
    if tile.dac_bits is None:
        return x
    low, high = code_limits(tile.dac_bits, inputs.signed, "dac_bits")
    return (x * (high / inputs.x_max)).round_().clamp_(low, high)


def input_volts(tile: Tile, inputs: LayerInputs | None) -> float:
    """Volts per unit of `quantise_input`'s result."""
    x_max = inputs.x_max if inputs else 1.0
    if tile.dac_bits is None:
        return tile.v_read / x_max
    return tile.v_read / code_limits(tile.dac_bits, inputs.signed, "dac_bits")[1]


def _kernel(values: Tensor, like: Tensor) -> Tensor:
    """A kernel in the layer's dtype and on its device; channels last, in which slices of channels convolve fastest."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return values.to(like).contiguous(memory_format=formats.get(values.dim(), torch.contiguous_format))


class AnalogLayer(nn.Module):
    """A Linear or convolution layer on tiles, one chip's worth of devices.

    Args:
        module: the float layer.
        name: of the layer in its network; names its random streams.
        seed: device seed.
        inputs: of the float network on calibration images; None only if both converters are off.
        full_scale: the ADC's full scale, A, if already known (of a saved network).
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        hardware: Hardware,
        seed: int,
        inputs: LayerInputs | None,
        full_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.name, self.hardware, self.seed, self.inputs = name, hardware, seed, inputs
        self.geometry = Geometry.of(module)
        if module.weight.dtype not in (torch.float32, torch.float64):
            fail(
                f"dtype of layer {name!r}",
                module.weight.dtype,
                "float32 or float64, which can hold a converter's codes",
            )
        tile = hardware.tile
        self.placement = place(self.geometry.weight_shape, self.geometry.groups, tile.rows, tile.cols)
        weight = module.weight.detach()
        chip, weight_per_siemens = self._programmed(weight, hardware.device)
        self.full_scale = None
        self.converter = tile.converter if tile.adc_bits or hardware.device.read_noise else "pair"
        if tile.adc_bits:
            self.full_scale = full_scale or self._full_scale(chip, weight)
            signed = tile.converter == "pair" or inputs.signed
            self.adc_low, self.adc_high = code_limits(tile.adc_bits, signed, "adc_bits")
        self._generator: torch.Generator | None = None
        self._fold(chip, weight_per_siemens, weight)
        if inputs is not None:
            self.inputs = replace(inputs, passes=inputs.passes[:0].clone())  # calibration is over
        bias = None if module.bias is None else module.bias.detach().clone()
        self.register_buffer("bias", bias)

    def _programmed(self, weight: Tensor, device: Device) -> tuple[list[ProgrammedCut], Tensor]:
        programmer = Programmer(weight.cpu().double(), device, self.hardware.mapping, self.seed, self.name)
        tile = self.hardware.tile
        cuts = [programmer.cut(t, self.placement, tile.rows, tile.cols) for t in self.placement.row_cuts()]
        return cuts, programmer.weight_per_siemens

    def _full_scale(self, chip: list[ProgrammedCut], weight: Tensor) -> float:
        """The ADC's full scale, A: see `Tile.adc_range`, `Tile.adc_calibration` and `Tile.adc_quantile`."""
        device, tile = self.hardware.device, self.hardware.tile
        span = device.g_range / (2 if self.hardware.mapping.scheme == "offset" else 1)
        if tile.converter == "column":
            span = device.g_on
        full = tile.v_read * self.placement.most_selected_rows * span
        if self.inputs.passes.shape[1:] != (self.placement.inputs,):
            raise ValueError(
                f"calibration: recorded for another layer {self.name!r}; record the inputs of this network"
            )
        if tile.adc_range == "full":
            return full
        cuts = chip if tile.adc_calibration == "chip" else self._programmed(weight, device.ideal())[0]
        return calibrated_range(cuts, tile, self.inputs) or full

    def _fold(self, cuts: list[ProgrammedCut], weight_per_siemens: Tensor, weight: Tensor) -> None:
        """Turn conductances into kernels, and the layer's output into `scale` times a sum of codes."""
        tile, device = self.hardware.tile, self.hardware.device
        volts = input_volts(tile, self.inputs)
        x_max = self.inputs.x_max if self.inputs else 1.0
        amperes = self.full_scale / self.adc_high if tile.adc_bits else tile.v_read * device.g_range
        scale = weight_per_siemens * amperes * x_max / tile.v_read
        self.register_buffer("scale", scale.view(-1, *[1] * self.geometry.dims).to(weight))
        signals = [converted_currents(cut, self.converter) * (volts / amperes) for cut in cuts]
        self.cuts: list[_Cut] = []
        folded = self._folded_weight(cuts, signals)
        if folded is not None:
            self.register_buffer("weight", _kernel(folded * scale.view(-1, *[1] * (weight.dim() - 1)), weight))
            return
        for i, (cut, signal) in enumerate(zip(cuts, signals, strict=True)):
            channels = signal.shape[1] // self.geometry.positions
            self.cuts.append(_Cut(cut.first_input // self.geometry.positions, channels, cut.outputs))
            shape = (-1, channels, *self.geometry.kernel)
            self.register_buffer(f"signal{i}", _kernel(signal.reshape(shape), weight))
            if cut.reference is not None:
                self.register_buffer(f"owner{i}", cut.tile_of_column.to(weight.device))
            if device.read_noise:
                variance = noise_variances(cut, self.converter, device) * (volts / amperes) ** 2
                self.register_buffer(f"variance{i}", _kernel(variance.reshape(shape), weight))

    def _folded_weight(self, cuts: list[ProgrammedCut], signals: list[Tensor]) -> Tensor | None:
        """All cuts as one weight of the layer's own shape, where nothing happens to the partial sums in between."""
        tile, geometry = self.hardware.tile, self.geometry
        if tile.adc_bits or self.hardware.device.read_noise:
            return None
        matrix = torch.zeros(geometry.outputs, self.placement.inputs, dtype=torch.float64)
        for cut, signal in zip(cuts, signals, strict=True):
            matrix[cut.outputs, cut.first_input : cut.first_input + signal.shape[1]] += signal
        blocks = matrix.view(geometry.groups, geometry.outputs // geometry.groups, geometry.groups, -1)
        diagonal = blocks.diagonal(dim1=0, dim2=2)  # (columns, rows, groups)
        if geometry.groups > 1 and diagonal.count_nonzero() < matrix.count_nonzero():
            return None  # unused cells conduct unequally: the groups are no longer independent
        return diagonal.permute(2, 0, 1).reshape(geometry.weight_shape)

    def forward(self, input: Tensor) -> Tensor:
        """One read per pass; shapes, and the argument's name, as for the float layer."""
        u, padding = self.geometry.pad(quantise_input(input, self.hardware.tile, self.inputs))
        if not self.cuts:
            return self.geometry.product(u, self.weight, padding, self.geometry.groups, self.bias)
        squares = u.square() if self.hardware.device.read_noise else None
        total = None
        for i, cut in enumerate(self.cuts):
            part = self._partial_sum(i, cut, u, squares, padding)
            if total is None and cut.outputs == slice(0, self.geometry.outputs):
                total = part
                continue
            if total is None:
                total = self._zeros(part)
            self._outputs(total, cut.outputs.start, cut.outputs.stop).add_(part)
        total.mul_(self.scale)
        return total if self.bias is None else total.add_(self.bias.view(self.scale.shape))

    def _partial_sum(self, i: int, cut: _Cut, u: Tensor, squares: Tensor | None, padding: tuple[int, ...]) -> Tensor:
        """The digital result of one row cut, in ADC codes: read, convert, and subtract what was converted apart."""
        u = self.geometry.channels(u, cut.first, cut.channels)
        codes = self.geometry.product(u, getattr(self, f"signal{i}"), padding)
        if squares is not None:
            squares = self.geometry.channels(squares, cut.first, cut.channels)
            codes += self._read_noise(i, cut, self.geometry.product(squares, getattr(self, f"variance{i}"), padding))
        if self.full_scale:
            codes.round_().clamp_(self.adc_low, self.adc_high)
        return codes if self.converter == "pair" else self._subtract_reference(i, cut, codes)

    def _read_noise(self, i: int, cut: _Cut, variance: Tensor) -> Tensor:
        """Exactly normal noise of column sums; one normal per read and conversion, and one per reference after them."""
        if self._generator is None or self._generator.device != variance.device:
            self._generator = generator(self.seed, self.name, "read_noise", device=variance.device)
        channel = -1 - self.geometry.dims
        shape = variance.movedim(channel, -1).shape  # the reads' conversions side by side, as they lie in memory
        normals = torch.randn(shape, generator=self._generator, device=variance.device).movedim(-1, channel)
        # an unlucky rounding of a sum of squares may be a little below 0
        noise = variance.clamp_(min=0).sqrt_().mul_(normals)
        shared_reference = self.converter == "pair" and self.hardware.mapping.scheme == "offset"
        return self._subtract_reference(i, cut, noise) if shared_reference else noise

    def _subtract_reference(self, i: int, cut: _Cut, values: Tensor) -> Tensor:
        """Columns minus their negative column, or their tile's reference, which stand behind them."""
        columns = cut.outputs.stop - cut.outputs.start
        second = self._outputs(values, columns, values.shape[-1 - self.geometry.dims])
        if self.hardware.mapping.scheme == "offset":
            second = second.index_select(-1 - self.geometry.dims, getattr(self, f"owner{i}"))
        return self._outputs(values, 0, columns) - second

    def _outputs(self, y: Tensor, start: int, stop: int) -> Tensor:
        return self.geometry.channels(y, start, stop - start)

    def _zeros(self, part: Tensor) -> Tensor:
        """Room for all outputs, where the first cut of a grouped layer adds to some of them only."""
        shape = list(part.shape)
        shape[-1 - self.geometry.dims] = self.geometry.outputs
        return part.new_zeros(shape)

    def reset(self) -> None:
        """Rewind the read noise to its state at mapping."""
        self._generator = None

    def extra_repr(self) -> str:
        """Shown by print(network)."""
        p = self.placement
        return f"{p.inputs} x {p.outputs} in {len(p.tiles) * self.hardware.mapping.polarities} tiles"

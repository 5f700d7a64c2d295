"""Layers whose products are computed by tiles.

Static effects are programmed once into conductances and folded with the converters' scales, so that a read takes and
gives codes. In the dense layout without converters and read noise, all tiles fold into one ordinary layer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from memlib.base.checks import fail
from memlib.layers.geometry import Size
from memlib.mapping.plan import LayerPlan
from memlib.mapping.scheme import target_conductances, usable_states
from memlib.tiles.adc_range import adc_full_scale
from memlib.tiles.array_power import Load
from memlib.tiles.conductances import ProgrammedTiles
from memlib.tiles.converters import code_limits, input_top, input_volts, quantise_input, row_inputs
from memlib.tiles.input_record import LayerInputs
from memlib.tiles.programming import Programmer, program_slices
from memlib.tiles.readout import Readout
from memlib.tiles.reads import BlockReads, ConvolutionReads, Reads, SlicedReads
from memlib.tiles.row_cut import Cut, as_kernel


class AnalogLayer(nn.Module):
    """A Linear or convolution layer on tiles, one chip's worth of devices.

    Args:
        layer: its plan, whose name names its random streams.
        seed: device seed.
        inputs: of the float network on calibration images; None only if both converters are off.
        full_scale: of the ADCs, A, if known already.
    """

    weight: Tensor  #: of all tiles, where they fold into one layer
    scale: Tensor  #: output per code, which broadcasts against the output
    bias: Tensor | None
    #: (outputs, *window) digital factor of each column's sum, see `memlib.recalibrate`; None: 1
    gain: Tensor | None
    reads: Reads | SlicedReads | None  #: None where all tiles fold into `weight`

    def __init__(
        self, layer: LayerPlan, seed: int, inputs: LayerInputs | None, full_scale: float | None = None
    ) -> None:
        super().__init__()
        self.name, self.hardware, self.seed = layer.name, layer.hardware, seed
        self.geometry, self.sizes, self.placement = layer.geometry, layer.sizes, layer.placement
        module = layer.module
        weight = module.weight.detach()
        if weight.dtype not in (torch.float32, torch.float64):
            field = f"dtype of layer {layer.name!r}"
            fail(field, weight.dtype, "float32 or float64, which can hold a converter's codes")
        slices = program_slices(layer, seed)
        self.full_scale: float | None = None
        if self.hardware.tile.adc_bits:
            assert inputs is not None  # as ADCs are calibrated
            self.full_scale = full_scale or adc_full_scale(layer, inputs, slices)
        self.inputs = inputs and inputs.without_values()
        self._fold(slices, weight)
        self.register_buffer("bias", None if module.bias is None else module.bias.detach().clone())
        self.register_buffer("gain", None)

    def _fold(self, slices: list[Programmer], weight: Tensor) -> None:
        """Turn conductances into reads, and the layer's output into `scale` times a sum of codes."""
        tile, limits = self.hardware.tile, None
        amperes = tile.v_read * self.hardware.device.g_range
        if tile.adc_bits:
            assert self.inputs is not None  # as ADCs are calibrated
            assert self.full_scale is not None
            signed = tile.converter == "pair" or (self.inputs.signed and not tile.bit_serial)
            limits = code_limits(tile.adc_bits, signed, "adc_bits")
            amperes = self.full_scale / limits[1]
        gain, top = input_volts(tile, self.inputs) / amperes, input_top(tile, self.inputs)
        readouts = [Readout(self.hardware, chip.name, limits, gain, top) for chip in slices]
        scale = self._output_scale(weight, amperes)
        self.register_buffer("scale", scale.view(-1, *[1] * self.geometry.dims).to(weight))
        self.load, self.reads = Load(self.placement, self.hardware), None
        if not self.placement.by_convolution:
            blocks = zip(readouts, (self.load.watch(chip.blocks(), weight) for chip in slices), strict=True)
            self.reads = self._summed([BlockReads(self.placement, *part, weight) for part in blocks])
            return
        cuts = [(r, list(self.load.watch(chip.row_cuts(), weight))) for r, chip in zip(readouts, slices, strict=True)]
        folded = self._folded_weight(cuts)
        if folded is None:
            self.reads = self._summed([ConvolutionReads(self.placement, *part, weight) for part in cuts])
        else:
            self.register_buffer("weight", as_kernel(folded * scale.view(-1, *[1] * (weight.dim() - 1)), weight))

    def _output_scale(self, weight: Tensor, amperes: float) -> Tensor:
        """Output per sum of codes of so many amperes, (outputs,) float64."""
        h = self.hardware
        _, weight_per_siemens = target_conductances(weight.cpu().double(), h.device, h.mapping)
        x_max = self.inputs.x_max if self.inputs else 1.0
        if h.tile.bit_serial:
            assert h.tile.dac_bits is not None  # as Tile checks
            assert self.inputs is not None  # as DACs have a range
            x_max /= code_limits(h.tile.dac_bits, self.inputs.signed, "dac_bits")[1]
        return weight_per_siemens * amperes * x_max / h.device.law.full_response(h.tile.v_read)

    @property
    def _base(self) -> int:
        """Of the digits that slices hold; devices without states have no slices."""
        return usable_states(self.hardware.device.states, self.hardware.mapping.scheme) or 1

    def _summed(self, slices: Sequence[Reads]) -> Reads | SlicedReads:
        return slices[0] if len(slices) == 1 else SlicedReads(slices, self._base)

    def _folded_weight(self, slices: list[tuple[Readout, list[ProgrammedTiles]]]) -> Tensor | None:
        """All cuts as one weight of the layer's own shape, where nothing happens to the partial sums in between."""
        geometry, window, h = self.geometry, self.placement.window, self.hardware
        if h.tile.adc_bits or h.tile.bit_serial or h.device.read_noise or h.device.law.depends_on_state:
            return None
        if h.tile.wired and geometry.groups > 1:
            return None  # behind wires, what unused cells conduct depends on all others
        matrix = torch.zeros(geometry.outputs, window.inputs, dtype=torch.float64)
        for s, (readout, cuts) in enumerate(slices):
            for tiles in cuts:
                cut = Cut.of(tiles, window)
                signal = cut.matrix(readout.signal(tiles), readout.offset)
                first = cut.first * window.places_count
                matrix[cut.outputs, first : first + signal.shape[1]] += signal * self._base**s if s else signal
        blocks = matrix.view(geometry.groups, geometry.outputs // geometry.groups, geometry.groups, -1)
        diagonal = blocks.diagonal(dim1=0, dim2=2)  # (columns, rows, groups)
        if geometry.groups > 1 and diagonal.count_nonzero() < matrix.count_nonzero():
            return None  # unused cells conduct unequally: the groups are no longer independent
        return diagonal.permute(2, 0, 1).reshape(geometry.weight_shape)

    def forward(self, input: Tensor) -> Tensor:
        """One read per pass, and per bit if inputs are serial; shapes, and the argument's name, as for the float layer.

        Raises:
            ValueError: for an input map of another size than those the layer is placed for.
        """
        if self.reads is None:
            return self._folded_product(input, self.gain, self.bias)
        total = self.product(input)
        if self.gain is not None:
            total = total.mul_(self._spread(self.gain, tuple(total.shape[total.dim() - self.geometry.dims :])))
        return total if self.bias is None else total.add_(self.bias.view(self.scale.shape))

    def product(self, input: Tensor) -> Tensor:
        """The output before gain and bias, with read noise as in `forward`."""
        if self.reads is None:
            return self._folded_product(input, None, None)
        self._check_size(input)
        total: Tensor | None = None
        for factor, u in row_inputs(input, self.hardware.tile, self.inputs):
            codes = self.reads(self._driven(u))
            total = codes if total is None else total.add_(codes, alpha=factor)
        assert total is not None  # a pass has at least one read
        return total.mul_(self.scale)

    def _folded_product(self, input: Tensor, gain: Tensor | None, bias: Tensor | None) -> Tensor:
        """One ordinary layer, where all tiles fold into one weight; its columns are its outputs."""
        self._check_size(input)
        weight = self.weight if gain is None else self.weight * gain.view(-1, *[1] * (self.weight.dim() - 1))
        u, padding = self.geometry.pad(self._driven(quantise_input(input, self.hardware.tile, self.inputs)))
        return self.geometry.product(u, weight, padding, self.geometry.groups, bias)

    def _spread(self, gains: Tensor, size: Size) -> Tensor:
        """Every output's factor, for an output map of this size: windows stand side by side, surplus outputs drop."""
        for d, (n, h) in enumerate(zip(size, self.placement.window.shape, strict=True), start=1):
            if h > 1:
                gains = gains.index_select(d, torch.arange(n, device=gains.device) % h)
        return gains

    def _driven(self, u: Tensor) -> Tensor:
        """Input codes, bent by the I-V law that all cells share."""
        device = self.hardware.device
        if device.v0 is None or device.law.depends_on_state:
            return u
        volts = input_volts(self.hardware.tile, self.inputs)
        return device.law.response(u * volts) / volts

    def _check_size(self, x: Tensor) -> None:
        size = tuple(x.shape[x.dim() - self.geometry.dims :])
        if self.placement.fixed_size and size not in self.sizes:
            sizes = " or ".join(map(str, self.sizes))
            fail(f"input map of layer {self.name!r}", size, f"of the size that its tiles were laid out for, {sizes}")

    def reset(self) -> None:
        """Rewind the read noise to its state at mapping."""
        if self.reads is not None:
            self.reads.rewind()

    def extra_repr(self) -> str:
        """Shown by print(network)."""
        p = self.placement
        tiles = len(p) * self.hardware.mapping.cells
        return f"{p.matrix_rows} x {p.window.outputs} in {tiles} tiles"

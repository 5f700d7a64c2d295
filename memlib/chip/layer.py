"""Layers whose products are computed by tiles.

Static effects are programmed once into conductances and folded with the converters' scales, so a read takes and gives
codes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from memlib.base.checks import fail
from memlib.mapping.plan import LayerPlan
from memlib.mapping.scheme import target_conductances
from memlib.tiles.adc_range import adc_full_scale
from memlib.tiles.array_power import Load
from memlib.tiles.converters import adc_limits, code_limits, input_top, input_volts, row_inputs
from memlib.tiles.input_record import LayerInputs
from memlib.tiles.programming import Programmer, program_slices
from memlib.tiles.readout import Readout
from memlib.tiles.reads import BlockReads, ConvolutionReads, Drives, FoldedReads, Reads, SummedReads, folded_kernel
from memlib.tiles.row_cut import as_kernel


class AnalogLayer(nn.Module):
    """A Linear or convolution layer on tiles, one chip's worth of devices.

    Args:
        layer: its plan, whose name names its random streams.
        seed: device seed.
        inputs: of the float network on calibration images; None only if both converters are off.
        full_scale: of the ADCs, A, if known already.
    """

    bias: Tensor | None
    #: (outputs, *window) digital factor of each column's sum, see `memlib.recalibrate`; None: 1
    gain: Tensor | None

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
        self.load = Load(self.placement, self.hardware)
        self.reads = self._engine(slices, weight)
        self.register_buffer("bias", None if module.bias is None else module.bias.detach().clone())
        self.register_buffer("gain", None)

    def _engine(self, slices: list[Programmer], weight: Tensor) -> FoldedReads | SummedReads:
        """The programmed cells, ready to be read in the way that is fastest."""
        tile, window, limits = self.hardware.tile, self.placement.window, adc_limits(self.hardware.tile, self.inputs)
        amperes = tile.v_read * self.hardware.device.g_range  # of an output code
        if limits:
            assert self.full_scale is not None
            amperes = self.full_scale / limits[1]
        gain, top = input_volts(tile, self.inputs) / amperes, input_top(tile, self.inputs)
        readouts = [Readout(self.hardware, chip.name, limits, gain, top) for chip in slices]
        scale = self._output_scale(weight, amperes)
        reads: Sequence[Reads]
        if self.placement.by_convolution:
            cuts = [(r, list(self.load.watch(c.row_cuts(), weight))) for r, c in zip(readouts, slices, strict=True)]
            kernel = folded_kernel(self.placement, cuts)
            if kernel is not None:
                return FoldedReads(self.geometry, as_kernel(kernel * scale.view(-1, *[1] * (kernel.dim() - 1)), weight))
            reads = [ConvolutionReads(self.placement, readout, tiles, weight) for readout, tiles in cuts]
        else:
            blocks = [(r, self.load.watch(c.blocks(), weight)) for r, c in zip(readouts, slices, strict=True)]
            reads = [BlockReads(self.placement, readout, tiles, weight) for readout, tiles in blocks]
        return SummedReads(reads, self.hardware.base, scale.to(weight), window)

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

    def forward(self, input: Tensor) -> Tensor:
        """One read per pass, and per bit if inputs are serial; shapes, and the argument's name, as for the float layer.

        Raises:
            ValueError: for an input map of another size than those the layer is placed for.
        """
        return self.reads(self._drives(input), self.gain, self.bias)

    def product(self, input: Tensor) -> Tensor:
        """The output before gain and bias, with read noise as in `forward`."""
        return self.reads(self._drives(input))

    def _drives(self, x: Tensor) -> Drives:
        """What drives the rows in each read: input codes or their bits, bent by an I-V law that all cells share."""
        size = tuple(x.shape[x.dim() - self.geometry.dims :])
        if self.placement.fixed_size and size not in self.sizes:
            sizes = " or ".join(map(str, self.sizes))
            fail(f"input map of layer {self.name!r}", size, f"of the size that its tiles were laid out for, {sizes}")
        law, tile = self.hardware.device.law, self.hardware.tile
        reads = row_inputs(x, tile, self.inputs)
        if law.v0 is None or law.depends_on_state:
            return reads
        volts = input_volts(tile, self.inputs)
        return ((factor, law.response(u * volts) / volts) for factor, u in reads)

    def reset(self) -> None:
        """Rewind the read noise to its state at mapping."""
        self.reads.rewind()

    def extra_repr(self) -> str:
        """Shown by print(network)."""
        p = self.placement
        tiles = len(p) * self.hardware.mapping.cells
        return f"{p.matrix_rows} x {p.window.outputs} in {tiles} tiles"

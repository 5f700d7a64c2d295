"""Layers whose products are computed by tiles: subclasses of the torch layers that they stand for.

Static effects are programmed once into conductances and folded with the converters' scales, so a read takes and gives
codes.
"""

from typing import Any

import torch
from torch import Tensor, nn

from memlib.base.checks import fail
from memlib.layers.geometry import MatrixLayer, along_first
from memlib.mapping.plan import LayerPlan
from memlib.mapping.scheme import target_conductances
from memlib.tiles.adc_range import adc_full_scale
from memlib.tiles.array_power import Load
from memlib.tiles.converters import input_at_v_read, input_volts, row_inputs
from memlib.tiles.input_record import LayerInputs
from memlib.tiles.programming import Programmer, program_slices
from memlib.tiles.readout import Readout
from memlib.tiles.reads import BlockReads, ConvolutionReads, Drives, FoldedReads, Reads, SummedReads, folded_kernel
from memlib.tiles.row_cut import as_kernel


class AnalogLayer(nn.Module):
    """A Linear or convolution layer on tiles, one chip's worth of devices; see `analog_layer`.

    Its fields are those of the float layer. `weight` is the target, in the float layer's units, to look at: tiles are
    programmed, so a change of it changes no output.

    Args:
        module: the float layer in the chip's own copy of the network, whose weight it keeps.
        layer: its plan, whose name names its random streams.
        seed: device seed.
        inputs: of the float network on calibration images; None only if both converters are off.
        full_scale: of the ADCs, A, if known already.
    """

    weight: Tensor
    #: (outputs, *window) digital factor of each column's sum, see `memlib.recalibrate`; None: 1
    gain: Tensor | None

    def __init__(
        self,
        module: MatrixLayer,
        layer: LayerPlan,
        seed: int,
        inputs: LayerInputs | None,
        full_scale: float | None = None,
    ) -> None:
        nn.Module.__init__(self)  # the float layer's class would draw weights of its own
        kept = {*vars(self), "weight", "bias", "gain"}
        vars(self).update({field: value for field, value in vars(module).items() if field not in kept})
        self.weight = nn.Parameter(module.weight.detach(), requires_grad=False)
        bias = module.bias
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach(), requires_grad=False))
        self.name, self.hardware, self.seed = layer.name, layer.hardware, seed
        self.geometry, self.sizes, self.placement = layer.geometry, layer.sizes, layer.placement
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
        self.register_buffer("gain", None)

    def _engine(self, slices: list[Programmer], weight: Tensor) -> FoldedReads | SummedReads:
        """The programmed cells, ready to be read in the way that is fastest."""
        reads: list[Reads]
        p, hardware = self.placement, self.hardware
        readouts = [Readout.of(hardware, chip.name, self.inputs, self.full_scale) for chip in slices]
        _, weight_per_siemens = target_conductances(weight.cpu().double(), hardware.device, hardware.mapping)
        x = input_at_v_read(hardware.tile, self.inputs)
        response = hardware.device.law.full_response(hardware.tile.v_read)
        scale = weight_per_siemens * readouts[0].amperes * x / response  # output per sum of codes, (outputs,) float64
        if p.by_convolution:
            cuts = [list(self.load.watch(chip.row_cuts(), weight)) for chip in slices]
            kernel = folded_kernel(p, readouts, cuts)
            if kernel is not None:
                return FoldedReads(self.geometry, as_kernel(kernel * along_first(scale, kernel), weight))
            reads = [ConvolutionReads(p, *part, weight) for part in zip(readouts, cuts, strict=True)]
        else:
            blocks = [self.load.watch(chip.blocks(), weight) for chip in slices]
            reads = [BlockReads(p, *part, weight) for part in zip(readouts, blocks, strict=True)]
        return SummedReads(reads, hardware.base, scale.to(weight), p.window)

    def forward(self, input: Tensor) -> Tensor:
        """One read per pass, and per bit if inputs are serial; shapes, and the argument's name, as for the float layer.

        Raises ValueError for an input map of another size than those the layer is placed for.
        """
        return self.reads(self._drives(input), self.gain, self.bias)

    def product(self, input: Tensor) -> Tensor:
        """The output before gain and bias, with read noise as in `forward`."""
        return self.reads(self._drives(input))

    def _drives(self, x: Tensor) -> Drives:
        """The drive of the rows in each read: input codes or their bits, bent by an I-V law that all cells share."""
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


class AnalogLinear(AnalogLayer, nn.Linear):
    """A linear layer on tiles."""


class AnalogConv1d(AnalogLayer, nn.Conv1d):
    """A one-dimensional convolution on tiles."""


class AnalogConv2d(AnalogLayer, nn.Conv2d):
    """A two-dimensional convolution on tiles."""


class AnalogConv3d(AnalogLayer, nn.Conv3d):
    """A three-dimensional convolution on tiles."""


ANALOG: dict[type[MatrixLayer], type[AnalogLayer]] = {
    nn.Linear: AnalogLinear,
    nn.Conv1d: AnalogConv1d,
    nn.Conv2d: AnalogConv2d,
    nn.Conv3d: AnalogConv3d,
}


def analog_layer(module: MatrixLayer, *arguments: Any) -> AnalogLayer:
    """A layer on tiles, of a subclass of its float layer's class; arguments as for `AnalogLayer`."""
    return ANALOG[type(module)](module, *arguments)

"""Layers whose products are computed by tiles.

Static effects are programmed once into conductances and folded with the converters' scales, so that a read takes and
gives codes. In the dense layout without converters and read noise, all tiles fold into one ordinary layer.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from memlib.calibration import LayerInputs, input_volts, quantise_input
from memlib.hardware import Hardware
from memlib.layers import Geometry
from memlib.placement import Size
from memlib.programming import ProgrammedTiles, Programmer
from memlib.ranges import calibrated_range, full_range
from memlib.reads import BlockReads, ConvolutionReads, Cut, Readout, as_kernel
from memlib.tile import code_limits
from memlib.validate import fail


class AnalogLayer(nn.Module):
    """A Linear or convolution layer on tiles, one chip's worth of devices.

    Args:
        module: the float layer.
        name: of the layer in its network; names its random streams.
        seed: device seed.
        inputs: of the float network on calibration images; None only if both converters are off.
        sizes: distinct sizes of its input maps, if known.
        full_scale: the ADC's full scale, A, if already known (of a saved network).
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        hardware: Hardware,
        seed: int,
        inputs: LayerInputs | None,
        sizes: tuple[Size, ...] = (),
        full_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.name, self.hardware, self.seed = name, hardware, seed
        self.geometry, self.sizes = Geometry.of(module), sizes
        weight = module.weight.detach()
        if weight.dtype not in (torch.float32, torch.float64):
            field = f"dtype of layer {name!r}"
            fail(field, weight.dtype, "float32 or float64, which can hold a converter's codes")
        self.placement = hardware.place(self.geometry, sizes)
        chip = self._programmer(weight, ideal=False)
        self.full_scale = (full_scale or self._full_scale(chip, weight, inputs)) if hardware.tile.adc_bits else None
        self.inputs = inputs and inputs.without_values()
        self._fold(chip, weight)
        self.register_buffer("bias", None if module.bias is None else module.bias.detach().clone())

    def _programmer(self, weight: Tensor, ideal: bool) -> Programmer:
        h = self.hardware
        device = h.device.ideal() if ideal else h.device
        return Programmer(weight.cpu().double(), self.placement, h.tile, device, h.mapping, self.seed, self.name)

    def _full_scale(self, chip: Programmer, weight: Tensor, inputs: LayerInputs) -> float:
        """The ADC's full scale, A: see `Tile.adc_range`, `Tile.adc_calibration` and `Tile.adc_quantile`."""
        tile, full = self.hardware.tile, full_range(chip, self.hardware.tile)
        if inputs.passes.shape[1:] != (self.geometry.inputs * self.geometry.positions,):
            raise ValueError(
                f"calibration: recorded for another layer {self.name!r}; record the inputs of this network"
            )
        if tile.adc_range == "full":
            return full
        devices = chip if tile.adc_calibration == "chip" else self._programmer(weight, ideal=True)
        return calibrated_range(devices, tile, inputs) or full

    def _fold(self, chip: Programmer, weight: Tensor) -> None:
        """Turn conductances into reads, and the layer's output into `scale` times a sum of codes."""
        tile, device = self.hardware.tile, self.hardware.device
        limits = None
        if tile.adc_bits:
            limits = code_limits(tile.adc_bits, tile.converter == "pair" or self.inputs.signed, "adc_bits")
        volts = input_volts(tile, self.inputs)
        x_max = self.inputs.x_max if self.inputs else 1.0
        amperes = self.full_scale / limits[1] if tile.adc_bits else tile.v_read * device.g_range
        scale = chip.weight_per_siemens * amperes * x_max / tile.v_read
        readout = Readout(self.hardware, (self.seed, self.name), limits, volts / amperes)
        self.register_buffer("scale", scale.view(-1, *[1] * self.geometry.dims).to(weight))
        #: all that each input of a pass drives, S; the last entry stands for no input
        load = torch.zeros(self.placement.window.inputs + 1, dtype=torch.float64)
        self.register_buffer("load", load)
        tiles = self._loaded(chip.row_cuts() if self.placement.by_convolution else chip.blocks())
        self.reads = None
        if not self.placement.by_convolution:
            self.reads = BlockReads(self.placement, readout, tiles, weight)
            return
        cuts = list(tiles)
        folded = None if readout.codes or readout.noisy else self._folded_weight(cuts, readout)
        if folded is None:
            self.reads = ConvolutionReads(self.placement, readout, cuts, weight)
        else:
            self.register_buffer("weight", as_kernel(folded * scale.view(-1, *[1] * (weight.dim() - 1)), weight))

    def _loaded(self, blocks: Iterable[ProgrammedTiles]) -> Iterable[ProgrammedTiles]:
        """The same tiles, whose conductances are added to the load of their inputs on the way."""
        for tiles in blocks:
            self.load.index_add_(0, tiles.inputs.flatten(), tiles.load().flatten())
            yield tiles
        self.load = self.load.to(self.scale.device)

    def _folded_weight(self, cuts: list[ProgrammedTiles], readout: Readout) -> Tensor | None:
        """All cuts as one weight of the layer's own shape, where nothing happens to the partial sums in between."""
        geometry, window = self.geometry, self.placement.window
        matrix = torch.zeros(geometry.outputs, window.inputs, dtype=torch.float64)
        for tiles in cuts:
            cut = Cut.of(tiles, window)
            signal = cut.matrix(readout.signal(tiles), readout.offset)
            first = cut.first * window.places_count
            matrix[cut.outputs, first : first + signal.shape[1]] += signal
        blocks = matrix.view(geometry.groups, geometry.outputs // geometry.groups, geometry.groups, -1)
        diagonal = blocks.diagonal(dim1=0, dim2=2)  # (columns, rows, groups)
        if geometry.groups > 1 and diagonal.count_nonzero() < matrix.count_nonzero():
            return None  # unused cells conduct unequally: the groups are no longer independent
        return diagonal.permute(2, 0, 1).reshape(geometry.weight_shape)

    def forward(self, input: Tensor) -> Tensor:
        """One read per pass; shapes, and the argument's name, as for the float layer.

        Raises:
            ValueError: for an input map of another size than those the layer is placed for.
        """
        self._check_size(input)
        u = quantise_input(input, self.hardware.tile, self.inputs)
        if self.reads is None:
            u, padding = self.geometry.pad(u)
            return self.geometry.product(u, self.weight, padding, self.geometry.groups, self.bias)
        total = self.reads(u).mul_(self.scale)
        return total if self.bias is None else total.add_(self.bias.view(self.scale.shape))

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
        tiles = len(p) * self.hardware.mapping.polarities
        return f"{p.matrix_rows} x {p.window.outputs} in {tiles} tiles"

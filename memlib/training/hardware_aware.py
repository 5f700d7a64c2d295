"""Training that sees the hardware: weights as cells hold them, and inputs as DACs give them.

It covers every static effect of the device (`program_cells`), with fresh cells at every step, and the rounding and
clipping of inputs, with one pair of cells for each weight (differential scheme, dense layout). It does not cover ADCs,
read noise, wires, unused cells between the groups of a grouped layer, nor other schemes and layouts.

Batch norm with each batch's own statistics would learn to count on statistics that are measured again on every chip.
A recipe's `frozen_statistics` makes training do without.
"""

import contextlib
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from memlib.base.random_streams import generator
from memlib.cells.device import Device
from memlib.cells.static_effects import draw_effect, program_cells
from memlib.layers.geometry import along_first
from memlib.layers.mappable import own_layers
from memlib.mapping.scheme import Mapping, target_conductances
from memlib.tiles.converters import code_limits
from memlib.tiles.input_record import LayerInputs, record_inputs


class Programmed(nn.Module):
    """A parametrisation: in training, the weight that freshly programmed cells hold, W + e max|W|.

    The gradient passes to W unchanged, and to max|W| by the errors e, which are relative to it. Every use advances the
    source of random numbers.
    """

    def __init__(self, device: Device, source: torch.Generator) -> None:
        super().__init__()
        self.device, self.source = device, source

    def forward(self, weight: Tensor) -> Tensor:
        """(out, ...) -> the same shape."""
        if not self.training:
            return weight
        top = weight.abs().amax().clamp(min=1e-30)  # scales all errors: training can make them smaller
        return weight + ((self._held(weight.detach()) - weight) / top).detach() * top

    def _held(self, weight: Tensor) -> Tensor:
        """The weights that the cells' conductances mean, W = (g_pos - g_neg)/k, in the shape of `weight`."""
        (targets,), per_siemens = target_conductances(weight.cpu().double(), self.device, Mapping())
        draw = partial(draw_effect, shape=targets.shape, source=self.source)
        positive, negative = program_cells(self.device, targets, draw, self.device.states)[:, 0]
        return ((positive - negative) * along_first(per_siemens, weight)).to(weight)


class Driven:
    """A forward hook: in training, a layer's inputs as its DACs give them, rounded and clipped.

    Gradients pass unchanged, but where inputs are clipped they are 0.
    """

    def __init__(self, bits: int, inputs: LayerInputs) -> None:
        low, high = code_limits(bits, inputs.signed, "dac_bits")
        self.gain = high / inputs.x_max
        self.bounds = low / self.gain, high / self.gain

    def __call__(self, module: nn.Module, arguments: tuple[Tensor]) -> Tensor | None:
        """The codes of `converters.quantise_input`, as inputs again."""
        if not module.training:
            return None
        x = F.hardtanh(arguments[0].float(), *self.bounds)  # a fifth of the time of torch.fake_quantize...
        with torch.no_grad():  # ... if what is rounded is its result, which its gradient does not depend on
            return x.mul_(self.gain).round_().mul_(1 / self.gain)


@contextlib.contextmanager
def on_hardware(
    model: nn.Module, device: Device, dac_bits: int | None, images: Tensor, *name: str | int
) -> Iterator[None]:
    """Inside, `model` in training mode computes as on chips, with other cells at every forward; afterwards as before.

    Args:
        device: of all cells.
        dac_bits: of all inputs, or None.
        images: (n, *input shape), on which the float network, as it is now, gives the ranges of inputs.
        name: of the random streams, with each layer's name.

    Raises:
        UnsupportedLayerError: for a recurrent layer, or one that is no matrix layer, if there is any hardware to see.
    """
    if device == device.ideal() and dac_bits is None:
        yield
        return
    layers = own_layers(model, "training on hardware")
    with contextlib.ExitStack() as afterwards:
        if dac_bits is not None:
            for n, inputs in record_inputs(model, images, maps=False).items():
                hook = layers[n].register_forward_pre_hook(Driven(dac_bits, inputs))
                afterwards.callback(hook.remove)
        for n, layer in layers.items() if device != device.ideal() else ():
            weight = Programmed(device, generator(*name, n))
            parametrize.register_parametrization(layer, "weight", weight, unsafe=True)  # safe would draw at once
            afterwards.callback(parametrize.remove_parametrizations, layer, "weight", leave_parametrized=False)
        yield

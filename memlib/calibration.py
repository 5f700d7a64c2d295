"""What the converters are set to: the range of each layer's inputs, and of the currents they cause.

The float network runs once over calibration images; each layer keeps its largest input and the inputs of some passes.
The record depends on the network and the images alone, so one record serves every hardware and every device seed.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from memlib.layers import Geometry, float_copy, matrix_layers
from memlib.streams import generator

#: Passes whose inputs a layer keeps at most, chosen at random over all images and positions.
PASSES = 4096


@dataclass(frozen=True)
class LayerInputs:
    """What calibration knows of one layer's input."""

    x_max: float  #: largest |x|, 1 if that is 0
    signed: bool  #: whether any value is negative
    passes: Tensor  #: (n, inputs) inputs of randomly chosen passes, counted (c, ky, kx)


Record = dict[str, LayerInputs]


@torch.inference_mode()
def record_inputs(model: nn.Module, images: Tensor, digital: Any = (), batch: int = 128) -> Record:
    """Run the float network on calibration images and keep what its converters need to know.

    Args:
        images: (n, *input shape), as the model takes them.

    Raises:
        ValueError: if the images do not fit the model.
    """
    if not isinstance(images, Tensor) or images.dim() < 2 or not len(images):
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"calibration={shape}: must be a tensor of at least one image, (n, *input shape)")
    clone = float_copy(model)
    modules = dict(clone.named_modules())
    recorders = {name: _Recorder(name, module, len(images)) for name, module in matrix_layers(model, digital).items()}
    for name, recorder in recorders.items():
        modules[name].register_forward_pre_hook(recorder, with_kwargs=True)
    try:
        for part in images.split(batch):
            clone(part)
    except (RuntimeError, ValueError) as error:
        message = str(error).splitlines()[0]
        raise ValueError(
            f"calibration: images of shape {tuple(images.shape)} do not fit the model ({message})"
        ) from error
    return {name: recorder.result() for name, recorder in recorders.items() if recorder.kept}


class _Recorder:
    """A forward hook that watches one layer's input."""

    def __init__(self, name: str, module: nn.Module, images: int) -> None:
        self.name, self.geometry, self.images = name, Geometry.of(module), images
        self.generator = generator("calibration", name)
        self.largest, self.signed, self.kept = 0.0, False, []

    def __call__(self, _module: nn.Module, arguments: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        x = arguments[0] if arguments else named["input"]
        low, high = (float(v) for v in x.aminmax())
        if not math.isfinite(low) or not math.isfinite(high):
            raise ValueError(f"layer {self.name!r} gets inputs that are not finite")
        self.largest, self.signed = max(self.largest, high, -low), self.signed or low < 0
        patches = self.geometry.patches(x)
        inner = self.geometry.dims + 1
        shape = patches.shape[: patches.dim() - inner]
        quota = -(-PASSES * len(x) // self.images)
        chosen = torch.randperm(shape.numel(), generator=self.generator)[:quota].to(x.device)
        self.kept.append(patches[torch.unravel_index(chosen, shape)].flatten(1))

    def result(self) -> LayerInputs:
        """What was seen, its passes in random order, so that any first ones are a sample."""
        passes = torch.cat(self.kept)
        order = torch.randperm(len(passes), generator=self.generator)
        return LayerInputs(self.largest or 1.0, self.signed, passes[order.to(passes.device)])

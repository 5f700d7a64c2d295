"""The record that converters are calibrated on: the range of each layer's inputs, and a sample of them.

The float network runs once over calibration images. Each layer keeps its largest input and the inputs of some passes.
The record depends on the network and the images alone, so one record serves every hardware and every device seed.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from memlib.base.checks import images_of
from memlib.base.random_streams import generator
from memlib.layers.geometry import Geometry, MatrixLayer, Size
from memlib.layers.mappable import float_copy, matrix_layers
from memlib.layers.tracing import fitting, input_of

#: Passes whose inputs a layer keeps, a random sample of all images and positions; up to twice as many where a batch
#: reads the layer several times, as a recurrent one at every time step.
PASSES = 4096
#: Whole input maps that a layer keeps at most, of a random sample of images, and at most so many values of them.
MAPS, MAP_VALUES = 64, 2**20
LEAST_MAPS = 8  #: maps that it keeps at least, however large


@dataclass(frozen=True)
class LayerInputs:
    """The record of one layer's input."""

    x_max: float  #: largest |x|, 1 if that is 0
    signed: bool  #: whether any value is negative
    passes: Tensor  #: (n, inputs) inputs of randomly chosen passes of the dense layout, counted (c, ky, kx)
    sizes: tuple[tuple[int, ...], ...] = ()  #: distinct sizes of the input maps; none if linear
    maps: tuple[Tensor, ...] = ()  #: for each size, (n, channels, *map) of randomly chosen images, for other layouts

    def without_values(self) -> "LayerInputs":
        """The record without its sample, for when calibration is over."""
        return replace(self, passes=self.passes[:0].clone(), maps=())


Record = dict[str, LayerInputs]  #: by the layers' names


def seen_sizes(record: Record) -> dict[str, tuple[Size, ...]]:
    """The sizes of the input maps that layers had on the recorded images."""
    return {name: inputs.sizes for name, inputs in record.items()}


@torch.inference_mode()
def record_inputs(model: nn.Module, images: Tensor, digital: Any = (), batch: int = 128, maps: bool = True) -> Record:
    """Run the float network on calibration images and record the input of every layer.

    Args:
        images: (n, *input shape), as the model takes them.
        digital: see `matrix_layers`.
        batch: images that run at once.
        maps: whether to keep whole input maps too, which every layout but the dense one needs.

    Raises:
        ValueError: if the images do not fit the model.
    """
    images_of("calibration", images)
    layers = matrix_layers(model, digital)
    clone = float_copy(model, layers)
    modules = dict(clone.named_modules())
    recorders = {name: _Recorder(name, module, len(images), maps) for name, module in layers.items()}
    for name, recorder in recorders.items():
        modules[name].register_forward_pre_hook(recorder, with_kwargs=True)
    with fitting(f"calibration: images of shape {tuple(images.shape)} do not fit the model"):
        for part in images.split(batch):
            clone(part)
    return {name: recorder.result() for name, recorder in recorders.items() if recorder.kept}


class _Recorder:
    """A forward hook that watches one layer's input."""

    def __init__(self, name: str, module: MatrixLayer, images: int, keep_maps: bool) -> None:
        self.name, self.geometry, self.images, self.keep_maps = name, Geometry.of(module), images, keep_maps
        self.generator, self.map_generator = generator("calibration", name), generator("calibration", name, "maps")
        self.largest, self.signed = 0.0, False
        self.kept: list[Tensor] = []
        self.share = 1.0  #: of the passes that would be kept, where these are too many
        self.maps: dict[tuple[int, ...], list[Tensor]] = {}

    def __call__(self, _module: nn.Module, arguments: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        x = input_of(arguments, named)
        low, high = (float(v) for v in x.aminmax())
        if not math.isfinite(low) or not math.isfinite(high):
            raise ValueError(f"layer {self.name!r} gets inputs that are not finite")
        self.largest, self.signed = max(self.largest, high, -low), self.signed or low < 0
        patches = self.geometry.patches(x)
        inner = self.geometry.dims + 1
        shape = patches.shape[: patches.dim() - inner]
        quota = -(-PASSES * len(x) // self.images)
        sample = torch.randperm(shape.numel(), generator=self.generator)[:quota]
        if self.share < 1:
            sample = sample[torch.rand(len(sample), generator=self.generator) < self.share]
        self.kept.append(patches[torch.unravel_index(sample.to(x.device), shape)].flatten(1))
        if sum(map(len, self.kept)) > 2 * PASSES:
            self._thin()
        if self.geometry.dims:
            self._keep_maps(x)

    def _thin(self) -> None:
        """Leave out so many passes, and of all later ones the same share, that a sample of all remains."""
        passes = torch.cat(self.kept)
        left = torch.randperm(len(passes), generator=self.generator)[:PASSES].to(passes.device)
        self.kept, self.share = [passes[left]], self.share * PASSES / len(passes)

    def _keep_maps(self, x: Tensor) -> None:
        x = x[None] if x.dim() == self.geometry.dims + 1 else x
        quota = 0 if not self.keep_maps else min(MAPS, max(LEAST_MAPS, MAP_VALUES // x[0].numel()))
        sample = torch.randperm(len(x), generator=self.map_generator)[: -(-quota * len(x) // self.images)].to(x.device)
        self.maps.setdefault(tuple(x.shape[2:]), []).append(x[sample])

    def result(self) -> LayerInputs:
        """The record, its passes in random order, so any first ones are a sample; lets go of them."""
        passes = torch.cat(self.kept)
        self.kept.clear()  # with those of all layers, half of a small network's memory
        order = torch.randperm(len(passes), generator=self.generator)
        if self.share < 1:
            order = order[:PASSES]
        maps = []
        for _, kept in sorted(self.maps.items()):
            whole = torch.cat(kept)
            kept.clear()
            maps.append(whole[torch.randperm(len(whole), generator=self.map_generator).to(whole.device)])
        sizes, shuffled = tuple(sorted(self.maps)), passes[order.to(passes.device)]
        return LayerInputs(self.largest or 1.0, self.signed, shuffled, sizes, tuple(maps) if self.keep_maps else ())

"""The sizes of the inputs that a network gives to its layers."""

import contextlib
import math
from collections.abc import Iterator, Mapping as MappingType, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from memlib.base.checks import fail
from memlib.layers.geometry import Geometry, MatrixLayer
from memlib.layers.mappable import float_copy


def input_of(arguments: tuple[Tensor, ...], named: MappingType[str, Tensor]) -> Tensor:
    """A layer's input in a forward hook, given by position or as `input=`."""
    return arguments[0] if arguments else named["input"]


def calls_of(geometry: Geometry, x: Tensor, images: int) -> list[tuple[int, ...]]:
    """The sizes of `call_sizes` that one call of a layer with a batch of so many images adds for each image."""
    if not geometry.dims:
        return [(math.prod(x.shape[:-1]) // images,)]
    maps = x.shape[0] // images if x.dim() == geometry.dims + 2 else 1  # a model may fold other dimensions into these
    return [tuple(x.shape[x.dim() - geometry.dims :])] * maps


def call_sizes(
    model: nn.Module, layers: MappingType[str, MatrixLayer], input_shape: tuple[int, ...]
) -> dict[str, list[tuple[int, ...]]]:
    """The size of each layer's input at each call, for one input of `input_shape`; nothing is computed.

    Returns:
        layer name -> the size of its input map at each call; of a linear layer, how many vectors it takes there.

    Raises:
        ValueError: if the input does not fit the model.
    """
    if not isinstance(input_shape, Sequence):
        fail("input_shape", input_shape, "the sizes of one input, without the batch dimension, such as (3, 32, 32)")
    sizes: dict[str, list[tuple[int, ...]]] = {name: [] for name in layers}
    clone = float_copy(model, layers).to("meta")
    modules = dict(clone.named_modules())
    for name, module in layers.items():

        def record(_m: nn.Module, args: Any, named: Any, name: str = name, module: MatrixLayer = module) -> None:
            sizes[name] += calls_of(Geometry.of(module), input_of(args, named), images=1)

        modules[name].register_forward_pre_hook(record, with_kwargs=True)
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    with torch.inference_mode(), fitting(f"input_shape={tuple(input_shape)}: does not fit the model"):
        clone(torch.empty(1, *input_shape, dtype=dtype, device="meta"))
    return sizes


def map_sizes(module: MatrixLayer, calls: list[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """The distinct sizes of a layer's input maps, from its `call_sizes`; none for a linear layer."""
    return tuple(sorted(set(calls))) if Geometry.of(module).dims else ()


@contextlib.contextmanager
def fitting(message: str) -> Iterator[None]:
    """Run a network inside; an error that its inputs cause becomes a ValueError with this message."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{message} ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    """The first line of an error's message, without those that explain it."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__

"""What a layer computes, whatever it is mapped on: matrix layers of any shape, and the network around them."""

import contextlib
import copy
import math
from collections.abc import Collection, Iterator, Mapping as MappingType
from dataclasses import dataclass
from typing import Any, TypeGuard, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memlib.layers.recurrent import CELLS, LAYERS, products, recurrent, unrolled

#: What tiles compute, by exact type.
MatrixLayer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
MATRIX_LAYERS = get_args(MatrixLayer)
Normalisation = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
NORMALISATIONS = get_args(Normalisation)


class UnsupportedLayerError(ValueError):
    """A layer that cannot be mapped; the message says what to do."""


@dataclass(frozen=True)
class Geometry:
    """Shape of a Linear (no kernel) or Conv1d/2d/3d layer, and its product with any weight of that shape."""

    outputs: int
    inputs: int  #: input channels
    groups: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  #: before and after, per dimension
    padding_mode: str

    @classmethod
    def of(cls, module: MatrixLayer) -> "Geometry":
        """The geometry of a torch layer."""
        if isinstance(module, nn.Linear):
            return cls(module.out_features, module.in_features, 1, (), (), (), (), "zeros")
        flat = module._reversed_padding_repeated_twice  # torch resolves 'same' and ints to this, last dimension first
        padding = tuple(zip(flat[::2], flat[1::2], strict=True))[::-1]
        sizes = (module.kernel_size, module.stride, module.dilation)
        return cls(module.out_channels, module.in_channels, module.groups, *sizes, padding, module.padding_mode)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(out, in/groups, *kernel)."""
        return (self.outputs, self.inputs // self.groups, *self.kernel)

    @property
    def dims(self) -> int:
        """Number of spatial dimensions."""
        return len(self.kernel)

    @property
    def positions(self) -> int:
        """Kernel positions per input channel."""
        return math.prod(self.kernel)

    def output_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Size of the output map for an input map of this size."""
        dimensions = zip(size, self.padding, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((n + sum(pad) - gap * (k - 1) - 1) // step + 1 for n, pad, k, step, gap in dimensions)

    def channels(self, x: Tensor, first: int, count: int) -> Tensor:
        """Some of the channels of an input (..., channels, *spatial), or features of (..., features)."""
        return x.narrow(-1 - self.dims, first, count)

    def pad(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Pad what a convolution cannot pad itself; returns the input and the padding left to the convolution."""
        symmetric = all(before == after for before, after in self.padding)
        if self.padding_mode == "zeros" and symmetric:
            return x, tuple(before for before, _ in self.padding)
        return self.pad_all(x), (0,) * self.dims

    def pad_all(self, x: Tensor) -> Tensor:
        """Pad with this layer's mode."""
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return F.pad(x, [amount for pair in reversed(self.padding) for amount in pair], mode=mode)

    def product(
        self, x: Tensor, weight: Tensor, padding: tuple[int, ...], groups: int = 1, bias: Tensor | None = None
    ) -> Tensor:
        """The layer's matrix product of an already padded `x` with any weight of this kernel size."""
        if not self.dims:
            return F.linear(x, weight, bias)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.dims - 1]
        return convolve(x, weight, bias, self.stride, padding, self.dilation, groups)

    def patches(self, x: Tensor) -> Tensor:
        """The inputs of every pass: (..., channels, *spatial) -> (..., *passes, channels, *kernel), a view."""
        if not self.dims:
            return x
        x = self.pad_all(x)
        for size, step, gap in zip(self.kernel, self.stride, self.dilation, strict=True):
            x = x.unfold(-self.dims, (size - 1) * gap + 1, step)[..., ::gap]  # moves its kernel positions to the end
        return x.movedim(-1 - 2 * self.dims, -1 - self.dims)


def is_matrix_layer(module: nn.Module | None) -> TypeGuard[MatrixLayer]:
    """Whether tiles can compute a module: by exact type, as a subclass may compute something else."""
    return type(module) in MATRIX_LAYERS


def all_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules of `model` by name, and behind each recurrent one its matrix layers, such as "lstm.l0.input"."""
    found = {}
    for name, module in model.named_modules():
        found[name] = module
        if recurrent(module):
            found |= {_joined(name, part): layer for part, layer in products(module)}
    return found


def matrix_layers(model: nn.Module, digital: Any = ()) -> dict[str, MatrixLayer]:
    """The layers of `model` to map, by name; a module used under several names counts once, under its first.

    Recurrent layers count as their products, see `memlib.layers.recurrent`, whose names only a `float_copy` has.

    Args:
        digital: names, as in `all_modules` and such as "lstm.l0" for all products of one layer and direction, or
            classes of modules that stay digital with all they contain.

    Raises:
        UnsupportedLayerError: for a parameterised module that can neither be mapped nor is listed in `digital`.
        ValueError: for an entry of `digital` that matches no module.
    """
    modules = all_modules(model)
    skipped = _digital_modules(model, modules, digital)
    layers: dict[str, MatrixLayer] = {}
    for name, module in modules.items():
        if module in skipped or isinstance(module, NORMALISATIONS) or recurrent(module):
            continue
        if is_matrix_layer(module):
            layers[name] = module
        elif module._parameters and any(p is not None for p in module._parameters.values()):
            raise UnsupportedLayerError(_unsupported(name, module))
    return layers


def _unsupported(name: str, module: nn.Module) -> str:
    """What to do about a layer that cannot be mapped."""
    why = "only Linear, Conv1d, Conv2d, Conv3d, RNN, LSTM, GRU and their cells can"
    if type(module) in LAYERS + CELLS:  # but its weights are computed from others
        why = "make its pruning or weight norm permanent first"
    return (
        f"layer {name or 'the model itself'!r} ({type(module).__name__}) has parameters and cannot be mapped; {why}; "
        f"to compute it, and all it contains, digitally pass digital=[{name!r}]"
    )


def own_layers(model: nn.Module, what: str) -> dict[str, MatrixLayer]:
    """The `matrix_layers` of a model all of whose are its own modules, for what changes them in place.

    Args:
        what: takes them, for the error.

    Raises:
        UnsupportedLayerError: as `matrix_layers`, and for a recurrent layer, whose products are no modules.
    """
    for name, module in model.named_modules():
        if recurrent(module):
            label = name or "the model itself"
            raise UnsupportedLayerError(f"layer {label!r} ({type(module).__name__}): {what} takes no recurrent layers")
    return matrix_layers(model)


def float_copy(model: nn.Module, layers: Collection[str] = ()) -> nn.Module:
    """A copy of a network in eval mode, in which recurrent modules are unrolled as far as they are to be mapped.

    Args:
        layers: names of those to map; all of them are modules of the copy.

    Raises:
        ValueError: if it cannot be copied.
    """
    try:
        clone = copy.deepcopy(model).eval()
    except RuntimeError as error:
        if "deepcopy" not in str(error):
            raise
        raise ValueError(
            "model: cannot be copied; make its pruning or weight norm permanent first, with "
            "torch.nn.utils.prune.remove or torch.nn.utils.parametrize.remove_parametrizations"
        ) from error
    mapped = {
        name: unrolled(module)
        for name, module in clone.named_modules()
        if recurrent(module) and any(_joined(name, part) in layers for part, _ in products(module))
    }
    return put_in_place(clone, mapped)


def put_in_place(network: nn.Module, replacements: MappingType[str, nn.Module]) -> nn.Module:
    """Put modules in the place of those of these names, under every name that these are known by; returns the network.

    It is another one where the network itself, named "", is replaced.
    """
    originals = {id(network.get_submodule(name)): module for name, module in replacements.items()}
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if id(module) in originals:
            parent, _, child = name.rpartition(".")
            if not name:
                network = originals[id(module)]
            else:
                setattr(network.get_submodule(parent), child, originals[id(module)])
    return network


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _digital_modules(model: nn.Module, modules: MappingType[str, nn.Module], digital: Any) -> set[nn.Module]:
    if isinstance(digital, str | type):
        raise TypeError(f"digital={digital!r}: must be a list of layer names or classes")
    skipped: set[nn.Module] = set()
    for entry in digital:
        if isinstance(entry, type):  # one of the model's, not of what it is unrolled to
            matches = [module for module in model.modules() if type(module) is entry]
        else:
            matches = [module for name, module in modules.items() if name == entry or name.startswith(f"{entry}.")]
        if not matches:
            raise ValueError(f"digital={entry!r}: no module of that name or class in the model")
        skipped.update(part for match in matches for part in match.modules())
    whole = [name for name, module in model.named_modules() if module in skipped and recurrent(module)]
    return skipped | {modules[_joined(name, part)] for name in whole for part, _ in products(modules[name])}


def calls_of(geometry: Geometry, x: Tensor, images: int) -> list[tuple[int, ...]]:
    """What one call of a layer with a batch of so many images means for each of them, as in `call_sizes`."""
    if not geometry.dims:
        return [(math.prod(x.shape[:-1]) // images,)]
    maps = x.shape[0] // images if x.dim() == geometry.dims + 2 else 1  # a model may fold other dimensions into these
    return [tuple(x.shape[x.dim() - geometry.dims :])] * maps


def call_sizes(
    model: nn.Module, layers: MappingType[str, MatrixLayer], input_shape: tuple[int, ...]
) -> dict[str, list[tuple[int, ...]]]:
    """The size of each layer's input at each call, for one input of `input_shape`, found without computing anything.

    Returns:
        layer name -> the size of its input map at each call; of a linear layer, how many vectors it takes there.

    Raises:
        ValueError: if the input does not fit the model.
    """
    sizes: dict[str, list[tuple[int, ...]]] = {name: [] for name in layers}
    clone = float_copy(model, layers).to("meta")
    modules = dict(clone.named_modules())
    for name, module in layers.items():

        def record(_m: nn.Module, args: Any, named: Any, name: str = name, module: MatrixLayer = module) -> None:
            """Add a call."""
            sizes[name] += calls_of(Geometry.of(module), args[0] if args else named["input"], images=1)

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
    """What an error says, without the lines that explain it."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__

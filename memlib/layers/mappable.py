"""Which layers of a network tiles can compute, copies of the network, and how to put other layers in their place."""

import copy
from collections.abc import Collection, Iterable, Mapping as MappingType
from typing import Any, TypeGuard, get_args

from torch import nn

from memlib.base.checks import fail
from memlib.layers.geometry import MATRIX_LAYERS, MatrixLayer
from memlib.layers.recurrent import CELLS, LAYERS, products, recurrent, unrolled

Normalisation = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
NORMALISATIONS = get_args(Normalisation)


class UnsupportedLayerError(ValueError):
    """A layer that cannot be mapped; the message says what to do."""


def is_matrix_layer(module: nn.Module | None) -> TypeGuard[MatrixLayer]:
    """Whether tiles can compute a module: by exact type, as a subclass may compute something else."""
    return type(module) in MATRIX_LAYERS


def all_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules of `model` by name, and behind each recurrent one its matrix layers, such as "lstm.l0.input"."""
    if not isinstance(model, nn.Module):
        fail("model", model, "a torch.nn.Module")
    modules = {}
    for name, module in model.named_modules():
        modules[name] = module
        if recurrent(module):
            modules |= {_joined(name, part): layer for part, layer in products(module)}
    return modules


def matrix_layers(model: nn.Module, digital: Any = ()) -> dict[str, MatrixLayer]:
    """The layers of `model` to map, by name; a module used under several names counts once, under its first.

    Recurrent layers count as their products, see `memlib.layers.recurrent`, whose names only a `float_copy` has.

    Args:
        digital: names, as in `all_modules` and such as "lstm.l0" for all products of one layer and direction, or
            classes of modules that stay digital with all they contain.

    Raises:
        UnsupportedLayerError: for a parameterised module that can neither be mapped nor is listed in `digital`.
        ValueError: for what is no module, or an entry of `digital` that matches none.
        TypeError: if `digital` is no list.
    """
    modules = all_modules(model)
    skipped = _digital_modules(model, modules, digital)
    layers: dict[str, MatrixLayer] = {}
    for name, module in modules.items():
        if module in skipped or isinstance(module, NORMALISATIONS) or recurrent(module):
            continue
        if is_matrix_layer(module):
            layers[name] = module
        elif any(p is not None for p in module._parameters.values()):
            why = "only Linear, Conv1d, Conv2d, Conv3d, RNN, LSTM, GRU and their cells can"
            if type(module) in LAYERS + CELLS:  # but its weights are computed from others
                why = "make its pruning or weight norm permanent first"
            raise UnsupportedLayerError(
                f"layer {_label(name, module)} has parameters and cannot be mapped; {why}; to compute it, and all it "
                f"contains, digitally pass digital=[{name!r}]"
            )
    return layers


def _label(name: str, module: nn.Module) -> str:
    return f"{name or 'the model itself'!r} ({type(module).__name__})"


def own_layers(model: nn.Module, what: str) -> dict[str, MatrixLayer]:
    """The `matrix_layers` of a model without recurrent layers: all are its own modules and can be changed in place.

    Raises UnsupportedLayerError as `matrix_layers`, and for a recurrent layer, whose products are no modules; `what`
    takes none.
    """
    for name, module in model.named_modules():
        if recurrent(module):
            raise UnsupportedLayerError(f"layer {_label(name, module)}: {what} takes no recurrent layers")
    return matrix_layers(model)


def float_copy(model: nn.Module, layers: Collection[str] = ()) -> nn.Module:
    """A copy of a network in eval mode, in which recurrent modules are unrolled as far as they are to be mapped.

    The layers to map are modules of the copy. Raises ValueError if the network cannot be copied.
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
    if isinstance(digital, str | type) or not isinstance(digital, Iterable):
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

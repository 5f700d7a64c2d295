"""Pruning: weights that are zero for good, single ones or whole output channels, with torch.nn.utils.prune.

A channel without weights would still pass a constant, batch norm's beta, and on a chip the noise of its column would
come through batch norm hugely amplified, as its running variance tends to 0. So batch norm's gamma and beta of such a
channel are pruned with it: its output is exactly 0, as if it were not there. Weights that read nothing else go too.
"""

import copy
import functools
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import prune

from memlib.base.checks import fail, in_range, one_of
from memlib.layers.geometry import Geometry, MatrixLayer
from memlib.layers.mappable import NORMALISATIONS, Normalisation, matrix_layers, own_layers
from memlib.layers.tracing import fitting


def prune_model(model: nn.Module, how: str, sparsity: float, shape: tuple[int, ...] = (3, 32, 32)) -> None:
    """Mask the smallest weights of `model`, in place; masks hold in training, until `make_permanent`.

    Neither the first layer nor a linear one (the classifier) loses weights, but those that read a silent channel.

    Args:
        how: "weights": those of smallest magnitude over all convolutions; "channels": in each convolution the output
            channels of smallest L1 norm (Li et al., ICLR 2017).
        sparsity: the fraction of them, from 0 to 1, rounded to a whole number, ties to even. Weights that read a silent
            channel are pruned on top.
        shape: of an input.

    Raises:
        ValueError: for an unknown `how` or sparsity, if there is nothing to prune, for a shape that does not fit, or
            if no batch norm follows directly on a convolution that loses whole channels.
        UnsupportedLayerError: for a recurrent layer, or one that is no matrix layer.

    After any error the model is as it was.
    """
    one_of("prune", how, ("weights", "channels"))
    in_range("sparsity", sparsity, 0, 1, "a fraction")
    sparsity = float(sparsity)  # torch takes whole numbers for counts
    pruned = copy.deepcopy(model)
    layers = dict(list(own_layers(pruned, "prune_model").items())[1:])
    convolutions: list[MatrixLayer] = [layer for layer in layers.values() if not isinstance(layer, nn.Linear)]
    if not convolutions:
        fail("prune", how, "'' for a network without a convolution behind its first layer")
    if how == "weights":
        prune.global_unstructured([(c, "weight") for c in convolutions], prune.L1Unstructured, amount=sparsity)
    for layer in convolutions if how == "channels" else ():
        prune.ln_structured(layer, "weight", sparsity, n=1, dim=0)
    make_permanent(pruned)
    norms, lost = following_norms(pruned), True
    while lost:  # a layer that loses channels may leave others that read nothing else
        for name, layer in layers.items():
            _silence(name, layer, norms, how)
        lost = sum(_deafen(layers[name], alive) for name, alive in _heard(pruned, layers, shape).items()) > 0
    _mask_zeros(model, pruned)


@torch.no_grad()
def _silence(name: str, layer: MatrixLayer, norms: dict[str, Normalisation], how: str) -> None:
    """Make batch norm's gamma and beta 0 for the channels that have no weights."""
    alive = layer.weight.ne(0).flatten(1).any(1)
    if isinstance(layer, nn.Linear) or alive.all():
        return
    if name not in norms:
        fail("prune", how, f"one by which layer {name!r}, on which no batch norm follows, keeps all its channels")
    norms[name].weight.mul_(alive)
    norms[name].bias.mul_(alive)


@torch.no_grad()
def _deafen(layer: MatrixLayer, alive: Tensor) -> bool:
    """Make the weights 0 that read other input channels than these, (inputs,); returns whether there were any."""
    groups = Geometry.of(layer).groups
    reads = alive.view(groups, -1).repeat_interleave(len(layer.weight) // groups, 0)
    reads = reads.view(*reads.shape, *[1] * (layer.weight.dim() - 2))
    before = layer.weight.count_nonzero()
    layer.weight.mul_(reads)
    return bool(layer.weight.count_nonzero() < before)


@torch.no_grad()
def _heard(model: nn.Module, layers: dict[str, MatrixLayer], shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Which input channels of each layer are not always 0, (inputs,).

    They are not of an input of ones that runs through the magnitudes of all parameters, where no ReLU shuts and nothing
    cancels (as in Tanaka et al., NeurIPS 2020).
    """
    probe = copy.deepcopy(model).eval()
    heard: dict[str, Tensor] = {}
    for parameter in probe.parameters():
        parameter.abs_()
    for norm in [m for m in probe.modules() if isinstance(m, NORMALISATIONS)]:
        norm.reset_running_stats()

    def note(_module: nn.Module, arguments: tuple[Tensor], name: str) -> None:
        channel = Geometry.of(layers[name]).channel
        heard[name] = arguments[0].movedim(channel, 0).flatten(1).ne(0).any(1) | heard.get(name, torch.tensor(False))

    for name in layers:
        probe.get_submodule(name).register_forward_pre_hook(functools.partial(note, name=name))
    with fitting(f"shape={tuple(shape)}: does not fit the model"):
        probe(torch.ones(1, *shape))
    return heard


def _mask_zeros(model: nn.Module, pruned: nn.Module) -> None:
    """Mask the weights that `pruned`, a copy of the model, has lost, and batch norm's channels."""
    found: dict[str, Any] = dict(pruned.named_modules())
    for name, layer in matrix_layers(model).items():
        if not found[name].weight.all():
            prune.custom_from_mask(layer, "weight", found[name].weight != 0)
    for name, norm in model.named_modules():
        if isinstance(norm, NORMALISATIONS) and not (alive := found[name].weight != 0).all():
            prune.custom_from_mask(norm, "weight", alive)
            prune.custom_from_mask(norm, "bias", alive)


def make_permanent(model: nn.Module) -> None:
    """Turn what is masked into zeros, and drop the masks; does nothing to a network that is not pruned."""
    for module in model.modules():
        for name in [name.removesuffix("_mask") for name, _ in module.named_buffers(recurse=False)]:
            if hasattr(module, f"{name}_orig"):
                prune.remove(module, name)


def following_norms(model: nn.Module) -> dict[str, Normalisation]:
    """The batch norm that takes a layer's output, by the layer's name."""
    modules: dict[Any, Any] = dict(model.named_modules())
    calls = [node for node in fx.symbolic_trace(model).graph.nodes if node.op == "call_module"]
    norms = [(call.args[0], modules[call.target]) for call in calls if isinstance(modules[call.target], NORMALISATIONS)]
    return {source.target: norm for source, norm in norms if source.op == "call_module"}


@torch.no_grad()
def nonzero_count(model: nn.Module) -> int:
    """Parameters that are not 0."""
    return sum(int(p.count_nonzero()) for p in model.parameters())

"""Pruning: weights that are zero for good, single ones or whole output channels, with torch.nn.utils.prune.

A channel without weights would still pass a constant, batch norm's beta, and on a chip the noise of its column would
come through batch norm hugely amplified, as its running variance tends to 0. So batch norm's gamma and beta of such a
channel are pruned with it: its output is exactly 0, as if it were not there.
"""

import torch
from torch import fx, nn
from torch.nn.utils import prune

from memlib.layers import NORMALISATIONS, matrix_layers
from memlib.validate import fail, one_of


def prune_model(model: nn.Module, how: str, sparsity: float) -> None:
    """Mask the smallest weights of `model`, in place; masks hold in training, until `make_permanent`.

    Neither the first layer nor a linear one (the classifier) loses weights.

    Args:
        how: "weights": those of smallest magnitude over all convolutions; "channels": in each convolution the output
            channels of smallest L1 norm (Li et al., ICLR 2017).
        sparsity: the fraction of them, rounded to a whole number, ties to even.

    Raises:
        ValueError: for an unknown `how`, if there is nothing to prune, or if no batch norm follows directly on a
            convolution that loses whole channels; some layers are masked then.
    """
    one_of("prune", how, ("weights", "channels"))
    layers = matrix_layers(model)
    names = [name for name in list(layers)[1:] if not isinstance(layers[name], nn.Linear)]
    if not names:
        fail("prune", how, "'' for a network without a convolution behind its first layer")
    norms = _norms(model)
    if how == "weights":
        prune.global_unstructured([(layers[name], "weight") for name in names], prune.L1Unstructured, amount=sparsity)
    for name in names:
        layer = layers[name]
        if how == "channels":
            prune.ln_structured(layer, "weight", sparsity, n=1, dim=0)
        alive = layer.weight_mask.flatten(1).amax(1)
        if not alive.all():
            if name not in norms:
                fail(
                    "prune", how, f"one by which layer {name!r}, on which no batch norm follows, keeps all its channels"
                )
            for part in ("weight", "bias"):
                prune.custom_from_mask(norms[name], part, alive)


def _norms(model: nn.Module) -> dict[str, nn.Module]:
    """The batch norm that takes a layer's output, by the layer's name."""
    modules = dict(model.named_modules())
    calls = [node for node in fx.symbolic_trace(model).graph.nodes if node.op == "call_module"]
    norms = [(call.args[0], modules[call.target]) for call in calls if isinstance(modules[call.target], NORMALISATIONS)]
    return {source.target: norm for source, norm in norms if source.op == "call_module"}


def make_permanent(model: nn.Module) -> None:
    """Turn what is masked into zeros, and drop the masks; does nothing to a network that is not pruned."""
    for module in model.modules():
        for name in [name.removesuffix("_mask") for name, _ in module.named_buffers(recurse=False)]:
            if hasattr(module, f"{name}_orig"):
                prune.remove(module, name)


@torch.no_grad()
def nonzero_count(model: nn.Module) -> int:
    """Weights of matrix layers that are not 0, plus all other parameters."""
    weights = [layer.weight for layer in matrix_layers(model).values()]
    others = sum(p.numel() for p in model.parameters()) - sum(w.numel() for w in weights)
    return others + sum(int(w.count_nonzero()) for w in weights)

"""Binary networks: every weight of a matrix layer is plus or minus one number of its layer.

Trained as in BinaryConnect (Courbariaux, Bengio and David, NeurIPS 2015): a latent real weight W decides the sign, and
the gradient passes to it as if there were no sign (the straight-through estimator). The number is mean|W|, which is the
best scale of sign(W) for W (XNOR-Net, Rastegari et al., ECCV 2016, eq. 6); batch norm or the layer's digital scale
takes it up. So cells only ever hold +1 and -1: two states. Activations stay real, as DACs give them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from memlib.layers.mappable import own_layers


class Binarised(nn.Module):
    """A parametrisation: the latent weights' signs times their mean magnitude; 0 counts as positive."""

    def forward(self, weight: Tensor) -> Tensor:
        """(out, ...) -> the same shape; the gradient passes unchanged."""
        binary = torch.where(weight < 0, -1.0, 1.0) * weight.abs().mean()
        return weight + (binary - weight).detach()


def binarise(model: nn.Module) -> None:
    """Make every matrix layer of `model` binary, in place, with its present weights as latent ones.

    Raises UnsupportedLayerError for a recurrent layer, or one that is no matrix layer; the model is as before then.
    """
    for layer in own_layers(model, "binarise").values():
        parametrize.register_parametrization(layer, "weight", Binarised())


def settle(model: nn.Module) -> None:
    """Make the binary weights the layers' own, and drop the latent ones; does nothing to other networks.

    Each layer's weights are then exactly two numbers, in half precision too.
    """
    parametrised: list[Any] = [m for m in model.modules() if parametrize.is_parametrized(m, "weight")]
    for layer in parametrised:
        if any(isinstance(part, Binarised) for part in layer.parametrizations.weight):
            latent = layer.parametrizations.weight.original.detach()
            parametrize.remove_parametrizations(layer, "weight")
            with torch.no_grad():
                layer.weight.copy_(torch.where(latent < 0, -1.0, 1.0) * latent.abs().mean().half())

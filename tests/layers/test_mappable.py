"""What can be mapped, and what to do about other layers."""

import pytest
import torch
from messages import raises
from torch import nn
from torch.nn.utils import prune

from memlib import Hardware, Tile, footprint, map_network, save_network


class OwnLSTM(nn.LSTM):
    """One that may compute something else."""


class WithParameter(nn.Module):
    """A linear layer, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.gain = nn.Linear(4, 4), nn.Parameter(torch.ones(4))


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.ConvTranspose2d(3, 4, 3), "ConvTranspose2d"),
        (OwnLSTM(4, 4), "OwnLSTM"),
        (nn.Embedding(4, 4), "Embedding"),
        (nn.LayerNorm(4), "LayerNorm"),
        (nn.MultiheadAttention(4, 2), "MultiheadAttention"),
        (WithParameter(), "WithParameter"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_layer_that_cannot_be_mapped(layer, kind):
    """Names the layer and its type, and says how to keep it digital, which then works."""
    network = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), layer))
    hardware = Hardware(tile=Tile(dac_bits=None, adc_bits=None))
    for call in (lambda: map_network(network, hardware), lambda: footprint(network, (4,), hardware)):
        raises(ValueError, call, "layer '1.1'", kind, "digital=['1.1']")
    assert list(map_network(network, hardware, digital=["1.1"]).layers) == ["0"]


def test_wrong_digital():
    """Entries that match nothing, and a bare name, or nothing, instead of a list."""
    network = nn.Sequential(nn.Linear(4, 4))
    raises(TypeError, lambda: map_network(network, Hardware(), digital=None), "digital=None", "a list")
    raises(ValueError, lambda: map_network(network, Hardware(), digital=["fc"]), "digital='fc'", "no module")
    raises(ValueError, lambda: map_network(network, Hardware(), digital=[nn.Conv2d]), "Conv2d", "no module")
    raises(TypeError, lambda: map_network(network, Hardware(), digital="0"), "digital='0'", "a list")


def test_what_is_no_network():
    """A class of networks, say, or no chip."""
    raises(ValueError, lambda: map_network(nn.ReLU, Hardware()), "model=<class", "must be a torch.nn.Module")
    raises(TypeError, lambda: save_network(nn.ReLU(), "chip.safetensors"), "analog=ReLU", "must be a chip")


def test_pruned_network():
    """torch cannot copy it; the message says what to do."""
    model = nn.Sequential(nn.Linear(6, 5))
    prune.random_unstructured(model[0], "weight", 0.5)
    raises(ValueError, lambda: map_network(model, Hardware(), torch.ones(2, 6)), "model", "prune.remove")

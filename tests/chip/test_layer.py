"""A mapped layer as what it stands for: a subclass of its torch layer, with its fields and its target weight."""

import pytest
import torch
from small_networks import OFF, images
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, load_network, map_network, save_network
from memlib.chip.layer import AnalogLayer
from memlib.layers.mappable import UnsupportedLayerError

LAYERS = [
    (nn.Linear(5, 3), (5,), ("in_features", "out_features")),
    (nn.Conv1d(2, 4, 3, padding="same", groups=2, bias=False), (2, 6), ("kernel_size", "padding", "groups")),
    (nn.Conv2d(2, 3, (3, 1), stride=(1, 2), padding=1, padding_mode="circular"), (2, 5, 4), ("stride", "padding_mode")),
    (nn.Conv3d(1, 2, 2, dilation=2), (1, 4, 3, 4), ("dilation", "in_channels", "out_channels", "kernel_size")),
]


@pytest.mark.parametrize(("layer", "shape", "fields"), LAYERS)
@pytest.mark.parametrize("tile", [OFF, Tile()])
def test_a_mapped_layer_is_an_instance_of_its_class(layer, shape, fields, tile):
    """It has the float layer's fields and its target weight, and parameters that take no gradient."""
    model = nn.Sequential(layer)
    mapped = map_network(model, Hardware(Device(program_error=0.1), tile), images(4, *shape)).layers["0"]
    assert isinstance(mapped, type(layer))
    assert isinstance(mapped, AnalogLayer)
    for field in fields:
        assert getattr(mapped, field) == getattr(layer, field)
    assert torch.equal(mapped.weight, layer.weight)
    assert (mapped.bias is None) == (layer.bias is None)
    assert not any(parameter.requires_grad for parameter in mapped.parameters())


def test_the_target_is_the_chips_own(tmp_path):
    """Neither training the model nor reading another chip's file reaches across, and no cell follows the target."""
    model, x = nn.Sequential(nn.Linear(5, 3)), images(6, 5)
    hardware = Hardware(Device(program_error=0.1))
    chip = map_network(model, hardware, x)
    target, y = model[0].weight.detach().clone(), chip(x)
    save_network(chip, tmp_path / "chip.safetensors")
    with torch.no_grad():
        model[0].weight.mul_(2)
        model[0].bias.zero_()
    assert torch.equal(chip.layers["0"].weight, target)
    loaded = load_network(model, tmp_path / "chip.safetensors")
    assert torch.equal(loaded.layers["0"].weight, target)
    assert torch.equal(model[0].weight, 2 * target)
    chip.layers["0"].weight.zero_()
    assert torch.equal(chip(x), y)
    assert torch.equal(loaded(x), y)


def test_fields_that_a_user_hung_on_a_layer_stay():
    """Except where a mapped layer has a field of that name."""
    layer = nn.Linear(4, 2)
    layer.label, layer.gain = "head", 2.0
    mapped = map_network(layer, Hardware(tile=OFF)).layers[""]
    assert (mapped.label, mapped.gain) == ("head", None)


def test_a_chip_is_not_mapped_again():
    chip = map_network(nn.Sequential(nn.Linear(4, 2)), Hardware(tile=OFF, mapping=Mapping(scheme="offset")))
    with pytest.raises(UnsupportedLayerError, match="AnalogLinear"):
        map_network(chip, Hardware(tile=OFF))

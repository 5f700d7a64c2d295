"""Networks: counts by hand and as published, shapes, channel shuffling, and that each can be mapped."""

import math
from itertools import pairwise

import pytest
import torch
from small_networks import seeded
from torch import Tensor, nn

from memlib import Device, Hardware, Mapping, Tile, map_network
from memlib.layers.mappable import NORMALISATIONS, matrix_layers
from memlib.training.pruning import make_permanent, prune_model
from memlib.zoo.networks import GROUPS, LABELS, NETWORKS, Shuffle, build_network, mac_count, parameter_count
from memlib.zoo.torchvision_import import make_importable

OFF, DENSE, IDEAL = Tile(dac_bits=None, adc_bits=None), Mapping(), Device()


def images(n: int, size: int) -> Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def settled(model: nn.Module, size: int) -> nn.Module:
    """In eval mode, after some passes in training mode: batch norm's statistics are the means of those passes."""
    for module in model.modules():
        if isinstance(module, NORMALISATIONS):
            module.momentum = None
    with torch.no_grad():
        for _ in range(3):
            model.train()(images(8, size))
    return model.eval()


# Counts. Stages of ResNet-20: channels, size of the map; each has 6 convolutions, the first with inputs of the stage
# before it, whose map it strides over.

STAGES = [(16, 32), (32, 16), (64, 8)]


def resnet20_counts(convolution, channels) -> tuple[int, int]:
    """Parameters and multiplications, with `convolution(c_in, c_out, size before, size)` giving those of one."""
    parameters, macs, c_in, before = 27 * channels[0] + 2 * channels[0], 27 * channels[0] * 1024, channels[0], 32
    for c_out, (_, size) in zip(channels, STAGES, strict=True):
        for _ in range(6):
            p, m = convolution(c_in, c_out, before, size)
            parameters, macs, c_in, before = parameters + p + 2 * c_out, macs + m, c_out, size
    return parameters + 10 * c_in + 10, macs + 10 * c_in


def ordinary(c_in: int, c_out: int, _before: int, size: int) -> tuple[int, int]:
    return 9 * c_in * c_out, 9 * c_in * c_out * size**2


def grouped(c_in: int, c_out: int, _before: int, size: int) -> tuple[int, int]:
    return 9 * c_in * c_out // 4, 9 * c_in * c_out // 4 * size**2


def separable(c_in: int, c_out: int, _before: int, size: int) -> tuple[int, int]:
    return 9 * c_in + 2 * c_in + c_in * c_out, (9 * c_in + c_in * c_out) * size**2


@pytest.mark.parametrize(
    ("name", "convolution", "width", "channels"),
    [
        ("resnet20", ordinary, 1, (16, 32, 64)),
        ("resnet20", ordinary, 0.71, (11, 23, 45)),
        ("resnet20_grouped", grouped, 1, (16, 32, 64)),
        ("resnet20_grouped", grouped, 0.3, (4, 8, 20)),  # 4.8, 9.6 and 19.2 to multiples of 4
        ("resnet20_separable", separable, 1.4, (22, 45, 90)),
    ],
)
def test_resnet20_counts(name, convolution, width, channels):
    """Parameters and multiplications by hand, for each connectivity and numbers of channels."""
    model = build_network(name, width)
    assert (parameter_count(model), mac_count(model)) == resnet20_counts(convolution, channels)


def test_published_counts():
    """ResNet-20: 0.27 M parameters (He et al. 2016), 40.6 M multiplications; MobileNetV2: as torchvision says."""
    model = build_network("resnet20")
    assert (parameter_count(model), mac_count(model)) == (269_722, 40_551_040)
    classifier = 1280 * 1000 + 1000, 1280 * 10 + 10
    assert parameter_count(build_network("mobilenetv2")) == 3_504_872 - classifier[0] + classifier[1]
    make_importable()
    from torchvision.models import mobilenet_v2

    original = mobilenet_v2()
    assert mac_count(original, (3, 224, 224)) == pytest.approx(300e6, rel=0.01)  # Sandler et al. 2018, table 4


def test_other_counts():
    channels = [3, 32, 32, 64, 64, 128, 128]
    weights = [9 * a * b for a, b in pairwise(channels)]
    norms = 2 * (sum(channels[1:]) + 256)
    model = build_network("vgg8", 0.25)
    assert parameter_count(model) == sum(weights) + 2048 * 256 + norms + 256 * 10 + 10
    sizes = [1024, 1024, 256, 256, 64, 64]
    assert mac_count(model) == sum(map(math.prod, zip(weights, sizes, strict=True))) + 2048 * 256 + 2560
    layers = 3072 * 256 + 256 * 128 + 128 * 10
    assert parameter_count(build_network("mlp", 0.5)) == layers + 2 * (256 + 128) + 10
    assert mac_count(build_network("mlp", 0.5)) == layers


def test_shuffle():
    """Every channel once, and each group's outputs dealt out to all groups of the next convolution."""
    x = torch.arange(24.0).view(1, 24, 1, 1).expand(2, 24, 3, 3)
    y = Shuffle()(x)
    assert y.shape == x.shape
    order = y[0, :, 0, 0].int()
    assert order.sort().values.tolist() == list(range(24))
    groups = (order // (24 // GROUPS)).view(GROUPS, -1)  # of the old groups, those in each new one
    assert all(sorted(set(group.tolist())) == list(range(GROUPS)) for group in groups)
    assert torch.equal(y, y[:, :, :1, :1].expand_as(y))


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_widths_and_seeds(name):
    """10 or any number of classes; a wider network has more weights; weights follow from the seed alone."""
    assert set(LABELS) == set(NETWORKS)
    state = torch.get_rng_state()
    narrow, wide = build_network(name, 0.25), build_network(name, 0.5, classes=7)
    assert narrow.eval()(images(2, 32)).shape == (2, 10)
    assert wide.eval()(images(2, 32)).shape == (2, 7)
    assert parameter_count(wide) > 1.5 * parameter_count(narrow)
    again, other = build_network(name, 0.25), build_network(name, 0.25, seed=1)
    weights = [next(iter(matrix_layers(model).values())).weight for model in (narrow, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "least"), [("resnet20", 0.03125), ("resnet20_grouped", 0.125), ("mlp", 0.00195312)])
def test_networks_too_narrow_to_be(name, least):
    """Half a channel, or group, is rounded to none; a little more is one."""
    with pytest.raises(ValueError, match=f"width={least / 2}: must be more than {least}, which leaves every layer"):
        build_network(name, least / 2)
    assert build_network(name, 1.01 * least).eval()(images(1, 32)).shape == (1, 10)


# Mapping


def assert_maps(model: nn.Module, size: int, mapping: Mapping = DENSE, device: Device = IDEAL) -> None:
    """An ideal device without converters computes what torch does, to 1e-5 of the largest output."""
    x = images(2, size)
    with torch.no_grad():
        expected = model(x)
        actual = map_network(model, Hardware(device, OFF, mapping), input_shape=(3, size, size))(x)
    assert (actual - expected).abs().max() < 1e-5 * expected.abs().max()
    assert expected.std(0).max() > 1e-3 * expected.abs().max()  # the output depends on the input


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_maps(name):
    """In the dense layout, whose tiles fold into one layer."""
    assert_maps(settled(build_network(name, 0.25), 32), 32)


@pytest.mark.parametrize("layout", ["dense", (2, 2), "sparse"])
@pytest.mark.parametrize("kind", ["pruned", "grouped", "separable"])
def test_connectivities_map(kind, layout):
    """In every layout, read tile by tile."""
    model = build_network("resnet20" if kind == "pruned" else f"resnet20_{kind}", 0.25)
    if kind == "pruned":
        prune_model(model, "channels", 0.5)
        make_permanent(model)
    assert_maps(settled(model, 8), 8, Mapping(layout=layout), Device(read_noise=1e-30))


def test_torchvision_network_maps():
    """ResNet-18 of torchvision as it is, with downsampling convolutions and biases of its own."""
    make_importable()
    from torchvision.models import resnet18

    assert_maps(settled(seeded(resnet18), 64), 64)

"""Networks for 3x32x32 images with width multipliers: ResNet-20 of three connectivities, VGG-8, MobileNetV2, an MLP.

A new network is one function and one entry in `NETWORKS`.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from memlib.base.checks import fail, one_of, positive, whole
from memlib.layers.geometry import Geometry
from memlib.layers.mappable import matrix_layers
from memlib.layers.tracing import call_sizes
from memlib.zoo.torchvision_import import make_importable

GROUPS = 4  #: of the convolutions of grouped networks


class Shuffle(nn.Module):
    """Deals the channels of each group out to all groups (ShuffleNet, Zhang et al. 2018); no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> the same, its channels in another order."""
        return x.unflatten(1, (GROUPS, -1)).transpose(1, 2).flatten(1, 2)


def ordinary(c_in: int, c_out: int, stride: int) -> nn.Module:
    """A 3x3 convolution."""
    return nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)


def grouped(c_in: int, c_out: int, stride: int) -> nn.Module:
    """A 3x3 convolution in `GROUPS` groups, whose outputs are shuffled."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, padding=1, groups=GROUPS, bias=False), Shuffle())


def separable(c_in: int, c_out: int, stride: int) -> nn.Module:
    """A 3x3 convolution of each channel by itself, and a 1x1 convolution, with no activation between (Chollet 2017)."""
    depthwise = nn.Conv2d(c_in, c_in, 3, stride, padding=1, groups=c_in, bias=False)
    return nn.Sequential(depthwise, nn.BatchNorm2d(c_in), nn.Conv2d(c_in, c_out, 1, bias=False))


Convolution = Callable[[int, int, int], nn.Module]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a parameter-free shortcut (He et al. 2016, option A)."""

    def __init__(self, c_in: int, c_out: int, stride: int, convolution: Convolution) -> None:
        super().__init__()
        self.conv1 = convolution(c_in, c_out, stride)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = convolution(c_out, c_out, 1)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.stride, self.new_channels = stride, c_out - c_in

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, h/stride, w/stride)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x[..., :: self.stride, :: self.stride]
        if self.new_channels:
            shortcut = nn.functional.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))
        return torch.relu(y + shortcut)


def scaled(channels: Sequence[int], width: float, multiple: int = 1) -> list[int]:
    """Numbers of channels times `width`, rounded to multiples. Raises ValueError if nothing is left of one of them."""
    numbers = [multiple * round(c * width / multiple) for c in channels]
    if 0 in numbers:
        fail("width", width, f"more than {multiple / (2 * min(channels)):g}, which leaves every layer a channel")
    return numbers


def resnet20(width: float = 1, classes: int = 10, convolution: Convolution = ordinary, multiple: int = 1) -> nn.Module:
    """ResNet-20 for 3x32x32 images (He et al. 2016, section 4.2), `16 * width` channels in its first stage.

    Args:
        convolution: makes every 3x3 convolution except the first.
        multiple: numbers of channels are rounded to multiples of this.
    """
    channels = scaled((16, 32, 64), width, multiple)
    c_in = channels[0]
    layers = [nn.Conv2d(3, c_in, 3, padding=1, bias=False), nn.BatchNorm2d(c_in), nn.ReLU()]
    for stage, c_out in enumerate(channels):
        for block in range(3):
            layers.append(BasicBlock(c_in, c_out, 2 if stage and not block else 1, convolution))
            c_in = c_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c_in, classes))


def vgg8(width: float = 1.0, classes: int = 10) -> nn.Module:
    """VGG-8 for 3x32x32 images: six 3x3 convolutions of `128 * width` to `512 * width` channels, two linear layers."""
    channels = scaled((128, 128, 256, 256, 512, 512), width)
    layers: list[nn.Module] = []
    for i, (c_in, c_out) in enumerate(zip([3, *channels], channels, strict=False)):
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
        if i % 2:
            layers.append(nn.MaxPool2d(2))
    [hidden] = scaled((1024,), width)
    layers += [nn.Flatten(), nn.Linear(channels[-1] * 16, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, classes))


#: Expansion, channels, blocks and first stride of MobileNetV2's stages, with two strides less for images of 32x32.
MOBILE_STAGES = [
    [1, 16, 1, 1], [6, 24, 2, 1], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1],
]  # fmt: skip


def mobilenetv2(width: float = 1.0, classes: int = 10) -> nn.Module:
    """MobileNetV2 (Sandler et al. 2018) of torchvision, with strides for 3x32x32 images and no dropout.

    Its stem has stride 1, and so has its second stage.
    """
    make_importable()
    from torchvision.models import mobilenet_v2  # takes a second or two

    model = mobilenet_v2(num_classes=classes, width_mult=width, inverted_residual_setting=MOBILE_STAGES, dropout=0.0)
    model.features[0][0].stride = (1, 1)
    return model


def mlp(width: float = 1.0, classes: int = 10) -> nn.Module:
    """A multilayer perceptron for 3x32x32 images: hidden layers of `512 * width` and `256 * width`."""
    sizes = [3072, *scaled((512, 256), width)]
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "resnet20": resnet20,
    "resnet20_grouped": partial(resnet20, convolution=grouped, multiple=GROUPS),
    "resnet20_separable": partial(resnet20, convolution=separable),
    "vgg8": vgg8,
    "mobilenetv2": mobilenetv2,
    "mlp": mlp,
}
#: How figures and claims call them.
LABELS = {
    "resnet20": "ResNet-20",
    "resnet20_grouped": "ResNet-20, grouped",
    "resnet20_separable": "ResNet-20, separable",
    "vgg8": "VGG-8",
    "mobilenetv2": "MobileNetV2",
    "mlp": "MLP",
}


def build_network(name: str, width: float = 1.0, classes: int = 10, seed: int = 0) -> nn.Module:
    """Return network `name` with weights initialised from `seed`; torch's global random state is left as it was.

    Raises ValueError if `name` is not in `NETWORKS`, or `width` is not a number that leaves every layer a channel.
    """
    one_of("network", name, NETWORKS)
    positive("width", width)
    classes = whole("classes", classes, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](width=width, classes=classes)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable scalars in `model`."""
    return sum(p.numel() for p in model.parameters())


def mac_count(model: nn.Module, input_shape: tuple[int, ...] = (3, 32, 32)) -> int:
    """Multiplications of `model`'s matrix layers for one input, those with a weight of 0 or with padding too."""
    layers = matrix_layers(model)
    sizes = call_sizes(model, layers, input_shape)
    total = 0
    for name, layer in layers.items():
        geometry = Geometry.of(layer)
        for size in sizes[name]:  # of a linear layer, the number of vectors
            total += layer.weight.numel() * math.prod(geometry.output_size(size) if geometry.dims else size)
    return total

"""Networks for 3x32x32 images: ResNet-20 and VGG-8, each with a width multiplier.

A new network is one function and one entry in `NETWORKS`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from memlib.validate import one_of, positive


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a parameter-free shortcut (He et al. 2016, option A)."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
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


def resnet20(width: float = 1.0, classes: int = 10) -> nn.Module:
    """ResNet-20 for 3x32x32 images (He et al. 2016, section 4.2), `16 * width` channels in its first stage."""
    channels = [round(c * width) for c in (16, 32, 64)]
    layers = [nn.Conv2d(3, channels[0], 3, padding=1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU()]
    c_in = channels[0]
    for stage, c_out in enumerate(channels):
        for block in range(3):
            layers.append(BasicBlock(c_in, c_out, stride=2 if stage and not block else 1))
            c_in = c_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c_in, classes))


def vgg8(width: float = 1.0, classes: int = 10) -> nn.Module:
    """VGG-8 for 3x32x32 images: six 3x3 convolutions of `128 * width` to `512 * width` channels, two linear layers."""
    channels = [round(c * width) for c in (128, 128, 256, 256, 512, 512)]
    layers: list[nn.Module] = []
    for i, (c_in, c_out) in enumerate(zip([3, *channels], channels, strict=False)):
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
        if i % 2:
            layers.append(nn.MaxPool2d(2))
    hidden = round(1024 * width)
    layers += [nn.Flatten(), nn.Linear(channels[-1] * 16, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, classes))


NETWORKS: dict[str, Callable[..., nn.Module]] = {"resnet20": resnet20, "vgg8": vgg8}
#: How figures and claims call them.
LABELS = {"resnet20": "ResNet-20", "vgg8": "VGG-8"}


def build(name: str, width: float = 1.0, classes: int = 10, seed: int = 0) -> nn.Module:
    """Return network `name` with weights initialised from `seed`; torch's global random state is left as it was.

    Raises:
        ValueError: if `name` is not in `NETWORKS` or `width` is not positive.
    """
    one_of("network", name, NETWORKS)
    positive("width", width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](width=width, classes=classes)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable scalars in `model`."""
    return sum(p.numel() for p in model.parameters())

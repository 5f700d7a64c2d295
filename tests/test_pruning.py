"""Pruning: which weights go, that they stay away in training, and what is left of a channel without weights."""

import numpy as np
import pytest
import torch
from torch import nn

from memlib.layers import matrix_layers
from memlib.networks import build, parameter_count
from memlib.pruning import make_permanent, nonzero_count, prune_model

IMAGES = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(16) % 10


def pruned_layers(model: nn.Module) -> dict[str, nn.Module]:
    """All matrix layers but the first and the classifier."""
    return dict(list(matrix_layers(model).items())[1:-1])


def tune(model: nn.Module, steps: int = 4) -> None:
    """A few steps with momentum and weight decay."""
    optimizer = torch.optim.SGD(model.train().parameters(), 0.1, 0.9, weight_decay=0.01, nesterov=True)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(IMAGES), LABELS).backward()
        optimizer.step()


@pytest.mark.parametrize("sparsity", [0.5, 0.9375])
def test_smallest_weights_go(sparsity):
    """Exactly so many of all convolutions' weights together, those of smallest magnitude, and none of other layers."""
    model, before = build("resnet20", 0.25), build("resnet20", 0.25)
    prune_model(model, "weights", sparsity)
    make_permanent(model)
    after, weights = (
        np.concatenate([layer.weight.detach().numpy().ravel() for layer in pruned_layers(m).values()])
        for m in (model, before)
    )
    count = round(sparsity * weights.size)
    kept = np.ones(weights.size, bool)
    kept[np.argsort(np.abs(weights))[:count]] = False
    np.testing.assert_array_equal(after, weights * kept)
    assert nonzero_count(model) == parameter_count(model) - count
    for name, layer in matrix_layers(before).items():
        if name not in pruned_layers(before):
            assert torch.equal(matrix_layers(model)[name].weight, layer.weight)


@pytest.mark.parametrize("sparsity", [0.5, 0.7])
def test_smallest_channels_go(sparsity):
    """So many output channels of each convolution, those of smallest L1 norm, whole; and none of other layers."""
    model, before = build("resnet20", 0.25), build("resnet20", 0.25)
    prune_model(model, "channels", sparsity)
    make_permanent(model)
    for name, layer in matrix_layers(before).items():
        weight = layer.weight.detach().numpy().copy()
        if name in pruned_layers(before):
            norms = np.abs(weight).reshape(len(weight), -1).sum(1)
            weight[np.argsort(norms)[: round(sparsity * len(weight))]] = 0
        np.testing.assert_array_equal(matrix_layers(model)[name].weight.detach().numpy(), weight)


@pytest.mark.parametrize("how", ["weights", "channels"])
def test_masks_hold_in_training(how):
    """What was pruned stays 0 while all else learns; afterwards the network is an ordinary one."""
    model, plain = build("resnet20", 0.25), build("resnet20", 0.25)
    prune_model(model, how, 0.75)
    zeros = {name: layer.weight == 0 for name, layer in pruned_layers(model).items()}
    before = {name: layer.weight.detach().clone() for name, layer in pruned_layers(model).items()}
    tune(model)
    assert all(torch.equal(layer.weight == 0, zeros[name]) for name, layer in pruned_layers(model).items())
    make_permanent(model)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in plain.named_parameters()}
    for name, layer in pruned_layers(model).items():
        assert torch.equal(layer.weight == 0, zeros[name])
        assert (layer.weight != before[name])[~zeros[name]].all()


def test_pruned_channels_are_silent():
    """Their output behind batch norm is 0, in training, and of a chip whose columns for them are noisy."""
    model = build("resnet20", 0.25)
    prune_model(model, "channels", 0.75)
    pairs = [(block.conv1, block.bn1) for block in model[3:12]] + [(block.conv2, block.bn2) for block in model[3:12]]
    outputs = {}
    for convolution, norm in pairs:
        nn.init.normal_(norm.bias_orig)
        norm.register_forward_hook(lambda _m, _x, y, key=convolution: outputs.__setitem__(key, y.detach()))
    tune(model)
    dead = {convolution: convolution.weight_mask.flatten(1).amax(1) == 0 for convolution, _ in pairs}
    assert all(int(d.sum()) == 0.75 * len(d) for d in dead.values())

    def assert_silent() -> None:
        for convolution, y in outputs.items():
            assert (y[:, dead[convolution]] == 0).all()
            assert (y[:, ~dead[convolution]] != 0).any()

    assert_silent()
    make_permanent(model.eval())
    with torch.no_grad():
        for convolution, _ in pairs:
            convolution.weight.add_(torch.randn_like(convolution.weight), alpha=0.1)
        model(IMAGES)
    assert_silent()


def test_channel_without_weights_is_silent():
    """Also one that lost its weights one by one."""
    convolutions = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)]
    nn.init.ones_(convolutions[4].bias)
    with torch.no_grad():
        convolutions[3].weight[1] *= 1e-6
    model = nn.Sequential(*convolutions)
    prune_model(model, "weights", 0.5)
    make_permanent(model)
    assert convolutions[3].weight.count_nonzero((1, 2, 3)).tolist() == [36, 0]
    assert convolutions[4].weight.tolist() == convolutions[4].bias.tolist() == [1, 0]


def test_nonzero_count():
    """By hand: two of six weights are 0; biases and batch norm count whatever their value."""
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([[1.0, 0.0, -2.0], [-0.0, 3.0, 4.0]])
        model[0].bias[:] = 0
    assert nonzero_count(model) == 4 + 2 + 4


def test_errors():
    """Nothing to prune, an unknown way, and channels whose constant would remain."""
    with pytest.raises(ValueError, match="prune='rows': must be one of 'weights', 'channels'"):
        prune_model(build("resnet20", 0.25), "rows", 0.5)
    with pytest.raises(ValueError, match="prune='weights': must be '' for a network without a convolution behind"):
        prune_model(build("mlp", 0.05), "weights", 0.5)
    with pytest.raises(ValueError, match=r"prune='channels': must be one by which layer '3\.conv1\.0'"):
        prune_model(build("resnet20_grouped", 0.5), "channels", 0.5)
    prune_model(build("resnet20_separable", 0.25), "channels", 0.5)

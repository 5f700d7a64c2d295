"""Pruning: which weights go, that they stay away in training, and what is left of a channel without weights."""

import numpy as np
import pytest
import torch
from torch import nn

from memlib.layers.mappable import matrix_layers
from memlib.training.pruning import make_permanent, nonzero_count, prune_model
from memlib.zoo.networks import build_network

IMAGES = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(16) % 10


def pruned_layers(model: nn.Module) -> dict[str, nn.Module]:
    """All matrix layers but the first and the classifier."""
    return dict(list(matrix_layers(model).items())[1:-1])


def tune(model: nn.Module, steps: int = 4) -> None:
    optimizer = torch.optim.SGD(model.train().parameters(), 0.1, 0.9, weight_decay=0.01, nesterov=True)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(IMAGES), LABELS).backward()
        optimizer.step()


@pytest.mark.parametrize("sparsity", [0.5, 0.8])
def test_smallest_weights_go(sparsity):
    """Exactly so many of all convolutions' weights together, those of smallest magnitude, and none of other layers."""
    model, before = build_network("resnet20", 0.25), build_network("resnet20", 0.25)
    prune_model(model, "weights", sparsity)
    make_permanent(model)
    after, weights = (
        np.concatenate([layer.weight.detach().numpy().ravel() for layer in pruned_layers(m).values()])
        for m in (model, before)
    )
    kept = np.ones(weights.size, bool)
    kept[np.argsort(np.abs(weights))[: round(sparsity * weights.size)]] = False
    np.testing.assert_array_equal(after, weights * kept)
    for name, layer in matrix_layers(before).items():
        if name not in pruned_layers(before):
            assert torch.equal(matrix_layers(model)[name].weight, layer.weight)


@pytest.mark.parametrize("sparsity", [0.5, 0.7])
def test_smallest_channels_go(sparsity):
    """So many output channels of each convolution, those of smallest L1 norm, whole; the first layer keeps all.

    All other weights stay but those that read what is gone: inside a block, the second convolution's, and after the
    first stage, where shortcuts add no channels of their own, what neither shortcut nor block gives.
    """
    model, before = build_network("resnet20", 0.25), build_network("resnet20", 0.25)
    prune_model(model, "channels", sparsity)
    make_permanent(model)
    assert torch.equal(model[0].weight, before[0].weight)
    shortcut = np.arange(4) >= 0  # channels that are alive on it, from the first layer on
    for block, old in zip(model[3:12], before[3:12], strict=True):
        heard = shortcut
        for convolution, unpruned in ((block.conv1, old.conv1), (block.conv2, old.conv2)):
            weight = unpruned.weight.detach().numpy().copy()
            gone = np.argsort(np.abs(weight).reshape(len(weight), -1).sum(1))[: round(sparsity * len(weight))]
            weight[gone] = 0
            weight[:, ~heard] = 0
            np.testing.assert_array_equal(convolution.weight.detach().numpy(), weight)
            heard = weight.any((1, 2, 3))
        shortcut = np.append(shortcut, np.zeros(len(heard) - len(shortcut), bool)) | heard
    weight = before[-1].weight.detach().numpy() * shortcut
    np.testing.assert_array_equal(model[-1].weight.detach().numpy(), weight)


@pytest.mark.parametrize("how", ["weights", "channels"])
def test_masks_hold_in_training(how):
    """What was pruned stays 0 while all else learns; afterwards the network is an ordinary one."""
    model, plain = build_network("resnet20", 0.25), build_network("resnet20", 0.25)
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
    model = build_network("resnet20", 0.25)
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


def test_what_is_left_matters():
    """Every weight that is not 0 moves an output, also where those of a whole channel went somewhere in front of it."""
    model = build_network("resnet20", 0.25)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_().add_(0.01)  # so that no ReLU shuts a channel
    prune_model(model, "channels", 0.5)
    make_permanent(model.eval())
    model(IMAGES.abs())[:, 3].sum().backward()
    layers = [*pruned_layers(model).values(), model[-1]]
    for layer in layers:
        assert 0 < layer.weight.count_nonzero() < layer.weight.numel()
    for layer in layers[:-1]:
        assert (layer.weight.grad[layer.weight != 0] != 0).all()


def test_silence_spreads_as_far_as_it_reaches():
    """Through a layer that hears nothing else and a linear one, but not into one that is called for both branches."""

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
            self.left, self.left_norm = nn.Conv2d(4, 4, 1, groups=4), nn.BatchNorm2d(4)
            self.chain, self.chain_norm = nn.Conv2d(4, 4, 1, groups=4), nn.BatchNorm2d(4)
            self.both, self.both_norm = nn.Conv2d(4, 4, 1, groups=4), nn.BatchNorm2d(4)
            self.last = nn.Linear(8, 2)

        def forward(self, x):
            x = torch.relu(self.norm(self.first(x)))
            y = torch.relu(self.chain_norm(self.chain(torch.relu(self.left_norm(self.left(x))))))
            x, y = (self.both_norm(self.both(z)).amax((2, 3)) for z in (x, y))
            return self.last(torch.cat((x, y), 1))

    model = Branches()
    with torch.no_grad():
        model.first.weight.fill_(1)
        for layer in (model.left, model.chain, model.both):
            layer.weight.fill_(1)
        model.left.weight[0] = 1e-9
    prune_model(model, "weights", 1 / 12)
    make_permanent(model)
    assert [layer.weight.flatten().tolist() for layer in (model.left, model.chain)] == [[0, 1, 1, 1]] * 2
    assert [norm.weight.tolist() for norm in (model.left_norm, model.chain_norm)] == [[0, 1, 1, 1]] * 2
    assert (model.both.weight != 0).all()
    assert (model.both_norm.weight != 0).all()
    assert (model.last.weight != 0).all()  # the constant that batch norm adds to a channel of zeros is heard


def test_nonzero_count():
    """By hand: of six weights two are 0, and of two biases and four parameters of batch norm one each."""
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([[1.0, 0.0, -2.0], [-0.0, 3.0, 4.0]])
        model[0].bias[:] = torch.tensor([0.0, -1.0])
        model[1].bias[:] = torch.tensor([2.0, 0.0])
    assert nonzero_count(model) == 4 + 1 + 2 + 1


def test_errors():
    """Nothing to prune, an unknown way, and channels whose constant would remain."""
    with pytest.raises(ValueError, match="prune='rows': must be one of 'weights', 'channels'"):
        prune_model(build_network("resnet20", 0.25), "rows", 0.5)
    for sparsity in (-1, 1.5):
        with pytest.raises(ValueError, match=f"sparsity={sparsity}: must be a fraction from 0 to 1"):
            prune_model(build_network("resnet20", 0.25), "channels", sparsity)
    with pytest.raises(ValueError, match="prune='weights': must be '' for a network without a convolution behind"):
        prune_model(build_network("mlp", 0.05), "weights", 0.5)
    grouped = build_network("resnet20_grouped", 0.5)
    with pytest.raises(ValueError, match=r"prune='channels': must be one by which layer '3\.conv1\.0'"):
        prune_model(grouped, "channels", 0.5)
    assert grouped.state_dict().keys() == build_network("resnet20_grouped", 0.5).state_dict().keys()
    with pytest.raises(ValueError, match=r"shape=\(1, 8, 8\): does not fit the model"):
        prune_model(build_network("resnet20", 0.25), "weights", 0.5, (1, 8, 8))
    prune_model(build_network("resnet20_separable", 0.25), "channels", 0.5)

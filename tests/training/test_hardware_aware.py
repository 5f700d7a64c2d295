"""Training that sees the hardware: what cells hold and DACs give, gradients, and chips that compute the same."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, map_network, record_inputs
from memlib.base.random_streams import generator
from memlib.tiles.converters import quantise_input
from memlib.tiles.input_record import LayerInputs
from memlib.training import hardware_aware

PLAIN = Device()


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 4, 6, 5, generator=torch.Generator().manual_seed(seed))


def network() -> nn.Module:
    """Every kind of matrix layer, with biases."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        convolutions = nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4, bias=False), nn.ReLU()
        return nn.Sequential(*convolutions, nn.Conv2d(8, 8, (2, 1), groups=8), nn.Flatten(), nn.Linear(8, 5))


def linear() -> nn.Linear:
    """100 x 200 weights between -1 and 1, the largest 1."""
    layer = nn.Linear(200, 100)
    with torch.no_grad():
        layer.weight.copy_(torch.rand(100, 200, generator=torch.Generator().manual_seed(0)) * 2 - 1)
        layer.weight[3, 4] = 1
    return layer


def on_hardware(model: nn.Module, device: Device = PLAIN, dac_bits: int | None = None, epoch: int = 0):
    """In training mode, with streams named as in training."""
    return hardware_aware.on_hardware(model.train(), device, dac_bits, images(32), "training", 0, epoch)


def test_programming_error():
    """Normal, of two cells' variances, and other numbers at every use, in every layer and epoch, and the same again."""
    model = nn.Sequential(linear(), linear())
    weight = model[0].weight.detach().clone()
    draws = []
    for epoch in (0, 1, 0):
        with on_hardware(model, Device(program_error=0.02), epoch=epoch):
            draws.append([(layer.weight.detach() - weight).numpy().ravel() for layer in (*model, *model)])
    for errors in draws[0]:
        assert stats.kstest(errors / (np.sqrt(2) * 0.02), "norm").pvalue > 0.01
    different = np.stack([*draws[0], *draws[1]])
    assert np.abs(np.corrcoef(different) - np.eye(8)).max() < 0.03
    np.testing.assert_array_equal(draws[0], draws[2])


def test_cells_without_room():
    """With errors as large as the zero state, many end at 0 S: a pair's mean error is that of the clipped cell."""
    model, sigma = linear(), 0.1
    weight = model.weight.detach().clone()
    with on_hardware(model, Device(program_error=sigma)):
        errors = ((model.weight.detach() - weight) * weight.sign())[weight.abs() > 0.5].numpy()
    zero = 1 / 9 / sigma  # g_off = (g_on - g_off)/9, in sigmas
    mean = -sigma * (stats.norm.pdf(zero) - zero * stats.norm.cdf(-zero))  # E[min(0, zero + z)], of the negative cell
    deviation = errors.std() / np.sqrt(len(errors))
    assert abs(errors.mean() - mean) < 3 * deviation < 0.6 * abs(mean)


def test_states():
    """Of 5 states a pair makes the 9 weights from -w_max to w_max, and the nearest one is held."""
    model = linear()
    weight = model.weight.detach().clone()
    with on_hardware(model, Device(states=5)):
        torch.testing.assert_close(model.weight.detach(), (weight * 4).round() / 4, rtol=0, atol=1e-6)


@pytest.mark.parametrize("device", [Device(program_error=0.1), Device(states=4, stuck_on=0.1)])
def test_gradients(device):
    """The weight's is that of the held weight, the largest one's the errors' too; the input's takes what is held."""
    model, x = linear(), images(1).flatten()[None, :100].repeat(1, 2).requires_grad_()
    chosen = torch.randn(1, 100, generator=torch.Generator().manual_seed(1))
    with on_hardware(model, device):
        original = model.parametrizations.weight.original
        w = model.weight
        w.backward(chosen.T @ x.detach())
        expected = chosen.T @ x.detach()
        expected[3, 4] += (expected * (w - original).detach()).sum()  # the largest weight, 1, scales all errors
        torch.testing.assert_close(original.grad, expected, rtol=1e-4, atol=1e-4)
        nn.functional.linear(x, w.detach()).backward(chosen)
        torch.testing.assert_close(x.grad, chosen @ w.detach())
    assert model.weight is original


def test_inputs_are_codes():
    """Rounded and clipped as a chip's, and gradients are 0 where clipped; nothing changes in eval mode."""
    x = torch.linspace(-3, 3, 1001, requires_grad=True)
    layer = nn.Linear(1, 1)
    for bits, signed in ((4, False), (4, True), (2, True)):
        inputs = LayerInputs(2.0, signed, torch.empty(0))
        driven = hardware_aware.Driven(bits, inputs)
        y = driven(layer.train(), (x,))
        codes = quantise_input(x.detach().clone(), Tile(dac_bits=bits), inputs)
        levels = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        torch.testing.assert_close(y.detach(), codes * 2 / levels)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        inside = (x > (-2 if signed else 0)) & (x < 2)
        assert torch.equal(gradient, inside.float())
        assert driven(layer.eval(), (x,)) is None


@pytest.mark.parametrize("effect", [None, "program_error", "d2d_off", "stuck_on"])
def test_equals_a_chip(monkeypatch, effect):
    """With the numbers of a chip's streams, every layer in training mode computes what the chip's layer does."""
    model, x = network(), images(7, seed=2)
    device = Device(states=16, **({effect: 0.2} if effect else {}))
    monkeypatch.setattr(hardware_aware, "generator", lambda *name: generator(5, name[-1], effect or ""))
    hardware = Hardware(device, Tile(dac_bits=5, adc_bits=None), Mapping(unused="unformed"))
    chip = map_network(model, hardware, images(32), seed=5)
    inputs = {}
    for layer in model:
        layer.register_forward_pre_hook(lambda module, args: inputs.setdefault(module, args[0].detach()))
    model(x)
    layers = {name: model.get_submodule(name) for name in chip.layers}
    with on_hardware(model, device, dac_bits=5):
        for name, layer in layers.items():
            expected = chip.layers[name](inputs[layer])
            actual = layer(inputs[layer]).detach()
            assert (actual - expected).abs().max() < 1e-5 * expected.abs().max()
            assert (actual - layer.eval()(inputs[layer])).abs().max() > 1e-2 * expected.abs().max()


def test_ranges_are_of_the_float_network():
    """As a chip's calibration finds them, whatever the cells; and read anew each time."""
    model = network()
    record = record_inputs(model, images(32))
    with on_hardware(model, Device(program_error=0.3), dac_bits=4):
        hooks = {n: next(iter(model.get_submodule(n)._forward_pre_hooks.values())) for n in record}
    for name, hook in hooks.items():
        assert hook.bounds[1] == pytest.approx(record[name].x_max)
        assert (hook.bounds[0] < 0) == record[name].signed


def test_nothing_remains():
    """In eval mode and afterwards the network is what it was; no global state is touched."""
    model, plain = network(), network()
    parameters, state = dict(model.named_parameters()), torch.get_rng_state()
    x = images(3)
    with on_hardware(model, Device(program_error=0.1), dac_bits=4):
        assert not torch.equal(model(x), model(x))
        assert torch.equal(model.eval()(x), plain(x))
    assert torch.equal(model.train()(x), plain(x))
    assert all(value is parameters[name] for name, value in model.named_parameters())
    assert [type(module) for module in model.modules()] == [type(module) for module in plain.modules()]
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(torch.get_rng_state(), state)


def test_off_is_plain():
    model = network()
    with on_hardware(model):
        assert not any(hasattr(module, "parametrizations") or module._forward_pre_hooks for module in model.modules())

"""Digital recalibration: factors against numpy's least squares, batch norm against numpy's statistics."""

import copy
import functools
import itertools

import numpy as np
import pytest
import small_networks
import torch
from small_networks import seeded
from torch import Tensor, nn

from memlib import Device, Hardware, Mapping, Tile, accuracy, cost, load_network, map_network, recalibrate, save_network
from memlib.tiles.input_record import record_inputs

OFF = Tile(rows=10, cols=4, dac_bits=None, adc_bits=None)
CODED = Tile(rows=10, cols=4, dac_bits=6, adc_bits=6)
WORN = Device(d2d_on=0.3, d2d_off=0.3, program_error=0.1, stuck_on=0.05)
NOISY = WORN.replace(read_noise=0.05)
#: Every conductance shrinks to 0.56 of what was programmed, and nothing else happens.
DRIFTED = Device(retention_time=1e5, retention_nu=0.05)

images = functools.partial(small_networks.images, dtype=torch.float64)

LAYERS = {
    "linear": (lambda: nn.Linear(23, 7), (120, 23)),  # two batches
    "linear, leading dimensions": (lambda: nn.Linear(5, 7, bias=False), (20, 2, 3, 5)),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3, padding=1), (20, 3, 5, 7)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2, bias=False), (20, 4, 7, 5)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3, stride=2), (20, 3, 11)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2), (20, 2, 4, 4, 3)),
}


def network(dtype: torch.dtype = torch.float64) -> nn.Module:
    """Two convolutions with batch norm, and a classifier."""

    def create() -> nn.Module:
        first = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
        second = nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU()
        return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(45, 6))

    model = seeded(create)
    for norm in (model[1], model[4]):
        norm.weight.data = torch.linspace(0.5, 2, len(norm.weight))
        norm.bias.data = torch.linspace(-1, 1, len(norm.bias))
        norm.running_mean = torch.linspace(1, -1, len(norm.bias))
    return model.to(dtype).eval()


def state_of(module: nn.Module) -> dict[str, bytes]:
    """All values of a module, to the bit."""
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


def window_of(layout: str | tuple[int, int], size: tuple[int, ...]) -> tuple[int, ...]:
    """Outputs of a pass, per dimension of the output map; written down from the definition of the layouts."""
    if layout == "dense":
        return (1,) * len(size)
    if layout == "sparse":
        return size
    return tuple(map(min, (1, *layout)[3 - len(size) :], size))


@pytest.mark.parametrize("layout", ["dense", (2, 2), "sparse"])
@pytest.mark.parametrize("tile", [OFF, CODED])
@pytest.mark.parametrize("layer", LAYERS)
def test_gain_is_least_squares_of_each_column(layer, tile, layout, monkeypatch):
    """Column by column, factors and new outputs are those of numpy's solver; no map is a multiple of (2, 2)."""
    create, shape = LAYERS[layer]
    module, x = seeded(create).double(), images(*shape)
    monkeypatch.setattr("memlib.chip.recalibration.PART_VALUES", 500)  # so that small layers are summed in parts too
    analog = map_network(nn.Sequential(module), Hardware(WORN, tile, Mapping(layout=layout)), x)
    bias = module.bias.detach() if module.bias is not None else torch.zeros(len(module.weight), dtype=torch.float64)
    spatial = x.dim() - 2 if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)) else 0
    bias = bias.view(-1, *[1] * spatial)
    y, y_hat = (module(x).detach() - bias).numpy(), (analog(x) - bias).numpy()
    recalibrate(analog, nn.Sequential(module), x, "gain")
    size = y.shape[y.ndim - spatial :]
    window, expected = window_of(layout, size), np.zeros((y.shape[-1 - spatial], *size))
    for channel, *position in np.ndindex(*expected.shape):
        copy_of = tuple(slice(p % h, None, h) for p, h in zip(position, window, strict=True))
        here = (..., channel, *copy_of)
        solution = np.linalg.lstsq(y_hat[here].reshape(-1, 1), y[here].ravel(), rcond=None)[0]
        expected[(channel, *position)] = max(solution[0], 0)
    assert analog.layers["0"].gain.shape == (expected.shape[0], *window)
    np.testing.assert_allclose(analog(x).numpy(), y_hat * expected + bias.numpy(), rtol=1e-9, atol=1e-11)
    assert expected.std() > 0.01  # columns differ


@pytest.mark.parametrize("device", [DRIFTED, DRIFTED.replace(read_noise=1e-30)])
@pytest.mark.parametrize("layout", ["dense", (2, 2), "sparse"])
def test_gain_undoes_uniform_drift(layout, device):
    """A chip on which all conductances shrank alike computes what the float network does, folded or read by tile."""
    model, x = network(torch.float32), images(30, 3, 5, 5, seed=2, dtype=torch.float32)
    analog = map_network(model, Hardware(device, OFF, Mapping(layout=layout)), input_shape=(3, 5, 5))
    expected = model(x).detach()
    assert (analog(x) - expected).abs().max() > 0.1
    recalibrate(analog, model, images(30, 3, 5, 5, dtype=torch.float32), "gain")
    torch.testing.assert_close(analog(x), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    for layer in analog.layers.values():
        torch.testing.assert_close(layer.gain, torch.full_like(layer.gain, 1e5**0.05), rtol=1e-5, atol=0)


def test_columns_without_a_sensible_factor():
    """A column that gives nothing keeps a factor of 1, and one that gives the opposite gets 0."""
    model = nn.Sequential(nn.Linear(3, 3, bias=False)).double()
    model[0].weight.data = torch.eye(3, dtype=torch.float64)
    analog, x = map_network(model, Hardware(tile=OFF)), images(20, 3)
    analog.layers["0"].reads.kernel.mul_(torch.tensor([[0.0], [-1.0], [0.5]]))
    recalibrate(analog, model, x, "gain")
    assert torch.equal(analog.layers["0"].gain, torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64))


class Twice(nn.Module):
    """A layer under two names, called twice, once by keyword; and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second, self.idle = self.first, nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(input=torch.relu(self.first(x)))


def test_gain_of_a_layer_called_twice():
    """Its factors are fitted to both calls, at the float network's inputs; a layer that is not called has none."""
    model, x = seeded(Twice).double(), images(50, 6)
    analog = map_network(model, Hardware(WORN, OFF))
    layer, bias = copy.deepcopy(analog.layers["first"]), model.first.bias.detach()
    inputs = torch.cat([x, torch.relu(model.first(x)).detach()])
    y, y_hat = model.first(inputs).detach() - bias, layer(inputs) - bias
    recalibrate(analog, model, x, "gain")
    expected = [np.linalg.lstsq(y_hat[:, [i]], y[:, i], rcond=None)[0][0] for i in range(6)]
    np.testing.assert_allclose(analog.layers["first"].gain, expected, rtol=1e-9)
    assert analog.layers["idle"].gain is None


@pytest.mark.parametrize("device", [WORN, NOISY])
def test_batch_norm_statistics(device):
    """Means and unbiased variances of what the chip gives, each layer behind batch norms that are already right."""
    model, x = network(), images(30, 3, 5, 5)
    before = state_of(model)
    analog = map_network(model, Hardware(device, CODED), x)
    with analog.rewound():
        first = analog.layers["0"](x).numpy()
        mean, var = first.mean((0, 2, 3), keepdims=True), first.var((0, 2, 3), keepdims=True)
        scale, shift = (p.detach().numpy().reshape(-1, 1, 1) for p in (model[1].weight, model[1].bias))
        hidden = np.maximum((first - mean) / np.sqrt(var + 1e-5) * scale + shift, 0)
        second = analog.layers["3"](torch.from_numpy(hidden)).numpy()
    recalibrate(analog, model, x, "batch_norm")
    for norm, values in ((analog.network[1], first), (analog.network[4], second)):
        np.testing.assert_allclose(norm.running_mean, values.mean((0, 2, 3)), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(norm.running_var, values.var((0, 2, 3), ddof=1), rtol=1e-9)
        assert not norm.training
        assert norm.momentum == 0.1
    assert torch.equal(analog.network[1].weight, model[1].weight)
    assert state_of(model) == before


def test_batch_norm_undoes_uniform_drift():
    """The float network keeps the statistics of the same images; behind batch norm, drift is then gone."""
    model, calibration, x = network()[:6], images(200, 3, 5, 5), images(30, 3, 5, 5, seed=2)
    analog = map_network(model, Hardware(DRIFTED, OFF))
    for norm in (model[1], model[4]):
        norm.momentum = 1.0
    model.train()(calibration)
    model.eval()
    expected = model(x).detach()
    assert (analog(x) - expected).abs().max() > 0.1
    recalibrate(analog, model, calibration, "batch_norm")
    torch.testing.assert_close(analog(x), expected, rtol=0, atol=1e-3)  # the rest is batch norm's eps


@pytest.mark.parametrize("hardware", [Hardware(WORN, OFF), Hardware(NOISY, CODED, Mapping(layout=(2, 2)))])
def test_save_and_load(tmp_path, hardware):
    """A loaded chip repeats the recalibrated one bit by bit, and can be recalibrated again, to the same values."""
    model, x = network(), images(30, 3, 5, 5)
    analog = map_network(model, hardware, x)
    for method in ("gain", "batch_norm"):
        recalibrate(analog, model, x, method)
    save_network(analog, tmp_path / "chip.safetensors")
    loaded = load_network(network(), tmp_path / "chip.safetensors")
    assert torch.equal(loaded(x), analog(x))
    recalibrate(loaded, model, x, "gain")
    assert state_of(loaded) == state_of(analog)


@pytest.mark.parametrize("method", ["gain", "batch_norm"])
def test_read_noise_goes_on(method):
    """Reads after a recalibration are as noisy, normal by normal, as if it had not read; it repeats itself."""
    model, x = network(), images(30, 3, 5, 5)
    hardware = Hardware(NOISY, CODED, Mapping(layout=(2, 2)))
    analog, twin = (map_network(model, hardware, x) for _ in range(2))
    layer = analog.layers["0"]
    layer(x)
    twin.layers["0"](x)
    recalibrate(analog, model, x, method)
    gains = layer.gain
    layer.gain = None
    assert torch.equal(layer(x), twin.layers["0"](x))
    layer.gain = gains
    first = state_of(analog)
    recalibrate(analog, model, x, method)
    assert state_of(analog) == first


def test_energy_is_left_alone():
    """What a layer's arrays take at the same inputs does not depend on digital factors."""
    model, x = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3))).double(), images(20, 3, 6, 6)
    analog = map_network(model, Hardware(NOISY, CODED, Mapping(layout=(3, 3))), x)
    before = cost(analog, x, "isaac")
    recalibrate(analog, model, x, "gain")
    assert cost(analog, x, "isaac").equals(before)


@pytest.mark.parametrize("method", ["none", "gain", "batch_norm"])
def test_accuracy_recalibrates_every_chip(method):
    """As by hand, chip by chip; "none" is the default, and the chip stays as it was."""
    model, x = network(), images(60, 3, 5, 5)
    labels = model(x).argmax(1)
    hardware = Hardware(NOISY.replace(retention_time=1e5, retention_nu=0.05), CODED)
    expected = []
    for seed in range(2):
        analog = map_network(model, hardware, x, seed)
        before = state_of(analog)
        recalibrate(analog, model, x, method)
        assert (state_of(analog) == before) == (method == "none")
        expected.append((analog(x).argmax(1) == labels).double().mean().item())
    found = accuracy(model, hardware, x, labels, x, seeds=range(2), recalibration=method)
    assert found.tolist() == expected
    default = accuracy(model, hardware, x, labels, record_inputs(model, x), seeds=range(2))
    assert (default.tolist() == expected) == (method == "none")


def test_errors():
    model, x = network(), images(30, 3, 5, 5)
    plain = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(75, 6))).double()
    labels = torch.zeros(len(x))
    analog = map_network(model, Hardware(tile=OFF))
    before = state_of(analog)
    for wrong, message in (
        ((analog, model, x, "bias"), "method='bias': must be one of 'none', 'gain', 'batch_norm'"),
        ((analog, model, [1.0], "gain"), "images='list': must be a tensor of at least one image"),
        ((analog, model, x[:0], "batch_norm"), r"images=\(0, 3, 5, 5\): must be a tensor of at least one image"),
        ((analog, model, images(4, 2, 5, 5), "gain"), r"images: of shape \(4, 2, 5, 5\) do not fit the model"),
        ((analog, model, images(4, 3, 9, 9), "batch_norm"), r"images: of shape \(4, 3, 9, 9\) do not fit the model"),
        ((analog, plain, x, "gain"), "model='Sequential': must be the network that the chip was mapped from.*'0'"),
        ((map_network(plain, Hardware(tile=OFF)), plain, x, "batch_norm"), "method='batch_norm': must be 'none' or"),
    ):
        with pytest.raises(ValueError, match=message):
            recalibrate(*wrong)
    assert state_of(analog) == before
    assert not any(module.training for module in analog.modules())
    with pytest.raises(TypeError, match="analog=Sequential: must be a chip"):
        recalibrate(model, model, x, "gain")
    for calibration, method in itertools.product((None, record_inputs(model, x)), ("gain", "batch_norm")):
        with pytest.raises(ValueError, match=r"calibration=.*: must be images, .* where recalibration="):
            accuracy(model, Hardware(tile=OFF), x, labels, calibration, recalibration=method)
    with pytest.raises(ValueError, match="recalibration='batch_norm': must be 'none' or 'gain'"):
        accuracy(plain, Hardware(tile=OFF), x, labels, x, recalibration="batch_norm")

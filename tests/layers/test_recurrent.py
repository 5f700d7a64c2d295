"""Recurrent layers and cells on tiles: against torch's own, and what all mapped networks can do."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import expit
from small_networks import OFF, assert_close, images, seeded
from torch import nn

from memlib import (
    Device,
    Hardware,
    Mapping,
    Tile,
    accuracy,
    cost,
    footprint,
    load_network,
    map_network,
    recalibrate,
    record_inputs,
    save_network,
)
from memlib.layers.mappable import UnsupportedLayerError, matrix_layers
from memlib.layers.recurrent import unrolled
from memlib.tiles.input_record import PASSES
from memlib.training.binary import binarise
from memlib.training.hardware_aware import on_hardware
from memlib.training.pruning import prune_model
from memlib.zoo.networks import mac_count

VARIANTS = {
    "rnn, tanh": lambda: nn.RNN(3, 5),
    "rnn, relu, two layers": lambda: nn.RNN(3, 5, 2, nonlinearity="relu", batch_first=True),
    "rnn, no bias, both directions": lambda: nn.RNN(3, 5, 2, bias=False, bidirectional=True),
    "lstm": lambda: nn.LSTM(3, 5, batch_first=True),
    "lstm, two layers, both directions": lambda: nn.LSTM(3, 5, 2, bidirectional=True),
    "lstm, projection": lambda: nn.LSTM(3, 5, 2, proj_size=4, batch_first=True, bidirectional=True),
    "lstm, projection, no bias": lambda: nn.LSTM(3, 5, proj_size=2, bias=False),
    "gru": lambda: nn.GRU(3, 5),
    "gru, no bias": lambda: nn.GRU(3, 5, bias=False, batch_first=True),
    "gru, three layers, both directions, dropout": lambda: nn.GRU(3, 5, 3, bidirectional=True, dropout=0.5),
}
CELLS = {
    "rnn cell": lambda: nn.RNNCell(3, 5),
    "rnn cell, relu, no bias": lambda: nn.RNNCell(3, 5, bias=False, nonlinearity="relu"),
    "lstm cell": lambda: nn.LSTMCell(3, 5),
    "gru cell": lambda: nn.GRUCell(3, 5),
}
IDEAL = (Hardware(tile=OFF), Hardware(Device(read_noise=1e-30), OFF, Mapping(scheme="offset", layout="sparse")))

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")  # torch's own


class Reader(nn.Module):
    """Reads a series and classifies its last state."""

    def __init__(self, layer: nn.Module, features: int = 5) -> None:
        super().__init__()
        self.layer, self.fc = layer, nn.Linear(features, 4)

    def forward(self, x):
        self.layer.flatten_parameters()
        h = x.new_zeros(self.layer.num_layers * (1 + self.layer.bidirectional), len(x), self.layer.hidden_size)
        return self.fc(self.layer(x, h)[0][:, -1])


def reader(kind=nn.GRU, **more) -> nn.Module:
    return seeded(lambda: Reader(kind(3, 5, batch_first=True, **more), 5 * (1 + more.get("bidirectional", 0)))).eval()


def flat(result) -> list[torch.Tensor]:
    """All tensors of a nested result, in order."""
    return [result] if isinstance(result, torch.Tensor) else [t for part in result for t in flat(part)]


def state_for(module, *batch: int, dtype):
    """A first state that is not zero."""
    directions = getattr(module, "num_layers", 1) * (1 + getattr(module, "bidirectional", False))
    lead = (directions, *batch) if hasattr(module, "num_layers") else batch
    h = images(*lead, getattr(module, "proj_size", 0) or module.hidden_size, dtype=dtype)
    lstm = isinstance(module, nn.LSTM | nn.LSTMCell)
    return (h, 2 * images(*lead, module.hidden_size, dtype=dtype)) if lstm else h


@pytest.mark.parametrize("hardware", IDEAL, ids=["folded, dense", "by tile, sparse, offset"])
@pytest.mark.parametrize("variant", [*VARIANTS, *CELLS])
def test_ideal_equals_torch(variant, hardware):
    """Outputs and states of layers and cells, batched and not, with and without a first state, in both precisions."""
    create = (VARIANTS | CELLS)[variant]
    shape = (2, 3) if variant in CELLS else (4, 2, 3)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        module = seeded(create).to(dtype).eval()
        analog = map_network(module, hardware)
        batch = shape[0] if getattr(module, "batch_first", variant in CELLS) else shape[-2]
        for x, sizes in ((images(*shape, dtype=dtype), (batch,)), (images(*shape[1:], dtype=dtype), ())):
            for arguments in ((x,), (x, state_for(module, *sizes, dtype=dtype))):
                expected = flat(module(*arguments))
                for actual, wanted in zip(flat(analog(*arguments)), expected, strict=True):
                    assert_close(actual, wanted.detach(), tolerance)


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.LSTM, 4), (nn.GRU, 3)])
def test_fine_converters_are_close_to_torch(kind, gates):
    """20-bit converters leave 2^8 times less than 12-bit ones; both are a few codes."""
    module, x = seeded(lambda: kind(3, 5, batch_first=True)).double(), images(20, 6, 3, dtype=torch.float64)
    expected = module(x)[0].detach()
    for bits, tolerance in ((12, 0.02), (20, 0.02 / 2**8)):
        tile = OFF.replace(dac_bits=bits, adc_bits=bits, adc_quantile=1.0)
        analog = map_network(module, Hardware(tile=tile), calibration=x)
        assert_close(analog(x)[0], expected, tolerance)
        assert analog.layers["l0.input"].geometry.outputs == 5 * gates


def test_one_step_by_hand():
    """A GRU of one unit with coarse converters: every product is rounded, gates and biases are not."""
    cell = nn.GRUCell(1, 1).double()
    with torch.no_grad():
        numbers = ([4, 2, 1], [1, 2, 4], [0.1, 0.2, 0.3], [-0.3, 0.2, 0.7])
        for parameter, values in zip(cell.parameters(), numbers, strict=True):
            parameter.copy_(torch.tensor(values, dtype=torch.float64).view_as(parameter))
    x, h = torch.tensor([[0.9]], dtype=torch.float64), torch.tensor([[0.5]], dtype=torch.float64)
    tile = Tile(dac_bits=4, adc_bits=None)
    chip = map_network(Stepper(cell), Hardware(tile=tile), calibration=torch.tensor([[1.0, 0.7]], dtype=torch.float64))
    x_code = round(0.9 * 15) / 15
    h_code = round(0.5 / 0.7 * 15) * 0.7 / 15
    r, z = expit(4 * x_code + 0.1 + h_code - 0.3), expit(2 * x_code + 0.2 + 2 * h_code + 0.2)
    n = np.tanh(x_code + 0.3 + r * (4 * h_code + 0.7))
    assert float(chip(torch.cat((x, h), 1))) == pytest.approx((1 - z) * n + z * 0.5, rel=1e-12)


class Stepper(nn.Module):
    """A cell of one input and one state, side by side in one tensor."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x):
        return self.cell(x[:, :1], x[:, 1:])


def test_devices_are_the_same_at_every_step_and_noise_is_not():
    """The same input at every step meets the same errors of programming, and another read noise."""
    rnn = seeded(lambda: nn.RNN(2, 3, nonlinearity="relu", batch_first=True)).double()
    x = images(1, 2, dtype=torch.float64).abs().expand(1, 9, 2)  # the same input at each step
    errors = {}
    for name, device in (("static", Device(program_error=0.1)), ("noise", Device(read_noise=0.1))):
        chip = map_network(rnn, Hardware(device, OFF))
        errors[name] = chip.layers["l0.input"](x) - unrolled(rnn).l0.input(x)
        hidden = torch.stack([chip.layers["l0.hidden"](x[:, 0, :1].expand(1, 3)) for _ in range(3)])
        errors[name, "hidden"] = hidden
    static, noise = errors["static"][0], errors["noise"][0]
    assert static.abs().min() > 0
    assert torch.allclose(static, static[:1].expand_as(static), rtol=1e-12, atol=1e-12)
    assert len({*map(tuple, noise.tolist())}) == 9
    assert torch.equal(errors["static", "hidden"][0], errors["static", "hidden"][2])
    assert not torch.equal(errors["noise", "hidden"][0], errors["noise", "hidden"][2])


def test_names_footprint_and_macs_by_hand():
    """A GRU of 2 x 5 units, both directions, on 10x4 tiles: matrices of 3 and 10 by 15, 5 by 15; 7 steps."""
    model, hardware = reader(num_layers=2, bidirectional=True), Hardware(tile=OFF.replace(adc_bits=8, dac_bits=8))
    table = footprint(model, (7, 3), hardware).set_index("layer")
    layers = [f"layer.l{k}{d}.{p}" for k in range(2) for d in ("", "_reverse") for p in ("input", "hidden")]
    assert list(table.index) == [*layers, "fc"]
    inputs = [3, 5, 3, 5, 10, 5, 10, 5]
    assert table["rows"].tolist() == [*inputs, 10]
    assert table["cells_used"].tolist() == [*(2 * n * 15 for n in inputs), 2 * 10 * 4]
    assert table["tiles"].tolist() == [2 * 4] * 8 + [2]
    assert table["passes"].tolist() == [7] * 8 + [1]
    assert table["conversions"].tolist() == [7 * 15] * 8 + [4]
    assert mac_count(model, (7, 3)) == 7 * 15 * sum(inputs) + 40


def test_calibration_sees_every_step():
    """The range of the hidden state is the largest over all steps and images, and its passes are those of all steps."""
    model, x = reader(nn.RNN, nonlinearity="relu"), images(12, 6, 3)
    record = record_inputs(model, x)
    hidden = model.layer(x)[0].detach()[:, :-1]  # the last one drives no step
    assert record["layer.l0.hidden"].x_max == pytest.approx(float(hidden.max()), rel=1e-6)
    assert not record["layer.l0.hidden"].signed
    assert record["layer.l0.input"].x_max == pytest.approx(float(x.abs().max()))
    assert record["layer.l0.hidden"].passes.shape == (72, 5)
    assert record["layer.l0.input"].passes.shape == (72, 3)


def test_calibration_keeps_a_sample_of_many_steps():
    """Of a series of 200 steps over two batches, no more than of one read, and from all of it alike."""
    model = nn.RNN(1, 1, nonlinearity="relu", batch_first=True).double()
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (1.0, 1.0, 0.0, 0.0), strict=True):
            parameter.fill_(value)  # the hidden state counts the ones so far
    record = record_inputs(model, torch.ones(256, 200, 1, dtype=torch.float64))["l0.hidden"]
    assert record.x_max == 199
    assert record.passes.shape == (PASSES, 1)
    counts = np.histogram(record.passes.numpy(), 4, (0, 200))[0]
    assert np.abs(counts - PASSES / 4).max() < 5 * np.sqrt(PASSES * 3 / 16)
    few = record_inputs(model, torch.ones(256, 32, 1, dtype=torch.float64))["l0.hidden"]
    assert few.passes.shape == (2 * PASSES, 1)  # up to twice as many are kept as they are


def test_original_is_untouched_and_used_twice_under_two_names():
    """One set of devices, under either name; torch's random state is left alone."""
    model, x = reader(), images(4, 6, 3)
    model.again = model.layer
    before = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    chip = map_network(model, Hardware(Device(program_error=0.1), OFF))
    assert list(chip.layers) == ["layer.l0.input", "layer.l0.hidden", "fc"]
    assert chip.network.again is chip.network.layer
    assert not torch.equal(chip(x), model(x))
    assert torch.equal(before[0], torch.get_rng_state())
    assert isinstance(model.layer, nn.GRU)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before[1].items())


@pytest.mark.parametrize("recalibration", ["none", "gain"])
def test_all_that_networks_can(tmp_path, recalibration):
    """Accuracy, cost, recalibration, saving and loading, hardware by layer."""
    model, x = seeded(lambda: Plain(nn.LSTM(3, 5, 2, batch_first=True), nn.Linear(5, 4))), images(40, 6, 3)
    labels = model(x).argmax(1)
    noisy = Hardware(Device(program_error=0.05, read_noise=0.02), OFF.replace(dac_bits=6, adc_bits=6))
    hardware = {"layer.l0.hidden": noisy.replace(device=Device()), "*": noisy}
    found = accuracy(model, hardware, x, labels, calibration=x, seeds=range(3), recalibration=recalibration)
    assert (found > 0.5).all()
    chip = map_network(model, hardware, calibration=x)
    recalibrate(chip, model, x, recalibration)
    table = cost(chip, x)
    assert set(table["layer"]) == set(chip.layers) == set(matrix_layers(model))
    longer = cost(chip, x.repeat(1, 2, 1))
    for name in matrix_layers(model):  # converters work at every step, those of the last layer once
        energies = [t[(t["layer"] == name) & (t["component"] == "ADC")]["energy"].sum() for t in (table, longer)]
        assert energies[1] == pytest.approx((1 if name == "fc" else 2) * energies[0])
    save_network(chip, tmp_path / "chip.safetensors")
    chip.reset()
    loaded = load_network(Plain(nn.LSTM(3, 5, 2, batch_first=True), nn.Linear(5, 4)), tmp_path / "chip.safetensors")
    assert torch.equal(loaded(x), chip(x))


class Plain(nn.Module):
    def __init__(self, layer: nn.Module, fc: nn.Module) -> None:
        super().__init__()
        self.layer, self.fc = layer, fc

    def forward(self, x):
        return self.fc(self.layer(x)[0][:, -1])


def test_gain_undoes_uniform_drift():
    """A power-law drift of all cells, of every gate alike, is what a factor per column makes good."""
    model, x = reader(nn.RNN), images(20, 6, 3)
    chip = map_network(model, Hardware(Device(retention_time=1e3, retention_nu=0.1), OFF))
    assert not torch.allclose(chip(x), model(x), atol=1e-2)
    recalibrate(chip, model, x, "gain")
    assert_close(chip(x), model(x).detach(), 1e-5)


def test_digital():
    """As a whole by class or name, or one of its products; a class of layers means the model's own."""
    model, hardware = reader(), Hardware(tile=OFF)
    for digital, layers in (
        ([nn.GRU], ["fc"]),
        (["layer"], ["fc"]),
        (["layer.l0.hidden"], ["layer.l0.input", "fc"]),
        (["layer.l0"], ["fc"]),
        ([nn.Linear], ["layer.l0.input", "layer.l0.hidden"]),
    ):
        chip = map_network(model, hardware, digital=digital)
        assert list(chip.layers) == layers
        assert isinstance(chip.network.layer, nn.GRU) == (len(layers) == 1)
        assert_close(chip(images(4, 6, 3)), model(images(4, 6, 3)).detach(), 1e-5)
    assert "digital GRU" in repr(map_network(model, hardware, digital=[nn.GRU]))


def test_hardware_by_the_names_of_modules():
    """A recurrent layer's own name stands for its products, and the innermost name counts."""
    model, rows = reader(num_layers=2), itertools.count(16)
    names = ["*", "layer", "layer.l1", "layer.l1.hidden"]
    hardware = {name: Hardware(tile=OFF.replace(rows=next(rows))) for name in names}
    chip = map_network(model, hardware)
    found = {name: layer.hardware.tile.rows for name, layer in chip.layers.items()}
    products = {"layer.l0.input": 17, "layer.l0.hidden": 17, "layer.l1.input": 18, "layer.l1.hidden": 19}
    assert found == products | {"fc": 16}
    with pytest.raises(ValueError, match=r"unknown layers \['layer.l2'\]"):
        map_network(model, hardware | {"layer.l2": Hardware()})
    with pytest.raises(ValueError, match=r"layers \['fc'\] missing"):
        map_network(model, {"layer": Hardware()})


def pruned(layer):
    return nn.utils.prune.l1_unstructured(layer, next(iter(dict(layer.named_parameters()))), 0.5)


COMPUTED = {
    "pruned": pruned,
    "weight norm": lambda layer: nn.utils.weight_norm(layer, "weight_hh_l0"),
    "spectral norm": lambda layer: nn.utils.spectral_norm(layer, "weight_hh_l0"),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("how", COMPUTED)
def test_weights_that_are_no_parameters(how):
    """Digital, such layers are as they were; on tiles they cannot be, and the error says what to do."""
    model, x = nn.Sequential(COMPUTED[how](seeded(lambda: nn.GRU(3, 5, batch_first=True)))).eval(), images(4, 6, 3)
    with torch.no_grad():
        model(x)  # hooks compute the weights, which can be copied then
        chip = map_network(model, Hardware(tile=OFF), digital=[nn.GRU])
        assert_close(chip(x)[0], model(x)[0], 1e-5)
    with pytest.raises(UnsupportedLayerError, match=r"'0' \(GRU\).*permanent first.*digital=\['0'\]"):
        map_network(model, Hardware())
    cell = pruned(nn.LSTMCell(3, 5))
    with pytest.raises(UnsupportedLayerError, match="permanent first"):
        map_network(cell, Hardware())


def test_what_changes_layers_in_place():
    """Binary weights, pruning and training on hardware refuse recurrent layers; plain training does not."""
    model, x = Convolved().eval(), images(4, 3, 12)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for call in (
        lambda: binarise(model),
        lambda: prune_model(model, "channels", 0.5, (3, 12)),
        lambda: on_hardware(model, Device(), 6, x, "t").__enter__(),
        lambda: on_hardware(model, Device(program_error=0.1), None, x, "t").__enter__(),
    ):
        with pytest.raises(UnsupportedLayerError, match=r"'layer' \(GRU\).* takes no recurrent layers"):
            call()
    with on_hardware(model, Device(), None, x, "t"):
        assert model(x).shape == (4, 2)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(3, 4, 3, padding=1), nn.Conv1d(4, 4, 3, padding=1)
        self.norm, self.layer, self.fc = nn.BatchNorm1d(4), nn.GRU(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x):
        return self.fc(self.layer(self.norm(self.second(self.first(x))).transpose(1, 2))[0][:, -1])


@pytest.mark.parametrize("kind", [nn.RNN, nn.RNNCell])
def test_loaded_into_other_gates(kind, tmp_path):
    """Matrices of the same shape are not enough: what stands between them is checked too."""
    path = tmp_path / "chip.safetensors"
    save_network(map_network(kind(3, 5), Hardware(tile=OFF)), path)
    load_network(kind(3, 5), path)
    with pytest.raises(ValueError, match="is RNN_RELU, not RNN_TANH"):
        load_network(kind(3, 5, nonlinearity="relu"), path)


def test_errors():
    """Packed sequences, wrong shapes of inputs and states, and layers that are no recurrent ones."""
    x = images(4, 6, 3)
    chip, cell = map_network(nn.LSTM(3, 5), Hardware(tile=OFF)), map_network(nn.GRUCell(3, 5), Hardware(tile=OFF))
    packed = nn.utils.rnn.pack_sequence([x[0], x[1, :3]])
    with pytest.raises(TypeError, match=r"packed sequences.*padded"):
        chip(packed)
    for call, message in (
        (lambda: chip(x[None]), "recurrent input"),
        (lambda: chip(x, torch.zeros(1, 6, 5)), r"\(h, c\)"),
        (lambda: chip(x, (torch.zeros(1, 6, 5), torch.zeros(1, 1, 5))), r"\(1, 6, 5\)"),
        (lambda: cell(x), "recurrent input"),
        (lambda: cell(x[0], torch.zeros(1, 5)), r"\(6, 5\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(UnsupportedLayerError, match="RNN, LSTM, GRU and their cells"):
        map_network(nn.Embedding(3, 4), Hardware())


def test_names_are_streams():
    """Other layers, directions and products have other devices; the same name and seed has the same."""
    model = reader(num_layers=2, bidirectional=True)
    with torch.no_grad():
        for parameter in model.layer.parameters():
            parameter.fill_(0.5)
    layers = map_network(model, Hardware(Device(program_error=0.1), OFF), seed=3).layers
    again = map_network(model, Hardware(Device(program_error=0.1), OFF), seed=3).layers
    hidden = [name for name in layers if name.endswith("hidden")]
    assert all(torch.equal(layers[name].reads.kernel, again[name].reads.kernel) for name in hidden)
    for a, b in itertools.combinations(hidden, 2):
        assert not torch.equal(layers[a].reads.kernel, layers[b].reads.kernel)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda():
    """The same chip on CUDA, whether mapped there or moved there."""
    model, x = reader(num_layers=2, bidirectional=True).double(), images(8, 6, 3, dtype=torch.float64)
    hardware = Hardware(Device(program_error=0.1), OFF.replace(dac_bits=8, adc_bits=8))
    expected = map_network(model, hardware, calibration=x)(x)
    moved = map_network(model, hardware, calibration=x).cuda()
    assert_close(moved(x.cuda()).cpu(), expected, 1e-9)
    born_there = map_network(model.cuda(), hardware, calibration=x.cuda())
    assert_close(born_there(x.cuda()).cpu(), expected, 1e-9)

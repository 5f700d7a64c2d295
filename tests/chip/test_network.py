"""Mapped layers and networks against torch, and what a mapped network can do besides computing."""

import copy
import itertools

import numpy as np
import pytest
import torch
from messages import raises
from small_networks import HARDWARE, NOISY, OFF, assert_close, images, linear, seeded, small_network
from torch import Tensor, nn

from memlib import (
    Device,
    Hardware,
    Mapping,
    Tile,
    accuracy,
    best_windows,
    footprint,
    map_network,
    tile_cells,
)
from memlib.chip.network import design_ranges
from memlib.costs.activity import measure
from memlib.costs.cost_table import cost_of
from memlib.layers.geometry import Geometry
from memlib.zoo.networks import build_network

LAYERS = {
    "linear": (lambda: nn.Linear(23, 11), (5, 23)),
    "linear, leading dimensions": (lambda: nn.Linear(23, 11, bias=False), (2, 3, 4, 23)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 5, stride=2, padding=3, dilation=2), (2, 4, 17)),
    "conv2d": (lambda: nn.Conv2d(3, 9, 3), (2, 3, 6, 5)),
    "no batch": (lambda: nn.Conv2d(3, 5, 3, padding=1), (3, 6, 5)),
    "1x1, no bias": (lambda: nn.Conv2d(13, 5, 1, bias=False), (2, 13, 3, 4)),
    "non-square": (lambda: nn.Conv2d(3, 5, (2, 5), padding=(2, 1)), (2, 3, 6, 7)),
    "unequal stride": (lambda: nn.Conv2d(3, 5, 3, stride=(1, 3), padding=1), (2, 3, 5, 8)),
    "unequal dilation": (lambda: nn.Conv2d(3, 5, 3, dilation=(1, 3), padding=(0, 2)), (2, 3, 5, 8)),
    "same": (lambda: nn.Conv2d(3, 5, (4, 3), padding="same", dilation=(1, 2)), (2, 3, 7, 6)),
    "same, reflect": (lambda: nn.Conv2d(3, 5, 2, padding="same", padding_mode="reflect"), (2, 3, 5, 6)),
    "same, circular": (lambda: nn.Conv2d(3, 5, (2, 4), padding="same", padding_mode="circular"), (2, 3, 5, 6)),
    "valid": (lambda: nn.Conv2d(3, 5, 3, padding="valid"), (2, 3, 5, 6)),
    "reflect": (lambda: nn.Conv2d(3, 5, 3, padding=(2, 1), padding_mode="reflect"), (2, 3, 5, 6)),
    "replicate": (lambda: nn.Conv2d(3, 5, 3, padding=(0, 2), padding_mode="replicate"), (2, 3, 5, 6)),
    "circular": (lambda: nn.Conv1d(3, 5, 4, padding=3, padding_mode="circular", stride=2), (2, 3, 9)),
    "grouped": (lambda: nn.Conv2d(6, 9, 3, groups=3, padding=1), (2, 6, 4, 5)),
    "depthwise": (lambda: nn.Conv2d(5, 5, 3, groups=5, bias=False, stride=2), (2, 5, 7, 6)),
    "depthwise, two outputs each": (lambda: nn.Conv2d(5, 10, (3, 1), groups=5, padding="same"), (2, 5, 4, 4)),
    "conv3d": (lambda: nn.Conv3d(2, 3, (1, 2, 3), stride=(1, 2, 1), padding=(1, 0, 2)), (2, 2, 3, 4, 5)),
    "conv3d, grouped": (lambda: nn.Conv3d(4, 4, 2, groups=2, padding=1, padding_mode="circular"), (1, 4, 3, 2, 4)),
}
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's own
LAYOUTS = [
    *(("dense", "packed"), ("dense", "hwc"), ((2, 2), "chw"), ((3, 2), "hwc")),
    *(("sparse", "packed"), ("sparse", "chw"), ("sparse", "hwc")),
]
SCHEMES = [("differential", "hrs"), ("differential", "unformed"), ("offset", "hrs")]


@pytest.mark.parametrize(("layout", "order"), LAYOUTS)
@pytest.mark.parametrize("layer", LAYERS)
def test_an_ideal_device_equals_torch(layer, layout, order):
    """Without converters, folded or (with immeasurable noise) tile by tile, whose converters are of both kinds.

    In every layout and order, with schemes and kinds of unused cells in turn.
    """
    create, shape = LAYERS[layer]
    scheme, unused = SCHEMES[(list(LAYERS).index(layer) + LAYOUTS.index((layout, order))) % 3]
    mapping = Mapping(layout=layout, order=order, scheme=scheme, unused=unused)
    for dtype, tolerance, converter in ((torch.float64, 1e-10, "pair"), (torch.float32, 1e-5, "column")):
        module, x = seeded(create).to(dtype), images(*shape, dtype=dtype)
        dims, before = Geometry.of(module).dims, x.clone()
        size = shape[-1 - dims :] if dims else shape[1:]
        for noise in (0, 1e-30):
            hardware = Hardware(Device(read_noise=noise), OFF.replace(converter=converter), mapping)
            analog = map_network(module, hardware, input_shape=size)
            assert_close(analog(x), module(x).detach(), tolerance)
        assert torch.equal(x, before)


@pytest.mark.parametrize("layer", LAYERS)
def test_fine_converters_are_close_to_torch(layer):
    """The error of 12-bit converters is small, and that of 20-bit converters about 2^8 times smaller."""
    create, shape = LAYERS[layer]
    module, x = seeded(create).double(), images(*shape, dtype=torch.float64)
    expected = module(x).detach()
    for scheme, converter in itertools.product(("differential", "offset"), ("pair", "column")):
        for bits, tolerance in ((12, 0.02), (20, 0.02 / 2**8)):
            tile = OFF.replace(dac_bits=bits, adc_bits=bits, adc_quantile=1.0, converter=converter)
            analog = map_network(module, Hardware(Device(), tile, Mapping(scheme=scheme)), calibration=x)
            assert_close(analog(x), expected, tolerance)


@pytest.mark.slow
def test_float32_codes_of_a_sparse_network():
    """A sparse network with converters in both precisions: codes that flip by rounding are at most 0.1 %."""
    network = build_network("resnet20", 0.25).eval()
    x = images(4, 3, 32, 32)
    mapping = Hardware(Device(d2d_on=0.1), Tile(), Mapping(layout="sparse"))
    single = map_network(network, mapping, x)
    double = map_network(copy.deepcopy(network).double(), mapping, x.double())
    first, second = single.layers["0"](x).double(), double.layers["0"](x.double())
    assert float(((first - second).abs() > 1e-5 * float(second.abs().max())).double().mean()) <= 1e-3
    assert float((single(x).double() - double(x.double())).abs().max()) < 0.2 * float(double(x.double()).abs().max())


@pytest.mark.parametrize("converter", ["pair", "column"])
def test_only_row_tiles_convert_apart(converter):
    """With one tile row per input, ADC codes of single products are summed: by hand for a 3x1 layer."""
    module = nn.Linear(3, 1, bias=False).double()
    module.weight.data = torch.tensor([[1.0, -0.5, 0.25]], dtype=torch.float64)
    tile = Tile(rows=1, cols=1, dac_bits=None, adc_bits=4, adc_range="full", converter=converter)
    analog = map_network(module, Hardware(Device(r_on=1024, r_off=2048), tile), calibration=torch.eye(3).double() * 4)
    x = torch.tensor([[4.0, 2.0, 3.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    if converter == "pair":  # codes 7 w x/4: 7, -1.75 -> -2, 1.3125 -> 1; 1.75 -> 2, -0.875 -> -1, 0.4375 -> 0
        expected = torch.tensor([[6.0], [1.0]], dtype=torch.float64) * 4 / 7
    else:  # a cell's code is 15 g/g_on x/4, with g/g_on (1, 0.5), (0.5, 0.75), (0.625, 0.5) in the two columns
        codes = [[15 - 8, 4 - 6, 7 - 6], [4 - 2, 2 - 3, 2 - 2]]  # and 1 = 7.5 codes at full input
        expected = torch.tensor(codes, dtype=torch.float64).sum(1, keepdim=True) * 4 / 7.5
    assert_close(analog(x), expected, 1e-12)


class Twice(nn.Module):
    """One layer under two names, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)))


def test_module_called_twice_is_one_set_of_devices():
    """Both calls use the same devices, which the summary counts once."""
    x = images(4, 6)
    analog = map_network(seeded(Twice), Hardware(NOISY.replace(read_noise=0), Tile()), calibration=x)
    layer = analog.layers["first"]
    assert list(analog.layers) == ["first"]
    assert analog.network.second is layer
    assert torch.equal(analog(x), layer(torch.relu(layer(x))))
    assert len(analog.summary()) == 1


def test_original_is_untouched():
    """Mapping and running change neither values, types, mode nor gradients of the float network."""
    network = seeded(small_network).train()
    types = [type(module) for module in network.modules()]
    state = {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}
    x = images(8, 3, 6, 6)
    map_network(network, Hardware(NOISY), calibration=x)(x)
    assert [type(module) for module in network.modules()] == types
    assert {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()} == state
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_mapped_network_is_in_eval_mode():
    """Batch norm uses its stored statistics although the float network was in training mode; training is refused."""
    network = seeded(small_network).train()
    x = images(8, 3, 6, 6)
    analog = map_network(network, Hardware(tile=OFF))
    assert_close(analog(x), network.eval()(x).detach(), 1e-5)
    with pytest.raises(NotImplementedError, match="map it again"):
        analog.train()


def test_hardware_per_layer():
    """A dict gives each named layer its own hardware and '*' the rest; the coarse layer alone departs from torch."""
    network, x = seeded(small_network).eval(), images(8, 3, 6, 6)
    ideal, coarse = Hardware(tile=OFF), Hardware(Device(states=2), OFF.replace(rows=7))
    analog = map_network(network, {"3": coarse, "*": ideal})
    assert [layer.hardware for layer in analog.layers.values()] == [ideal, coarse, ideal]
    hidden = network[:3](x).detach()
    assert_close(analog.network[:3](x), hidden, 1e-5)
    weight, largest = network[3].weight.detach(), network[3].weight.detach().abs().max()
    two_states = torch.where(weight.abs() > largest / 2, weight.sign() * largest, 0)
    assert_close(analog.network[3](hidden), nn.functional.conv2d(hidden, two_states, network[3].bias.detach()), 1e-5)


@pytest.mark.parametrize("digital", [["3", "5"], [nn.Linear, "3"]])
def test_digital_modules_stay(digital):
    """Modules listed by name or class stay as they are and are shown as digital."""
    network, x = seeded(small_network).eval(), images(8, 3, 6, 6)
    analog = map_network(network, Hardware(NOISY, Tile()), calibration=x, digital=digital)
    assert list(analog.layers) == ["0"]
    assert type(analog.network[3]) is nn.Conv2d
    assert type(analog.network[5]) is nn.Linear
    assert torch.equal(analog.network[5].weight, network[5].weight)
    kinds = analog.summary().set_index("layer")["kind"]
    assert kinds.to_dict() == {
        "0": "conv2d", "1": "digital BatchNorm2d", "3": "digital Conv2d", "5": "digital Linear",
    }  # fmt: skip


def test_printed_as_a_table():
    """print(network) shows a line for each layer, with its tiles, and for each digital module."""
    analog = map_network(seeded(small_network), Hardware(tile=OFF), seed=7)
    lines = str(analog).splitlines()
    assert "seed=7" in lines[0]
    assert lines[1].split()[:2] == ["layer", "kind"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert list(rows) == ["0", "3", "5", "1"]
    # 162 weights in pairs; 3 x 2 tiles of 40 cells, twice
    assert rows["0"][:6] == ["conv2d", "1x1", "27", "6", "324", "480"]
    assert rows["5"][:4] == ["linear", "1", "16", "5"]
    assert rows["1"] == ["digital", "BatchNorm2d"]


def test_network_without_matrix_layers():
    """A network that stays digital as a whole still runs and prints."""
    network, x = seeded(lambda: nn.Sequential(nn.Linear(3, 2))), images(4, 3)
    analog = map_network(network, Hardware(), digital=["0"])
    assert torch.equal(analog(x), network(x))
    assert "digital Linear" in str(analog)


class Named(nn.Module):
    """Calls its layer by the name of its argument."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x):
        return self.layer(input=x)


def test_layer_called_by_keyword():
    """Calibration and the mapped network take `input=` as torch's layers do."""
    model, x = seeded(Named).double(), torch.linspace(-1, 1, 12, dtype=torch.float64).view(2, 6)
    hardware = Hardware(tile=Tile(dac_bits=16, adc_bits=16, adc_quantile=1.0))
    assert torch.allclose(map_network(model, hardware, x)(x), model(x), atol=1e-3)


def test_deepcopy():
    """A copy goes on from the same noise, independently of the original."""
    x = images(8, 3, 6, 6)
    analog = map_network(seeded(small_network), HARDWARE["pair"], calibration=x)
    first = analog(x)
    twin = copy.deepcopy(analog)
    assert torch.equal(twin(x), analog(x))
    twin.reset()
    assert torch.equal(twin(x), first)
    assert not torch.equal(analog(x), first)


def test_double():
    """A mapped network can change its dtype."""
    x = images(8, 3, 6, 6)
    analog = map_network(seeded(small_network), HARDWARE["folded"])
    expected = analog(x).double()
    assert_close(analog.double()(x.double()), expected, 1e-5)


def test_channels_last():
    """Memory layout is not part of the result."""
    x = images(8, 3, 6, 6)
    network = seeded(small_network)
    expected = map_network(network, HARDWARE["folded"])(x)
    analog = map_network(network.to(memory_format=torch.channels_last), HARDWARE["folded"])
    assert_close(analog(x.to(memory_format=torch.channels_last)), expected, 1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("hardware", ["folded", "pair", "window", "sparse, offset"])
def test_cuda(hardware):
    """The same chip on CUDA, whether mapped there or moved there; noise has its own stream there, repeated by reset."""
    x = images(8, 3, 6, 6, dtype=torch.float64)
    quiet = HARDWARE[hardware].replace(device=NOISY.replace(read_noise=0))
    network = seeded(small_network).double()
    expected = map_network(network, quiet, calibration=x)(x)
    moved = map_network(network, quiet, calibration=x).cuda()
    born_there = map_network(network.cuda(), quiet, calibration=x.cuda())
    assert_close(moved(x.cuda()).cpu(), expected, 1e-9)
    assert_close(born_there(x.cuda()).cpu(), expected, 1e-9)
    power = measure(map_network(network.cpu(), quiet, calibration=x), x)
    for chip in (moved, born_there):
        found = {name: m.power for name, m in measure(chip, x.cuda()).items()}
        assert found == pytest.approx({name: m.power for name, m in power.items()}, rel=1e-6)
    network.cuda()
    noisy = map_network(network, HARDWARE["pair"], calibration=x.cuda())
    first = noisy(x.cuda())
    assert not torch.equal(noisy(x.cuda()), first)
    noisy.reset()
    assert torch.equal(noisy(x.cuda()), first)


@pytest.mark.parametrize("scheme", ["differential", "offset"])
def test_cells_of_a_tile_can_be_looked_at(scheme):
    """They are those that the same chip computes with, where the placement says, and nothing in other lines."""
    device, tile = Device(program_error=0.1), OFF.replace(rows=6, cols=5)
    hardware, layer = Hardware(device, tile, Mapping(scheme=scheme)), linear(torch.ones(3, 8))
    seen = map_network(nn.Sequential(layer), hardware, seed=4)(torch.eye(8).double()).numpy()
    for number, rows in ((0, slice(0, 6)), (1, slice(6, 8))):
        g = tile_cells(nn.Sequential(layer), hardware, "0", number, seed=4).numpy()
        used = rows.stop - rows.start
        assert g.shape == ((2, 6, 5) if scheme == "differential" else (1, 6, 6))
        assert not g[:, used:].any()
        assert not g[:, :, 3:5].any()
        difference = g[0, :used, :3] - (g[1, :used, :3] if scheme == "differential" else g[0, :used, 5:])
        scale = device.g_range / (1 if scheme == "differential" else 2)
        np.testing.assert_allclose(seen[rows], difference / scale, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="tile=2: must be a whole number from 0 to 1"):
        tile_cells(nn.Sequential(layer), hardware, "0", 2)


def test_slices_can_be_looked_at():
    """Of 2 slices of 4 levels, a weight of 7/15 of the largest has the digits 3 and 1."""
    hardware = Hardware(Device(states=4), OFF, Mapping(slices=2))
    layer = linear(torch.tensor([[15.0, 7.0]]))
    digits = [tile_cells(layer, hardware, "", slice_number=s)[0, :2, 0] for s in range(2)]
    levels = [(g - Device().g_off) / (Device().g_range / 3) for g in digits]
    torch.testing.assert_close(torch.stack(levels), torch.tensor([[3.0, 3.0], [3.0, 1.0]], dtype=torch.float64))


def test_digital_modules_are_passed_over_everywhere():
    """By all that takes a network: accuracy, ranges, cells, footprint, windows and cost."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 3)).eval()
    x, hardware, digital = images(6, 1, 4, 4), Hardware(tile=Tile(rows=10, cols=4)), [nn.LayerNorm]
    assert accuracy(model, hardware, x, model(x).argmax(1), x, [0], digital)[0] > 0.5
    assert list(design_ranges(model, hardware, x, digital)) == ["0", "3"]
    assert tile_cells(model, hardware, "3", digital=digital).shape == (2, 10, 4)
    assert footprint(model, (1, 4, 4), hardware, digital)["layer"].tolist() == ["0", "3"]
    assert best_windows(model, (1, 4, 4), hardware, digital=digital)["layer"].tolist() == ["0"]
    assert set(cost_of(model, (1, 4, 4), hardware, {"0": 0.0, "3": 0.0}, digital=digital)["layer"]) == {"0", "3"}


NAN, INF = float("nan"), float("inf")


def test_layouts_need_the_size_of_the_map():
    """Without images or their shape, no window can be placed; another size at run time is refused."""
    layer, off = nn.Conv2d(1, 1, 3, padding=1), Tile(dac_bits=None, adc_bits=None)
    sparse = Hardware(tile=off, mapping=Mapping(layout="sparse"))
    raises(ValueError, lambda: map_network(layer, sparse), "layout='sparse'", "'dense'", "input_shape")
    analog = map_network(layer, sparse, input_shape=(1, 4, 4))
    raises(ValueError, lambda: analog(torch.ones(1, 1, 5, 4)), "(5, 4)", "(4, 4)")
    call = lambda: map_network(layer, sparse, torch.ones(2, 1, 4, 4), input_shape=(1, 5, 5))  # noqa: E731
    raises(ValueError, call, "input_shape=(1, 5, 5)", "that of the calibration images", "(4, 4)")
    dense = map_network(layer, Hardware(tile=off), input_shape=(1, 1, 1))  # all but the middle is padding
    raises(ValueError, lambda: dense(torch.ones(1, 1, 2, 1)), "(2, 1)", "(1, 1)")


@pytest.mark.parametrize("seed", [-1, 0.5, True, None])
def test_seed(seed):
    """A device seed is a whole number."""
    network, hardware = nn.Linear(4, 4), Hardware(tile=Tile(dac_bits=None, adc_bits=None))
    raises(ValueError, lambda: map_network(network, hardware, seed=seed), f"seed={seed!r}", "whole number")


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"": NAN}, ("ranges of layer ''=nan", "above 0")),
        ({"": 0.0}, ("ranges of layer ''=0.0", "above 0")),
        ({"x": 1.0}, ("ranges='x'", "one of ''")),
    ],
)
def test_ranges(ranges, words):
    raises(ValueError, lambda: map_network(nn.Linear(4, 4), Hardware(), torch.ones(2, 4), ranges=ranges), *words)


def test_half_precision_is_refused():
    """A converter's codes do not fit bfloat16."""
    model = nn.Sequential(nn.Linear(6, 5)).bfloat16()
    raises(ValueError, lambda: map_network(model, Hardware(tile=Tile(dac_bits=None, adc_bits=None))), "'0'", "float32")

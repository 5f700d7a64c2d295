"""The fast path against the reference simulator, cell by cell: same devices, same normals, same codes."""

import itertools
import math

import numpy as np
import pytest
import torch
from reference import ReferenceLayer
from small_networks import seeded
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, cost, footprint, map_network
from memlib.base.random_streams import generator, stream_seed
from memlib.costs.activity import measure
from memlib.layers.geometry import Geometry

LAYERS = {
    "linear": (lambda: nn.Linear(23, 11), (5, 23)),
    "conv2d": (lambda: nn.Conv2d(3, 7, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), (3, 3, 6, 7)),
    "grouped": (lambda: nn.Conv2d(6, 9, 3, padding=1, groups=3, bias=False), (2, 6, 4, 5)),
    "depthwise": (lambda: nn.Conv2d(5, 10, 2, groups=5), (2, 5, 4, 4)),
    "circular": (lambda: nn.Conv1d(4, 5, 3, padding=2, padding_mode="circular"), (3, 4, 9)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, padding="same"), (2, 2, 3, 3, 4)),
}
ALL_EFFECTS = Device(
    states=9, program_error=0.05, d2d_on=0.2, d2d_off=0.3, stuck_on=0.05, stuck_off=0.1, unformed=0.05, read_noise=0.03
)
DEVICES = {
    "ideal": Device(),
    "states": Device(
        states=6, r_off=97531.7
    ),  # no round ratio to r_on, so that no current falls half-way between codes
    "all": ALL_EFFECTS,
    "all, other kinds": ALL_EFFECTS.replace(
        program_error_to="g", d2d_distribution="normal", read_noise_to="range", r_off=30e3
    ),
}
TILES = {
    "off": Tile(rows=10, cols=4, dac_bits=None, adc_bits=None),
    "dac only": Tile(rows=10, cols=4, dac_bits=5, adc_bits=None),
    "calibrated": Tile(rows=10, cols=4, dac_bits=6, adc_bits=6, adc_quantile=0.97),
    "chip": Tile(rows=16, cols=3, dac_bits=4, adc_bits=5, adc_calibration="chip"),
    "full, column": Tile(rows=7, cols=5, dac_bits=6, adc_bits=7, adc_range="full", converter="column"),
    "calibrated, column": Tile(rows=10, cols=4, dac_bits=None, adc_bits=6, converter="column"),
}
MAPPINGS = [
    Mapping(scheme="differential"),
    Mapping(scheme="offset"),
    Mapping(w_max="column"),
    Mapping(unused="unformed"),
    Mapping(scheme="offset", w_max="column"),
]


def reference_of(
    layer: nn.Module, hardware: Hardware, calibration: torch.Tensor, seed: int, name: str = "0"
) -> ReferenceLayer:
    """The reference simulator of the same layer, with its converters set."""
    g = Geometry.of(layer)
    result = ReferenceLayer(
        weight=layer.weight.detach().numpy(),
        bias=None if layer.bias is None else layer.bias.detach().numpy(),
        device=hardware.device,
        tile=hardware.tile,
        mapping=hardware.mapping,
        name=name,
        seed=seed,
        groups=g.groups,
        input_size=tuple(calibration.shape[2:]) if g.dims else (),
        stride=g.stride,
        padding=g.padding,
        dilation=g.dilation,
        padding_mode=g.padding_mode,
        x_max=float(calibration.abs().max()),
        signed=bool((calibration < 0).any()),
    )
    result.set_range(calibration.numpy())
    return result


def assert_equal_to_reference(
    module: nn.Module, shape: tuple[int, ...], hardware: Hardware, case: int, tolerance: float = 1e-10
) -> None:
    """Outputs of two forwards, and the counts and energy of the same machine; every other case has unsigned inputs."""
    calibration, x = (torch.randn(shape, generator=generator(case, part), dtype=torch.float64) for part in "cx")
    if stream_seed("unsigned", case) % 2:
        calibration = calibration.abs()
    fast = map_network(nn.Sequential(module), hardware, calibration, seed=case)
    slow = reference_of(module, hardware, calibration, seed=case)
    later = [generator(case, "0", "slice", s, "read_noise") for s in range(1, hardware.mapping.slices)]
    noise = [generator(case, "0", "read_noise"), *later]
    for _ in range(2):  # read noise goes on from one forward to the next
        expected = slow.forward(x.numpy(), noise)
        np.testing.assert_allclose(fast(x).numpy(), expected, rtol=0, atol=tolerance * np.abs(expected).max())
    signed = ["0"] if (calibration < 0).any() else []
    row = footprint(nn.Sequential(module), shape[1:], hardware, signed=signed).iloc[0]
    counts = slow.cells_used(), slow.cells_allocated(), slow.tiles(), slow.conversions()
    passes = shape[1:-1] if isinstance(module, nn.Linear) else ()  # the reference counts one vector
    found = row["cells_used"], row["cells_allocated"], row["tiles"], row["conversions"] / math.prod(passes)
    assert found == counts
    energy = measure(fast, x)["0"].power * len(x) * 1e-7
    assert energy == pytest.approx(slow.array_energy(x.numpy(), 1e-7), rel=10 * tolerance, abs=0)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("device", "tile"), list(itertools.product(DEVICES, TILES)))
def test_fast_path_equals_reference(layer, device, tile):
    """Every layer x device x tile in the dense layout, each with one scheme in turn."""
    create, shape = LAYERS[layer]
    case = list(itertools.product(LAYERS, DEVICES, TILES)).index((layer, device, tile))
    hardware = Hardware(DEVICES[device], TILES[tile], MAPPINGS[(case + case // 6) % 5])
    assert_equal_to_reference(seeded(create, case).double(), shape, hardware, case)


#: More shapes for the layouts with copies: odd windows, gaps between reads, and inputs that are always padding.
MORE_LAYERS = LAYERS | {
    "stride over kernel": (lambda: nn.Conv2d(3, 4, 2, stride=3, padding=1), (2, 3, 8, 7)),
    "always padding": (lambda: nn.Conv2d(2, 3, 5, padding=(3, 2), dilation=(2, 1), stride=(2, 1)), (2, 2, 3, 2)),
    "strided, 1-D": (lambda: nn.Conv1d(3, 4, 3, stride=2, padding=2, dilation=2), (2, 3, 11)),
    "groups, 3-D": (lambda: nn.Conv3d(4, 4, (1, 2, 2), groups=2, padding=(0, 1, 0)), (1, 4, 2, 3, 4)),
    "reflect": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 2, 4, 5)),
}
LAYOUTS = [
    *itertools.product(["dense"], ["hwc"]),
    *itertools.product([(1, 3), (2, 2), (3, 2)], ["chw", "hwc"]),
    *itertools.product(["sparse"], ["packed", "chw", "hwc"]),
]


@pytest.mark.parametrize("layer", MORE_LAYERS)
@pytest.mark.parametrize(("layout", "order"), LAYOUTS)
def test_every_layout_equals_reference(layer, layout, order):
    """Every layer x layout x order; device, tile and scheme in turn, so that each meets each layout."""
    create, shape = MORE_LAYERS[layer]
    case = list(itertools.product(MORE_LAYERS, LAYOUTS)).index((layer, (layout, order)))
    devices, tiles = ["all", "all, other kinds", "states"], list(TILES)
    mapping = MAPPINGS[case % 5].replace(layout=layout, order=order)
    hardware = Hardware(DEVICES[devices[case % 3]], TILES[tiles[case % 6]], mapping)
    assert_equal_to_reference(seeded(create, case).double(), shape, hardware, case)


def test_columns_that_are_not_side_by_side():
    """In hwc order a cut of 3 of 5 depthwise rows adds to outputs with gaps between them."""
    hardware = Hardware(ALL_EFFECTS, TILES["calibrated"].replace(rows=3), Mapping(order="hwc"))
    assert_equal_to_reference(seeded(LAYERS["depthwise"][0], 1).double(), (2, 5, 4, 4), hardware, 1)


AGED = {"retention_time": 1e4, "retention_nu": 0.02, "retention_nu_sigma": 0.01, "retention_spread": 0.02}
DISSOLVED = {"retention_time": 1e4, "recombination_energy": 1.02, "recombination_between": 0.05}
DISSOLVED |= {"recombination_tail": 0.2, "recombination_tail_energy": 0.8}
WORN = {"endurance_cycles": 1e4, "endurance_onset": 10.0, "endurance_on": 0.05, "endurance_off": 0.08}
ERRORS = {"adc_gain_error": 0.05, "adc_offset_error": 0.03}
WIRES = {"r_driver": 150.0, "r_row": 60.0, "r_col": 90.0, "r_sense": 40.0}
#: Fields of device, tile and mapping beside those of `ALL_EFFECTS`, one of `TILES` and a layout.
EFFECTS = {
    "aged": (AGED | WORN, {}, {}),
    "dissolved": (DISSOLVED, {}, {}),
    "bent": ({"v0": 0.15}, {}, {}),
    "transistors": ({}, {"r_transistor": 3e3}, {}),
    "wires": ({}, WIRES, {}),
    "wires of columns": ({"read_noise_to": "range"}, {"r_col": 200.0, "r_transistor": 1e3}, {}),
    "wires of rows": ({"v0": 0.2}, {"r_row": 200.0}, {}),
    "erring converters": ({}, ERRORS, {}),
    "serial": ({}, {"bit_serial": True, "dac_bits": 3}, {}),
    "slices": ({"states": 6}, {}, {"slices": 2}),
    "everything": (
        AGED | DISSOLVED | WORN | {"v0": 0.2, "states": 4},
        ERRORS | WIRES | {"r_transistor": 500.0, "bit_serial": True, "dac_bits": 3},
        {"slices": 2},
    ),
}


@pytest.mark.parametrize("layer", MORE_LAYERS)
@pytest.mark.parametrize("effect", EFFECTS)
def test_every_effect_equals_reference(layer, effect):
    """Every effect x layer; layout, order, tile and scheme in turn."""
    create, shape = MORE_LAYERS[layer]
    case = list(itertools.product(EFFECTS, MORE_LAYERS)).index((effect, layer))
    device, tile, mapping = EFFECTS[effect]
    tiles = [kind for kind in TILES.values() if kind.adc_bits or not tile.keys() & ERRORS.keys()]
    layout, order = ["dense", *LAYOUTS][case % (1 + len(LAYOUTS))], "packed"
    if not isinstance(layout, str):
        layout, order = layout
    hardware = Hardware(
        ALL_EFFECTS.replace(**device),
        tiles[case % len(tiles)].replace(**tile),
        MAPPINGS[case % 5].replace(layout=layout, order=order, **mapping),
    )
    assert_equal_to_reference(seeded(create, case).double(), shape, hardware, case)


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_filaments_of_many_barriers_equal_reference(layout):
    """To the error of the table of the integral over a cell's barriers, which the reference takes by quadrature."""
    create, shape = LAYERS["conv2d"]
    device = Device(**DISSOLVED, recombination_within=0.07)
    hardware = Hardware(device, TILES["dac only"], Mapping(layout=layout))
    assert_equal_to_reference(seeded(create, 5).double(), shape, hardware, 5, tolerance=2e-5)


@pytest.mark.parametrize("wires", [{}, WIRES])
@pytest.mark.parametrize("layout", ["dense", (2, 2), "sparse"])
@pytest.mark.parametrize("layer", ["linear", "conv2d", "grouped"])
def test_laws_that_depend_on_the_state_equal_reference(layer, layout, wires):
    """To the error of the powers of v that stand for them."""
    create, shape = LAYERS[layer]
    case = ["linear", "conv2d", "grouped"].index(layer) + 3 * ["dense", (2, 2), "sparse"].index(layout)
    device = ALL_EFFECTS.replace(v0=0.4, v0_off=0.2)
    tile = TILES["dac only"].replace(**wires)
    hardware = Hardware(device, tile, MAPPINGS[case % 5].replace(layout=layout))
    assert_equal_to_reference(seeded(create, case).double(), shape, hardware, case, tolerance=1e-4)


@pytest.mark.parametrize("layout", ["dense", (2, 2), "sparse"])
def test_energy_of_a_network(layout):
    """The arrays' energy of a whole network is the sum over every cell and pass of every layer, by brute force."""
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3, stride=2), nn.Flatten(), nn.Linear(16, 3)
    ).double()
    calibration, x = torch.rand(2, 3, 2, 6, 6, generator=generator("network"), dtype=torch.float64)
    hardware = Hardware(ALL_EFFECTS, TILES["calibrated"], Mapping(layout=layout))
    fast = map_network(network, hardware, calibration, seed=5)
    expected, floats = 0.0, calibration
    for name, module in network.named_children():
        if name in fast.layers:
            slow = reference_of(module, hardware, floats.detach(), 5, name)
            fast.reset()
            expected += slow.array_energy(fast.network[: int(name)](x).numpy(), 1e-7)
        floats = module(floats)
    fast.reset()
    table = cost(fast, x, "isaac")
    arrays = table.loc[table["component"] == "array", "energy"]
    assert len(arrays) == 3
    assert arrays.sum() * len(x) == pytest.approx(expected, rel=1e-6, abs=0)

"""The fast path against the reference simulator, cell by cell: same devices, same normals, same codes."""

import itertools

import numpy as np
import pytest
import torch
from reference import ReferenceLayer
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, map_network
from memlib.layers import Geometry
from memlib.streams import generator

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
]


def reference_of(layer: nn.Module, hardware: Hardware, calibration: torch.Tensor, seed: int) -> ReferenceLayer:
    """The reference simulator of the same layer, with its converters set."""
    g = Geometry.of(layer)
    result = ReferenceLayer(
        weight=layer.weight.detach().numpy(),
        bias=None if layer.bias is None else layer.bias.detach().numpy(),
        device=hardware.device,
        tile=hardware.tile,
        mapping=hardware.mapping,
        name="0",
        seed=seed,
        groups=g.groups,
        stride=g.stride,
        padding=g.padding,
        dilation=g.dilation,
        padding_mode=g.padding_mode,
        x_max=float(calibration.abs().max()),
        signed=bool((calibration < 0).any()),
    )
    result.set_range(calibration.numpy())
    return result


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("device", "tile"), list(itertools.product(DEVICES, TILES)))
def test_fast_path_equals_reference(layer, device, tile):
    """Every layer x device x tile, each with one mapping scheme in turn and with signed or unsigned inputs in turn."""
    create, shape = LAYERS[layer]
    case = list(itertools.product(LAYERS, DEVICES, TILES)).index((layer, device, tile))
    mapping = MAPPINGS[(case + case // 6) % 4]
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(case)
    module = create().double()
    calibration, x = torch.randn(2, *shape, dtype=torch.float64)
    torch.random.set_rng_state(torch_state)
    if case % 2:
        calibration = calibration.abs()
    hardware = Hardware(DEVICES[device], TILES[tile], mapping)
    fast = map_network(nn.Sequential(module), hardware, calibration, seed=case)
    slow = reference_of(module, hardware, calibration, seed=case)
    noise = generator(case, "0", "read_noise")
    for _ in range(2):  # read noise goes on from one forward to the next
        expected = slow.forward(x.numpy(), noise)
        np.testing.assert_allclose(fast(x).numpy(), expected, rtol=0, atol=1e-10 * np.abs(expected).max())

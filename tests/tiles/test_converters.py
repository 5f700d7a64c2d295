"""Converters and their calibration against numbers found by hand and with numpy."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import memlib.chip.layer
import memlib.tiles.input_record
from memlib import Device, Hardware, Mapping, Tile, map_network, record_inputs
from memlib.tiles.adc_range import upper_quantile
from memlib.tiles.converters import code_limits

EXACT = Device(r_on=2**10, r_off=2**11)  # conductances that float64 holds exactly, so that ties are ties
OFF = Tile(dac_bits=None, adc_bits=None)
G_ON, G_OFF = 1e-4, 1e-5  # of the default device
SCHEMES = ["differential", "offset"]
CONVERTERS = ["pair", "column"]


def linear(weights: np.ndarray) -> nn.Linear:
    """A layer without bias that computes x @ weights, (inputs, outputs)."""
    layer = nn.Linear(*weights.shape, bias=False).double()
    layer.weight.data = torch.from_numpy(np.ascontiguousarray(weights.T))
    return layer


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def mapped(weights: np.ndarray, tile: Tile, calibration: np.ndarray, device: Device | None = None, scheme=SCHEMES[0]):
    """The one analog layer of x @ weights."""
    hardware = Hardware(device or Device(), tile, Mapping(scheme=scheme))
    return map_network(linear(weights), hardware, torch.as_tensor(calibration).double()).layers[""]


def outputs(layer: nn.Module, values: list[float]) -> np.ndarray:
    """What a layer of one input and one output makes of each value."""
    return layer(torch.tensor(values, dtype=torch.float64)[:, None]).numpy()[:, 0]


# Codes


@pytest.mark.parametrize(
    ("bits", "signed", "limits"), [(1, False, (0, 1)), (3, False, (0, 7)), (2, True, (-1, 1)), (8, True, (-127, 127))]
)
def test_code_limits(bits, signed, limits):
    """Unsigned codes fill 2^b, signed ones are symmetric."""
    assert code_limits(bits, signed, "adc_bits") == limits


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("calibration", "x", "codes"),
    [
        ([0, 7], [0, 0.49, 0.5, 1.5, 2.5, 3.51, 7, 7.6, 30, -1, -30], [0, 0, 0, 2, 2, 4, 7, 7, 7, 0, 0]),
        ([-3, 1], [0, 0.5, 1.5, -0.5, -1.5, -2.5, 3, 3.6, 30, -30], [0, 0, 2, 0, -2, -2, 3, 3, 3, -3]),
    ],
    ids=["unsigned", "signed"],
)
def test_input_codes(calibration, x, codes, scheme):
    """Three bits: nearest code, ties to even, clipped at x_max; negatives clip to 0 where calibration saw none."""
    layer = mapped(np.ones((1, 1)), OFF.replace(dac_bits=3), np.array(calibration)[:, None], EXACT, scheme)
    np.testing.assert_allclose(outputs(layer, x), codes, rtol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_output_codes(scheme):
    """Four signed bits for a pair: codes of I/range, ties to even, clipped at +-7."""
    layer = mapped(np.ones((1, 1)), OFF.replace(adc_bits=4, adc_range="full"), np.array([[7.0]]), EXACT, scheme)
    x = [0, 0.5, 1.5, 2.5, -0.5, -1.5, 6.4, 7, 8, 90, -90]
    np.testing.assert_allclose(outputs(layer, x), [0, 0, 2, 2, 0, -2, 6, 7, 7, 7, -7], rtol=1e-12)


def test_output_codes_of_a_column():
    """Three unsigned bits: 7 x/7 in the positive column, half of it in the negative one, each rounded and clipped."""
    tile = OFF.replace(adc_bits=3, adc_range="full", converter="column")
    layer = mapped(np.ones((1, 1)), tile, np.array([[7.0]]), EXACT)
    x = [1, 3, 4.6, 7, 9, 20, -5]
    columns = np.array([(1, 0), (3, 2), (5, 2), (7, 4), (7, 4), (7, 7), (0, 0)])
    np.testing.assert_allclose(outputs(layer, x), 2 * (columns[:, 0] - columns[:, 1]), rtol=1e-12)


def test_converters_off_neither_round_nor_clip():
    """Without converters, values beyond the calibrated range pass."""
    np.testing.assert_allclose(outputs(mapped(np.ones((1, 1)), OFF, np.ones((1, 1))), [100.3, -7e-9]), [100.3, -7e-9])


# Ranges


@pytest.mark.parametrize(
    ("scheme", "converter", "per_row"),
    [
        ("differential", "pair", G_ON - G_OFF),
        ("offset", "pair", (G_ON - G_OFF) / 2),
        ("differential", "column", G_ON),
        ("offset", "column", G_ON),
    ],
)
def test_full_range(scheme, converter, per_row):
    """v_read n s, with n the most selected rows in any tile: 8 of 20 rows, and 6 of 12 in a depthwise layer's tile."""
    tile = Tile(rows=8, cols=2, adc_range="full", converter=converter, v_read=0.2)
    assert mapped(random(20, 3), tile, random(5, 20), scheme=scheme).full_scale == pytest.approx(0.2 * 8 * per_row)
    depthwise = nn.Conv1d(4, 4, 3, groups=4).double()
    hardware = Hardware(tile=tile.replace(rows=12), mapping=Mapping(scheme=scheme))
    layer = map_network(depthwise, hardware, torch.randn(2, 4, 6, dtype=torch.float64)).layers[""]
    assert layer.full_scale == pytest.approx(0.2 * 6 * per_row)


def test_range_without_current_is_full():
    """A chip, or an input, that gives no current gets the full range."""
    tile = Tile(rows=8, adc_calibration="chip")
    expected = 0.3 * 8 * (G_ON - G_OFF)
    assert mapped(random(8, 5), tile, random(6, 8), Device(unformed=1.0)).full_scale == pytest.approx(expected)
    dark = mapped(random(8, 5), tile, np.zeros((6, 8)))
    assert dark.full_scale == pytest.approx(expected)
    assert dark.inputs.x_max == 1
    assert not dark.inputs.signed


@pytest.mark.parametrize("n", [1, 2, 999, 20_000])
@pytest.mark.parametrize("q", [0, 0.3, 0.9, 0.999, 0.99999, 1])
def test_upper_quantile(n, q):
    """As numpy's, which interpolates linearly; whatever the shape, and in parts."""
    values = random(n) ** 3
    parts = torch.from_numpy(values).view(-1, 1).split(700)
    assert upper_quantile(parts, n, q) == pytest.approx(np.quantile(values, q), rel=1e-12)


# Tile shape


# Calibration


def three_layers() -> nn.Module:
    """Signed input, then unsigned, then signed again."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2), nn.Flatten(), nn.Linear(392, 5)
        return nn.Sequential(*layers).double().requires_grad_(False)


def images(n: int = 40) -> Tensor:
    """Signed images; the last one is the largest."""
    x = torch.from_numpy(random(n, 3, 16, 16))
    x[-1] *= 3
    return x


def test_inputs_of_every_layer():
    """x_max and the sign of each layer's input are those of the float network."""
    network, x = three_layers(), images()
    record = record_inputs(network, x)
    for name, hidden in (("0", x), ("2", network[:2](x)), ("4", network[:4](x))):
        assert record[name].x_max == float(hidden.abs().max())
        assert record[name].signed == bool((hidden < 0).any())
        assert not set(record[name].passes.unique().tolist()) - set(hidden.unique().tolist()) - {0.0}
    assert [inputs.signed for inputs in record.values()] == [True, False, True]
    assert record["4"].passes.shape == (40, 392)


def test_batches_of_calibration_do_not_matter():
    """The whole record of x_max and sign is the same, and so are all passes where all are kept."""
    network, x = three_layers(), images()
    records = [record_inputs(network, x, batch=batch) for batch in (7, 128)]
    for name, first in records[0].items():
        assert (first.x_max, first.signed) == (records[1][name].x_max, records[1][name].signed)
    np.testing.assert_array_equal(*(np.sort(record["4"].passes.sum(1).numpy()) for record in records))


def test_one_negative_value_makes_an_input_signed():
    """In whichever batch it comes."""
    for where in (0, 4, 9):
        x = torch.ones(10, 3, dtype=torch.float64)
        x[where, 1] = -2
        inputs = record_inputs(linear(random(3, 2)), x, batch=2)[""]
        assert (inputs.x_max, inputs.signed) == (2, True)


def test_record_serves_as_calibration():
    """A record made once gives the same chip as the images themselves."""
    network, x = three_layers(), images()
    chips = [map_network(network, Hardware(Device(d2d_on=0.1)), c) for c in (x, record_inputs(network, x))]
    assert torch.equal(chips[0](x), chips[1](x))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("layout", ["dense", (2, 3), "sparse"])
def test_subsampled_range_is_near_the_full_one(monkeypatch, scheme, layout):
    """Ranges from some passes, or maps, differ from those of all by a few per cent."""
    mapping = Mapping(scheme=scheme, layout=layout)
    network, x, hardware = three_layers(), images(), Hardware(tile=Tile(rows=16), mapping=mapping)
    if layout != "dense":  # few passes: one image in 40 that is larger may be among them, or not
        x[-1] /= 3
    full_scales = []
    monkeypatch.setattr(memlib.tiles.adc_range, "LEAST_PASSES", 30)
    for passes, maps, values in ((10**9, 10**9, 10**9), (1000, 25, 10**9), (10**9, 10**9, 10_000)):
        monkeypatch.setattr(memlib.tiles.input_record, "PASSES", passes)
        monkeypatch.setattr(memlib.tiles.input_record, "MAPS", maps)
        monkeypatch.setattr(memlib.tiles.adc_range, "CALIBRATION_VALUES", values)
        full_scales.append([layer.full_scale for layer in map_network(network, hardware, x).layers.values()])
    np.testing.assert_allclose(full_scales[1], full_scales[0], rtol=0.2)
    np.testing.assert_allclose(full_scales[2], full_scales[0], rtol=0.2)
    assert full_scales[0] != full_scales[1] != full_scales[2]

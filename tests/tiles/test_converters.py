"""Codes of converters against numbers found by hand."""

import numpy as np
import pytest
import torch
from messages import raises
from small_networks import mapped
from torch import nn

from memlib import Device, Hardware, Tile, map_network
from memlib.tiles.converters import code_limits

EXACT = Device(r_on=2**10, r_off=2**11)  # conductances that float64 holds exactly, so that ties are ties
OFF = Tile(dac_bits=None, adc_bits=None)
SCHEMES = ["differential", "offset"]


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


@pytest.mark.parametrize("tile", [Tile(dac_bits=1), Tile(adc_bits=1, converter="column")])
def test_one_bit_for_a_signed_input(tile):
    """A signed converter of one bit has no code but 0: found when calibration shows negative inputs."""
    field = "dac_bits=1" if tile.dac_bits == 1 else "adc_bits=1"
    network, hardware = nn.Linear(4, 4), Hardware(tile=tile)
    raises(ValueError, lambda: map_network(network, hardware, -torch.ones(2, 4)), field, "at least 2", "signed")
    map_network(network, hardware, torch.ones(2, 4))

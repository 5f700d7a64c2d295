"""The record that converters are calibrated on: ranges, signs and passes of every layer's input."""

import numpy as np
import pytest
import torch
from messages import raises
from small_networks import linear, small_network, three_layers, uneven_images
from torch import nn

from memlib import Device, Hardware, Tile, map_network, record_inputs


def test_inputs_of_every_layer():
    """x_max and the sign of each layer's input are those of the float network."""
    network, x = three_layers(), uneven_images()
    record = record_inputs(network, x)
    for name, hidden in (("0", x), ("2", network[:2](x)), ("4", network[:4](x))):
        assert record[name].x_max == float(hidden.abs().max())
        assert record[name].signed == bool((hidden < 0).any())
        assert not set(record[name].passes.unique().tolist()) - set(hidden.unique().tolist()) - {0.0}
    assert [inputs.signed for inputs in record.values()] == [True, False, True]
    assert record["4"].passes.shape == (40, 392)


def test_batches_of_calibration_do_not_matter():
    """The whole record of x_max and sign is the same, and so are all passes where all are kept."""
    network, x = three_layers(), uneven_images()
    records = [record_inputs(network, x, batch=batch) for batch in (7, 128)]
    for name, first in records[0].items():
        assert (first.x_max, first.signed) == (records[1][name].x_max, records[1][name].signed)
    np.testing.assert_array_equal(*(np.sort(record["4"].passes.sum(1).numpy()) for record in records))


def test_one_negative_value_makes_an_input_signed():
    """In whichever batch it comes."""
    for where in (0, 4, 9):
        x = torch.ones(10, 3, dtype=torch.float64)
        x[where, 1] = -2
        inputs = record_inputs(linear(torch.ones(2, 3)), x, batch=2)[""]
        assert (inputs.x_max, inputs.signed) == (2, True)


def test_record_serves_as_calibration():
    """A record made once gives the same chip as the images themselves."""
    network, x = three_layers(), uneven_images()
    chips = [map_network(network, Hardware(Device(d2d_on=0.1)), c) for c in (x, record_inputs(network, x))]
    assert torch.equal(chips[0](x), chips[1](x))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("calibration", "parts"),
    [
        (None, ["layer '0'", "pass calibration images", "dac_bits=None"]),
        ({}, ["layer '0'", "pass calibration images"]),
        (torch.zeros(0, 3, 6, 6), ["(0, 3, 6, 6)", "at least one image"]),
        (torch.zeros(3), ["(3,)", "at least one image"]),
        (torch.zeros(2, 3, 7, 6), ["(2, 3, 7, 6)", "do not fit the model"]),
        (torch.zeros(2, 1, 6, 6), ["(2, 1, 6, 6)", "do not fit the model"]),
        (torch.zeros(3, 6, 6), ["(3, 6, 6)", "do not fit the model"]),
        (torch.zeros(2, 108), ["(2, 108)", "do not fit the model"]),
        (torch.zeros(2, 3, 6, 6, dtype=torch.uint8), ["(2, 3, 6, 6)", "do not fit the model"]),
        (torch.full((2, 3, 6, 6), NAN), ["finite"]),
        (np.zeros((2, 3, 6, 6)), ["ndarray", "tensor"]),
        ([torch.zeros(3, 6, 6)], ["list", "tensor"]),
    ],
    ids=str.split("none record empty vector size channels one flat bytes nan numpy list"),
)
def test_calibration(calibration, parts):
    """Missing, empty, of the wrong shape or kind: the message names calibration and says what is wrong."""
    raises(ValueError, lambda: map_network(small_network(), Hardware(), calibration), "calibration", *parts)


def test_record_of_another_network():
    """A record that does not fit the layer, whatever the ADC's range is."""
    record = record_inputs(nn.Sequential(nn.Linear(7, 5)), torch.ones(2, 7))
    for adc_range in ("full", "calibrated"):
        hardware = Hardware(tile=Tile(adc_range=adc_range))
        raises(
            ValueError, lambda h=hardware: map_network(nn.Sequential(nn.Linear(6, 5)), h, record), "calibration", "'0'"
        )


def test_record_inputs_of_no_tensor():
    """Something else than a tensor of images."""
    raises(ValueError, lambda: record_inputs(small_network(), [1, 2]), "calibration='list'", "tensor")

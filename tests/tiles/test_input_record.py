"""The record that converters are calibrated on: ranges, signs and passes of every layer's input."""

import numpy as np
import torch
from small_networks import linear, three_layers, uneven_images

from memlib import Device, Hardware, map_network, record_inputs


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

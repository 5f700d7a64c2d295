"""Designs as points: their hardware and their costs."""

import pytest

from memlib import accuracy, cost, map_network
from memlib.cells.device import Device
from memlib.costs.machine import totals
from memlib.studies.shared import designs
from memlib.studies.shared.trained_networks import prepared, shared_fields, split

NETWORK = "resnet20-0.5-digits"
DESIGN = {"checkpoint": NETWORK, "device": "3 % error", "rows": 128, "adc_bits": 6}


@pytest.mark.slow
def test_a_chip_is_that_of_the_public_interface():
    """Accuracy and costs agree with a chip that is mapped by hand."""
    point = designs.make_point(DESIGN | {"layout": "2x2"}, 60)
    found = designs.evaluate(point, 1)
    p = prepared(*split(shared_fields(NETWORK, 60))[0])
    hardware = designs.hardware_of(point)["*"]
    assert hardware.device == Device.preset("10k_100k").replace(program_error=0.03)
    assert (hardware.tile.rows, hardware.tile.cols, hardware.tile.adc_bits, hardware.tile.dac_bits) == (128, 128, 6, 8)
    assert (hardware.mapping.layout, hardware.mapping.unused) == ((2, 2), "unformed")
    assert found["accuracy"] == accuracy(p.model, hardware, p.images, p.labels, p.calibration, [1])[0]
    chip = map_network(p.model, hardware, p.calibration, 1)
    whole = totals(cost(chip, p.images[: designs.POWER_IMAGES], "li2022"))
    for quantity in designs.QUANTITIES:
        assert found[f"li2022_{quantity}"] == pytest.approx(getattr(whole, quantity), rel=1e-9)


def test_costs_without_a_chip_lack_the_arrays_energy_alone():
    point = designs.make_point(DESIGN, 60)
    found, without = designs.evaluate(point, 0), designs.costs(point, "isaac")
    assert without["energy"] < found["isaac_energy"] < 1.01 * without["energy"]
    for quantity in ("latency", "area"):
        assert without[quantity] == pytest.approx(found[f"isaac_{quantity}"], rel=1e-12)


def test_layers_get_the_window_of_their_map():
    windows = {"window 32x32": "4x4", "window 16x16": "1x1", "window 8x8": "2x2"}
    assert designs.window_names(NETWORK) == list(windows)
    hardware = designs.hardware_of(designs.make_point(DESIGN | {"layout": "windows", **windows}, 60))
    layouts = {name: choice.mapping.layout for name, choice in hardware.items()}
    sizes = designs.output_sizes(NETWORK)
    assert {(sizes[name], layout) for name, layout in layouts.items() if name != "*"} == {
        ((32, 32), (4, 4)), ((16, 16), "dense"), ((8, 8), (2, 2))
    }  # fmt: skip
    assert layouts["*"] == "dense"
    assert len(sizes) == 19


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "none"}, "device='none': must be one of '3 % error', .*'cmo_hfox, 1 day', .*'14k_50M'"),
        ({"tile": 3}, "tile=3: must be a field of Device, Tile or Mapping"),
        ({"window 8x8": "2x2"}, r"windows of a design=\['window 8x8'\]: must be none in the layout 'dense'"),
        ({"layout": "windows", "window 8x8": "2x2"}, "must be .*'window 32x32'.* in the layout 'windows'"),
        ({"adc_bits": 0}, "adc_bits=0"),
        ({"layout": "denser"}, "layout='denser': must be 'dense', 'sparse', or a window such as '4x4'"),
    ],
)
def test_designs_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        designs.make_point(DESIGN | changes, 60)


@pytest.mark.parametrize("name", designs.NEEDED)
def test_designs_that_lack_something(name):
    with pytest.raises(ValueError, match=f"with '{name}'"):
        designs.make_point({key: value for key, value in DESIGN.items() if key != name}, 60)


def test_what_a_design_says_of_its_device_goes_first():
    point = designs.make_point({**DESIGN, "program_error": 0.1}, 60)
    assert (point["device_label"], point["program_error"]) == ("10k_100k", 0.1)
    assert designs.make_point(DESIGN, 60)["program_error"] == 0.03


def test_wires_are_those_of_the_tiles():
    hardware = designs.hardware_of(designs.make_point(DESIGN | {"r_wire": 0.5}, 60))["*"]
    assert (hardware.tile.r_row, hardware.tile.r_col) == (0.5, 0.5)
    assert "r_row" not in designs.make_point(DESIGN, 60)

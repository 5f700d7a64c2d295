"""Designs as points: their hardware, their costs, and the error of a device's cells."""

import math

import pytest
import torch

from memlib import accuracy, cost, map_network
from memlib.cells.device import Device
from memlib.costs.machine import totals
from memlib.mapping.hardware import Hardware
from memlib.mapping.plan import plan_chip
from memlib.mapping.tile import Tile
from memlib.studies import designs
from memlib.studies.trained_networks import INPUT_SHAPE, model_of, prepared, shared_fields, split
from memlib.tiles.programming import program_slices

NETWORK = "resnet20-0.5-digits"
DESIGN = {"checkpoint": NETWORK, "device": "3 % error", "rows": 128, "adc_bits": 6}


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


def test_the_error_of_cells_is_that_of_each_effect():
    assert designs.cell_error(NETWORK, Device()) == 0
    assert designs.cell_error(NETWORK, Device(program_error=0.02)) == pytest.approx(0.02, rel=0.02)
    # a stuck cell of a weight near 0, as most are, is wrong by nearly the whole range
    stuck = designs.cell_error(NETWORK, Device(stuck_on=0.01))
    assert 0.8 * math.sqrt(0.01) < stuck < math.sqrt(0.01)
    # levels 1/8 of the range apart are wrong by up to 1/16: uniformly, that would be by 1/8/sqrt(12)
    assert 0.2 / 8 / math.sqrt(12) < designs.cell_error(NETWORK, Device(states=9)) < 1.2 / 8 / math.sqrt(12)
    both = designs.cell_error(NETWORK, Device(program_error=0.02, read_noise=0.1))
    noise = designs.cell_error(NETWORK, Device(read_noise=0.1))
    assert both == pytest.approx(math.hypot(0.02, noise), rel=0.03)


def test_noise_of_reads_by_hand():
    device = Device(r_on=10e3, r_off=100e3, read_noise=0.1)
    g = torch.tensor([device.g_off, device.g_on], dtype=torch.float64)
    # 10 and 100 uS, read to 1 and 10 uS
    torch.testing.assert_close(device.noise_variance(g).sqrt(), torch.tensor([1e-6, 1e-5], dtype=torch.float64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "none"}, "device='none': must be one of '3 % error', .*'cmo_hfox, 1 day', .*'14k_50M'"),
        ({"tile": 3}, "field of a design='tile': must be one of checkpoint, device, .*, program_error"),
        ({"window 8x8": "2x2"}, r"windows of a design=\['window 8x8'\]: must be none in the layout 'dense'"),
        ({"layout": "windows", "window 8x8": "2x2"}, "must be .*'window 32x32'.* in the layout 'windows'"),
        ({"adc_bits": 0}, "adc_bits=0"),
        ({"layout": "denser"}, "layout='denser': must be 'dense', 'sparse', 'windows', or a window such as '4x4'"),
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
    assert (point["device"], point["program_error"]) == ("10k_100k", 0.1)
    assert designs.make_point(DESIGN, 60)["program_error"] == 0.03


def test_wires_are_those_of_the_tiles():
    hardware = designs.hardware_of(designs.make_point(DESIGN | {"r_wire": 0.5}, 60))["*"]
    assert (hardware.tile.r_row, hardware.tile.r_col) == (0.5, 0.5)
    assert "r_wire" not in designs.make_point(DESIGN, 60)


@pytest.mark.parametrize("layout", ["dense", "4x4"])
def test_share_per_ohm_is_what_wires_cost_all_tiles(layout, monkeypatch):
    """Of all tiles, against exact solutions of arrays with little resistance; and of a sample of them."""
    rows, device, ohms = 32, Device.preset("10k_100k"), 1e-3
    sampled = designs.share_per_ohm(NETWORK, layout, device, rows)
    monkeypatch.setattr(designs, "SAMPLED_TILES", 10**4)
    found = designs.share_per_ohm.__wrapped__(NETWORK, layout, device, rows)
    assert sampled == pytest.approx(found, rel=0.1)
    model, shares = model_of(NETWORK), []
    hardware = Hardware(device, Tile(rows, rows, r_row=ohms, r_col=ohms), designs.mapping_of(layout, "unformed"))
    for layer in plan_chip(model, hardware, INPUT_SHAPE).values():
        (programmer,) = program_slices(layer)
        blocks = list(programmer.blocks())
        reach, bare = (sum(float(getattr(b, kind).sum()) for b in blocks) for kind in ("effective", "cells"))
        shares.append(1 - reach / bare)
    assert found * ohms == pytest.approx(sum(shares) / len(shares), rel=1e-3)

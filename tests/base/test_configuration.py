"""Configurations hold plain Python numbers, whatever they are given."""

import numpy as np
import pytest
import torch

from memlib import Device, Hardware, Mapping, Tile
from memlib.base.checks import whole
from memlib.circuits.circuit import Circuit
from memlib.costs.machine import inventory
from memlib.exploration.multi_objective import Fidelity
from memlib.mapping.vertical_stack import Stack
from memlib.sweeps.adaptive_seeds import AdaptiveSeeds
from memlib.training.recipes import RECIPES
from memlib.wires.resistances import Wires

SMALL = np.uint8(200)  # whose square is 64, and whose double is 144
RECIPE = next(iter(RECIPES.values()))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *((Tile, name) for name in ("rows", "cols")),
        (Device, "states"),
        (Mapping, "slices"),
        *((Stack, name) for name in ("planes", "pillars")),
        *((RECIPE.replace, name) for name in ("epochs", "batch", "seed")),
        *((lambda **value: Fidelity(**{"images": 1, "seeds": 1} | value), name) for name in ("images", "seeds")),
        (lambda **value: AdaptiveSeeds(1.0, most=300, **value), "first"),
        (lambda **value: Hardware.of(**value).tile, "rows"),
    ],
)
def test_whole_numbers_of_numpy_are_kept_as_pythons(make, name):
    made = make(**{name: SMALL})
    found = getattr(made, name)
    assert (type(found), found, found * found) == (int, 200, 40_000)
    assert made == make(**{name: 200})
    assert repr(made) == repr(make(**{name: 200}))


@pytest.mark.parametrize("bits", [np.uint8(8), np.int8(8), np.int64(8)])
def test_bits_of_numpy_have_as_many_levels(bits):
    """2 ** bits is 0 in uint8."""
    tile = Tile(adc_bits=bits, dac_bits=bits)
    assert (2**tile.adc_bits, 2**tile.dac_bits) == (256, 256)
    assert Circuit(input_bits=bits).input_bits ** 3 == 512


def test_other_numbers_and_bools_of_numpy_too_also_in_tuples():
    device = Device(r_on=np.float32(1e4), r_off=np.float64(1e5), program_error=np.float16(0.5))
    assert [type(value) for value in (device.r_on, device.r_off, device.program_error)] == [float] * 3
    assert Tile(np.int16(300)).rows ** 2 == 90_000  # by position
    assert Tile().replace(rows=np.int16(300)).rows ** 2 == 90_000
    assert Tile(bit_serial=np.True_).bit_serial is True
    assert Mapping(layout=(np.uint8(2), np.uint8(4))) == Mapping(layout=(2, 4))
    assert Device(d2d_distribution=np.str_("normal")) == Device(d2d_distribution="normal")


def test_arrays_stay_arrays_where_they_are_allowed():
    row = np.array([1.0, 2.0])
    assert Wires(row=row).row is row


@pytest.mark.parametrize("wrong", [np.float64(8), np.True_, np.array([8]), torch.tensor(8), np.uint8(0), np.nan, "8"])
def test_what_is_no_whole_number_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^rows=.*: must be a whole number at least 1"):
        Tile(rows=wrong)


def test_a_checked_whole_number_is_an_int():
    found = whole("n", SMALL, 0, 300)
    assert (type(found), found + found) == (int, 400)
    assert whole("n", None, 0, none=True) is None


def test_arguments_are_calculated_with_as_pythons_numbers():
    """An array of 200 x 200 cells, on 200 tiles."""
    assert inventory("isaac", SMALL, SMALL, SMALL).equals(inventory("isaac", 200, 200, 200))

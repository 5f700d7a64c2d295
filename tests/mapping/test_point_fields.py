"""Hardware as the fields of a point, which mean the same for ever."""

import dataclasses

import pandas as pd
import pytest

from memlib import Device, Hardware, Mapping, Tile
from memlib.cells.device import PRESETS
from memlib.mapping import point_fields as flat

#: The defaults of 0.2. Never change a value here: points in stores and archives leave it out.
FROZEN = {
    "r_on": 10e3, "r_off": 100e3, "states": None, "program_error": 0, "program_error_to": "range", "d2d_on": 0,
    "d2d_off": 0, "d2d_distribution": "lognormal", "stuck_on": 0, "stuck_off": 0, "unformed": 0, "read_noise": 0,
    "read_noise_to": "g", "v0": None, "v0_off": None, "retention_time": 0, "retention_t0": 1, "retention_nu": 0,
    "retention_nu_sigma": 0, "retention_spread": 0, "retention_energy": 0, "retention_temperature": 300,
    "retention_reference": 300, "recombination_energy": 0, "recombination_within": 0, "recombination_between": 0,
    "recombination_tail": 0, "recombination_tail_energy": 0, "recombination_rate": 1e13, "endurance_cycles": 0,
    "endurance_onset": 1, "endurance_on": 0, "endurance_off": 0, "rows": 128, "cols": 128, "dac_bits": 8,
    "adc_bits": 8, "adc_range": "calibrated", "adc_calibration": "design", "adc_quantile": 0.999, "converter": "pair",
    "adc_gain_error": 0, "adc_offset_error": 0, "bit_serial": False, "v_read": 0.3, "t_read": None, "r_driver": 0,
    "r_row": 0, "r_col": 0, "r_sense": 0, "r_transistor": 0, "layout": "dense", "scheme": "differential",
    "order": "packed", "unused": "hrs", "w_max": "layer", "slices": 1,
}  # fmt: skip


def test_the_frozen_defaults():
    """Every field has one; a new field of Device, Tile or Mapping is added to both tables."""
    assert flat.FROZEN == FROZEN
    assert set(FROZEN) == {f.name for kind in (Device, Tile, Mapping) for f in dataclasses.fields(kind)}


VARIOUS = [
    Hardware(),
    *(Hardware.of(name) for name in PRESETS),
    Hardware.of(layout="2x4, unformed", dac_bits=None, adc_bits=None, states=5),
    Hardware(mapping=Mapping((4, 4))),
    Hardware.of(layout="sparse, offset", bit_serial=True, states=5, slices=2, v0=0.5, t_read=1e-7, r_row=1),
]


@pytest.mark.parametrize("hardware", VARIOUS)
def test_fields_of_a_point_are_the_hardware(hardware):
    """There and back, whatever labels are among them; all are scalars."""
    fields = flat.point_fields(hardware)
    assert flat.hardware_of(fields | {"device_label": "a name"}) == hardware
    assert all(isinstance(value, int | float | str) for value in fields.values())


def test_fields_of_a_point_say_what_differs_and_no_name():
    found = flat.point_fields(Hardware.of("neurram", rows=64, cols=64, adc_bits=None, layout="4x4"))
    expected = PRESETS["neurram"] | {"rows": 64, "cols": 64, "adc_bits": "off", "layout": "4x4", "order": "hwc"}
    assert found == expected
    assert flat.point_fields(Hardware.of("10k_100k")) == {}
    with pytest.raises(ValueError, match="device='neurram': must be a field of Device, Tile or Mapping"):
        flat.hardware_of({"device": "neurram"})
    with pytest.raises(ValueError, match="layout='4x4, offset': must be 'dense', 'sparse', or a window such as '4x4'"):
        flat.hardware_of({"layout": "4x4, offset"})


def test_a_changed_preset_changes_its_points_alone(monkeypatch):
    names = list(PRESETS)
    before = {name: flat.point_fields(Hardware.of(name)) for name in names}
    monkeypatch.setitem(PRESETS, "neurram", PRESETS["neurram"] | {"program_error": 0.05})
    after = {name: flat.point_fields(Hardware.of(name)) for name in names}
    assert [name for name in names if after[name] != before[name]] == ["neurram"]
    assert after["neurram"] == before["neurram"] | {"program_error": 0.05}
    assert flat.hardware_of(before["neurram"]).device.program_error == 0.046


def test_a_changed_default_changes_no_point_that_names_the_value(monkeypatch):
    """With tiles of 64 rows by default, a point without rows still has 128, and is the same for who asks for 128."""
    assert flat.point_fields(Hardware.of(rows=128)) == {}
    create = Tile.__init__.__wrapped__
    assert create.__defaults__[0] == 128
    monkeypatch.setattr(create, "__defaults__", (64, *create.__defaults__[1:]))
    assert flat.point_fields(Hardware.of()) == {"rows": 64}
    assert flat.point_fields(Hardware.of(rows=128)) == {}
    assert flat.hardware_of({}).tile.rows == 128


def test_tables_with_all_fields():
    """What points leave out is filled in, with numbers that stay whole; None stays missing."""
    points = [flat.point_fields(Hardware.of(**f)) for f in ({}, {"rows": 64, "states": 4}, {"adc_bits": None})]
    table = flat.complete(pd.DataFrame([{"n": 0} | point for point in points]), "rows", "adc_bits", "states", "r_row")
    assert table["rows"].tolist() == [128, 64, 128]
    assert table["rows"].dtype == "int64"
    assert table["adc_bits"].tolist() == [8, 8, "off"]
    assert table["states"].isna().tolist() == [True, False, True]
    assert table["r_row"].tolist() == [0.0] * 3

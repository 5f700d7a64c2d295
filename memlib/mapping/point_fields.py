"""Hardware as the flat fields of a point: those that differ from frozen defaults.

A point must mean the same hardware for ever. So it names no preset, whose numbers may change, and leaves out only what
equals `FROZEN`, which stays as it is even where a default of Device, Tile or Mapping changes. A new field is added here
with the value at which nothing changes.
"""

import re
from collections.abc import Mapping as MappingType
from typing import Any

import pandas as pd

from memlib.base.canonical import LABEL
from memlib.base.checks import fail
from memlib.cells.device import Device
from memlib.mapping.hardware import PARTS, Hardware, check_field
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile

#: The defaults of 0.2, for ever.
FROZEN: dict[str, Any] = {
    # Device
    "r_on": 10e3, "r_off": 100e3, "states": None, "program_error": 0.0, "program_error_to": "range", "d2d_on": 0.0,
    "d2d_off": 0.0, "d2d_distribution": "lognormal", "stuck_on": 0.0, "stuck_off": 0.0, "unformed": 0.0,
    "read_noise": 0.0, "read_noise_to": "g", "v0": None, "v0_off": None, "retention_time": 0.0, "retention_t0": 1.0,
    "retention_nu": 0.0, "retention_nu_sigma": 0.0, "retention_spread": 0.0, "retention_energy": 0.0,
    "retention_temperature": 300.0, "retention_reference": 300.0, "recombination_energy": 0.0,
    "recombination_within": 0.0, "recombination_between": 0.0, "recombination_tail": 0.0,
    "recombination_tail_energy": 0.0, "recombination_rate": 1e13, "endurance_cycles": 0.0, "endurance_onset": 1.0,
    "endurance_on": 0.0, "endurance_off": 0.0,
    # Tile
    "rows": 128, "cols": 128, "dac_bits": 8, "adc_bits": 8, "adc_range": "calibrated", "adc_calibration": "design",
    "adc_quantile": 0.999, "converter": "pair", "adc_gain_error": 0.0, "adc_offset_error": 0.0, "bit_serial": False,
    "v_read": 0.3, "t_read": None, "r_driver": 0.0, "r_row": 0.0, "r_col": 0.0, "r_sense": 0.0, "r_transistor": 0.0,
    # Mapping
    "layout": "dense", "scheme": "differential", "order": "packed", "unused": "hrs", "w_max": "layer", "slices": 1,
}  # fmt: skip
#: Stands in a point for None where that is not the default, as a field that is None counts as left out.
OFF = "off"


def point_fields(hardware: Hardware) -> dict[str, Any]:
    """The fields in which hardware differs from `FROZEN`: numbers, texts and booleans; a window (4, 4) is "4x4"."""
    parts: dict[type, Any] = {Device: hardware.device, Tile: hardware.tile, Mapping: hardware.mapping}
    current = {name: getattr(parts[PARTS[name]], name) for name in FROZEN}
    if isinstance(current["layout"], tuple):
        current["layout"] = "{}x{}".format(*current["layout"])
    return {name: OFF if value is None else value for name, value in current.items() if value != FROZEN[name]}


def hardware_of(fields: MappingType[str, Any]) -> Hardware:
    """The hardware that fields of `point_fields` stand for; labels among them are passed over.

    Raises ValueError for an unknown field, or a value that is not allowed.
    """
    values = dict(FROZEN)
    for name, value in fields.items():
        if not name.endswith(LABEL):
            check_field(name, value)
            values[name] = None if value == OFF else value
    layout = values["layout"]
    if not re.fullmatch(r"dense|sparse|[1-9]\d*x[1-9]\d*", str(layout)):
        fail("layout", layout, "'dense', 'sparse', or a window such as '4x4'; scheme, order and unused are fields")
    if "x" in layout:
        values["layout"] = tuple(map(int, layout.split("x")))
    parts = ({name: values[name] for name in FROZEN if PARTS[name] is kind} for kind in (Device, Tile, Mapping))
    device, tile, mapping = parts
    return Hardware(Device(**device), Tile(**tile), Mapping(**mapping))


def complete(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """A table of points with these fields of hardware for all of them, not just where they differ from `FROZEN`."""
    filled = {}
    for name in names:
        default = FROZEN[name]
        column = table[name] if name in table else pd.Series(default, table.index)
        if default is not None:
            column = column.where(column.notna(), default)
        is_whole = isinstance(default, int) and not (column == OFF).any()
        filled[name] = column.astype(type(default)) if is_whole else column
    return table.assign(**filled)

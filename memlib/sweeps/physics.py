"""Numbers of the physics behind a result. They enter the key of a point, so a raised number asks for new results.

`BASE` stands for all that acts in every chip. An effect that can be off has a number of its own. It enters a key only
where one of its fields is in the point, so that results without the effect stay valid. A new effect here gives new keys
to all points that have its fields, so that they are computed again.
"""

from collections.abc import Mapping as MappingType
from typing import Any

#: Layers, placement, unused cells, targets of cells, converters and reads of the dense layout, images, how answers are
#: counted, the power of arrays, and the costs that points hold.
BASE = 1
#: By effect: its number, and the fields of a point that switch it on. Names are parts of keys, and stay.
EFFECTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "states": (1, ("states",)),
    "program_error": (1, ("program_error",)),
    "d2d": (1, ("d2d_on", "d2d_off")),
    "stuck": (1, ("stuck_on", "stuck_off")),
    "unformed": (1, ("unformed",)),
    "read_noise": (1, ("read_noise",)),
    "iv": (1, ("v0",)),
    "retention": (1, ("retention_time",)),
    "recombination": (1, ("recombination_energy",)),
    "endurance": (1, ("endurance_cycles",)),
    "wires": (1, ("r_driver", "r_row", "r_col", "r_sense")),
    "transistors": (1, ("r_transistor",)),
    "converter_errors": (1, ("adc_gain_error", "adc_offset_error")),
    "column_converters": (1, ("converter",)),
    "bit_serial": (1, ("bit_serial",)),
    "full_range": (1, ("adc_range",)),
    "chip_calibration": (1, ("adc_calibration",)),
    "layout": (1, ("layout", "order", "windows", "sparse_layers")),
    "offset": (1, ("scheme",)),
    "column_scale": (1, ("w_max",)),
    "slices": (1, ("slices",)),
    "recalibration": (1, ("recalibration",)),
    "circuit": (1, ("r_difference",)),
}


def physics_of(point: MappingType[str, Any]) -> dict[str, int]:
    """The numbers of what acts in a point, by its fields that decide (`canonical.deciding`)."""
    acting = {name: number for name, (number, names) in EFFECTS.items() if any(field in point for field in names)}
    return {"base": BASE, **acting}

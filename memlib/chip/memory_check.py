"""Refusing early what would not fit in memory."""

import os
from collections.abc import Mapping as MappingType
from pathlib import Path

from memlib.layers.geometry import Geometry, MatrixLayer, Size
from memlib.mapping.hardware import Hardware
from memlib.mapping.window import window_of

#: Bytes that a cell which holds a weight takes while its layer is programmed.
PROGRAMMING = 8
#: What programming takes beside that: some blocks of tiles.
BLOCKS = 400_000_000


def check_memory(
    modules: MappingType[str, MatrixLayer],
    hardware: MappingType[str, Hardware],
    sizes: MappingType[str, tuple[Size, ...]],
) -> None:
    """Raise if the tiles of these layers would not fit in the machine's memory; only layouts with copies are checked.

    Raises:
        ValueError: with the estimate, and what to change.
    """
    limit, kept, largest = memory_limit(), BLOCKS, 0
    for name, module in modules.items():
        h, geometry = hardware[name], Geometry.of(module)
        window = window_of(geometry, h.mapping.layout, sizes[name])
        if window.copies == 1:
            continue
        used = window.copies * module.weight.numel()
        size = module.weight.element_size() * h.mapping.slices * h.device.law.series_terms(h.tile.v_read)
        per_pair = size * (1 + (h.tile.converter == "column")) * (1 + (h.device.read_noise > 0))
        if used * per_pair <= limit:  # else a placement would take long for nothing
            p = h.place(geometry, sizes[name])
            rows = int(p.selected_rows.max())
            kept += len(p) * rows * (int(p.selected_columns.max()) * per_pair + rows * h.tile.wired * size)
        else:
            kept += used * per_pair
        largest = max(largest, used * PROGRAMMING * h.mapping.cells)
        if kept + largest > limit:
            raise ValueError(
                f"hardware: the tiles of layer {name!r} and those before it need about {(kept + largest) / 1e9:.1f} GB "
                f"and there are {limit / 1e9:.1f} GB; choose layout='dense' or a smaller window, for this layer or all"
            )


def memory_limit() -> int:
    """Bytes that this process may use: the machine's memory, or that of its control group."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        group = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return machine
    return min(machine, int(group)) if group.isdigit() else machine

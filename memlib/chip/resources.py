"""The memory and the time that a chip takes on this computer, estimated from its plan."""

import os
from pathlib import Path

from memlib.mapping.plan import LayerPlan, Plan
from memlib.wires.solver import estimated_seconds

PROGRAMMING = 8  #: bytes that a cell which holds a weight takes while its layer is programmed
BLOCKS = 400_000_000  #: bytes that programming takes beside that: some blocks of tiles


def check_memory(plan: Plan) -> None:
    """Raise if the tiles of these layers would not fit in the machine's memory; only layouts with copies are checked.

    Raises ValueError with the estimate, and what to change.
    """
    limit, kept, largest = memory_limit(), BLOCKS, 0
    for layer in plan.values():
        if layer.window.copies == 1:
            continue
        kept += _kept_bytes(layer, limit)
        largest = max(largest, _cells_used(layer) * PROGRAMMING * layer.hardware.mapping.cells)
        if kept + largest > limit:
            need = f"{(kept + largest) / 1e9:.1f} GB and there are {limit / 1e9:.1f} GB"
            raise ValueError(
                f"hardware: the tiles of layer {layer.name!r} and those before it need about {need}; "
                "choose layout='dense' or a smaller window, for this layer or all"
            )


def _cells_used(layer: LayerPlan) -> int:
    return layer.window.copies * layer.module.weight.numel()


def _kept_bytes(layer: LayerPlan, limit: int) -> int:
    """Bytes of a layer's reads; too large for the limit if a placement would take long for nothing."""
    tile, mapping, device = layer.hardware.tile, layer.hardware.mapping, layer.hardware.device
    size = layer.module.weight.element_size() * mapping.slices * device.law.series_terms(tile.v_read)
    per_pair = size * (1 + (tile.converter == "column")) * (1 + (device.read_noise > 0))
    least = _cells_used(layer) * per_pair
    if least > limit:
        return least
    p = layer.placement
    rows = int(p.selected_rows.max())
    return len(p) * rows * (int(p.selected_columns.max()) * per_pair + rows * tile.wired * size)


def memory_limit() -> int:
    """Bytes that this process may use: the machine's memory, or that of its control group."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        group = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return machine
    return min(machine, int(group)) if group.isdigit() else machine


def wire_seconds(plan: Plan) -> tuple[int, float]:
    """How many tiles of a chip have wires, and about how long their exact solutions take, s."""
    tiles, seconds = 0, 0.0
    for layer in plan.values():
        if layer.hardware.tile.wired:
            p = layer.placement
            tiles += layer.tiles
            seconds += layer.tiles * estimated_seconds(int(p.selected_rows.max()), int(p.selected_columns.max()))
    return tiles, seconds

"""A whole machine: the sums of a cost table, copies that balance its layers, and the circuits it consists of."""

import bisect
import math
from dataclasses import dataclass

import pandas as pd

from memlib.base.checks import fail, one_of, positive, whole
from memlib.costs.technology import CONVERTERS, Technology, technology_of


@dataclass(frozen=True)
class Totals:
    """A whole machine."""

    energy: float  #: of an inference, J
    latency: float  #: of an inference, s
    interval: float  #: between inferences, s: the latency, or with pipelined layers how long the slowest is busy
    area: float  #: m2
    operations: float  #: of an inference

    @property
    def power(self) -> float:
        """At full speed, W."""
        return self.energy / self.interval

    @property
    def tops_per_watt(self) -> float:
        """10^12 operations per second and watt."""
        return self.operations / self.energy / 1e12

    @property
    def tops_per_mm2(self) -> float:
        """10^12 operations per second and mm2."""
        return self.operations / self.interval / (self.area * 1e6) / 1e12


def totals(table: pd.DataFrame, pipelined: bool = False) -> Totals:
    """Add up a table of `cost`.

    Args:
        pipelined: every layer works on another inference, and its copies on passes of any, so that the busiest layer
            decides how fast inferences follow; else one begins when the one before has ended.
    """
    latency = float(table["latency"].sum())
    interval = float(table.groupby("layer", sort=False)["busy"].sum().max()) if pipelined else latency
    sums = table[["energy", "area", "operations"]].sum()
    return Totals(float(sums["energy"]), latency, interval, float(sums["area"]), float(sums["operations"]))


def balanced_copies(table: pd.DataFrame, area: float | None = None, interval: float | None = None) -> dict[str, int]:
    """Copies of each layer that make a pipelined machine as fast as an area allows, or as small as an interval allows.

    Args:
        table: of `cost`, with one copy of each layer.
        area: to stay within, m2; or interval: to reach, s.

    Raises:
        ValueError: unless one of both is given; if not even single copies fit in the area.
    """
    layers = table.groupby("layer", sort=False)[["busy", "area"]].sum()

    def copies(goal: float) -> pd.Series:
        return (layers["busy"] / goal * (1 - 1e-9)).apply(math.ceil).clip(lower=1)

    if (area is None) == (interval is None):
        fail("area, interval", (area, interval), "given one of them: (area, None) or (None, interval)")
    if interval is None:
        if layers["area"].sum() > area:
            fail("area", area, f"at least that of single copies, {layers['area'].sum():.3g} m2")
        most = (area / layers["area"]).astype(int)
        goals = sorted({t / k for t, n in zip(layers["busy"], most, strict=True) for k in range(1, n + 1)})
        first = bisect.bisect_left(goals, True, key=lambda goal: (copies(goal) * layers["area"]).sum() <= area)
        interval = goals[first]
    positive("interval", interval)
    return {name: int(n) for name, n in copies(interval).items()}


def inventory(
    technology: str | Technology, tiles: int, rows: int, cols: int, converters: str = "serial"
) -> pd.DataFrame:
    """List the circuits of a machine of so many tiles as papers do, at the bits that the technology is listed for.

    Args:
        rows, cols: cells of a tile.
        converters: see `cost_of`.

    Returns:
        A row per component: number, area (m2), power (W, all in use), latency (s, of one use).
    """
    technology = technology_of(technology)
    one_of("converters", converters, CONVERTERS)
    sizes = {"tiles": tiles, "rows": rows, "cols": cols}
    tiles, rows, cols = (whole(name, value, 1) for name, value in sizes.items())
    count = {"tile": tiles, "row": tiles * rows, "column": tiles * cols}
    count["converter"], count["pair"] = (
        (tiles * cols, tiles * cols // 2) if converters == "parallel" else (tiles, tiles)
    )
    rows_of_table = []
    for component, circuit in technology.circuits.items():
        number = circuit.number * count[circuit.each]
        sums = {"area": number * circuit.area, "power": number * circuit.power}
        rows_of_table.append({"component": component, "number": number, **sums, "latency": circuit.latency})
    area = tiles * rows * cols * technology.cell_area
    rows_of_table.append({"component": "array", "number": tiles, "area": area, "latency": technology.t_read})
    return pd.DataFrame(rows_of_table)

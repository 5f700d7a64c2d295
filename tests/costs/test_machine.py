"""Machines: totals and copies by hand and by trying all, and inventories as published."""

import itertools

import pandas as pd
import pytest

from memlib import (
    totals,
)
from memlib.costs.machine import balanced_copies, inventory
from memlib.costs.technology import TECHNOLOGIES


def layers(**latencies: float) -> pd.DataFrame:
    """A cost table of layers with these latencies, s, and areas of 1 m2 each."""
    rows = [
        {"layer": n, "component": part, "energy": 3.0, "latency": t / 2, "busy": t / 4, "area": 0.5, "operations": ops}
        for n, t in latencies.items()
        for part, ops in (("a", 1e12), ("b", 0.0))
    ]
    return pd.DataFrame(rows)


def test_totals():
    """Latency adds up; with pipelined layers, the one that is busy longest sets the pace."""
    for pipelined, interval in ((False, 12.0), (True, 4.0)):
        t = totals(layers(first=8.0, second=4.0), pipelined)
        assert (t.energy, t.latency, t.interval, t.area, t.operations) == (12.0, 12.0, interval, 2.0, 2e12)
        assert t.power == 12.0 / interval
        assert t.tops_per_watt == pytest.approx(2 / 12)
        assert t.tops_per_mm2 == pytest.approx(2 / interval / 2e6)


def test_balanced_copies_are_the_best():
    """No other copies are faster in the same area, nor smaller at the same speed: by trying all."""
    busy = {"a": 24.0, "b": 9.0, "c": 0.5}
    t = layers(**{name: 2 * seconds for name, seconds in busy.items()})

    def interval(copies: dict[str, int]) -> float:
        return max(busy[name] / copies[name] for name in busy)

    choices = [dict(zip("abc", c, strict=True)) for c in itertools.product(range(1, 17), range(1, 9), range(1, 3))]
    for area in (3, 4, 7.5, 12, 19):
        found = balanced_copies(t, area=area)
        assert sum(found.values()) <= area
        assert interval(found) == min(interval(c) for c in choices if sum(c.values()) <= area)
    for goal in (24, 10, 4, 2):
        found = balanced_copies(t, interval=goal)
        assert interval(found) <= goal
        assert sum(found.values()) == min(sum(c.values()) for c in choices if interval(c) <= goal)


#: Li et al. 2022, table VI: number, area (mm2), power (mW), latency of one (us), of 7 tiles of 64 x 64 cells.
TABLE_VI = {
    "DAC": (448, 25.8, 2690, 8.0e-4),
    "ADC": (7, 4.62, 70, 0.1),
    "activation": (2, 9.6e-3, 3.28e-2, 9.8e-2),
    "average pool": (1, 3.83e-4, 1.59, 8.49e-5),
    "adder": (10, 5.34e-3, 1.74e-2, 3.06e-4),
    "subtractor": (7, 2.46e-4, 0.287, 3.34e-4),
    "sample and hold": (448, 8.98e-6, 3.81e-3, 8.33e-4),
    "eDRAM": (1, 4.72e-3, 18.1, 1.15e-4),
    "bus": (192, 4.5e-3, 3.5, 9.02e-5),
    "input register": (1, 0.81, 0.674, 8.21e-5),
    "output register": (1, 8.7e-4, 0.418, 8.21e-5),
}
#: The same with an ADC for each column: what changes.
PARALLEL = {"ADC": (448, 296, 4480, 0.1), "subtractor": (224, 7.88e-3, 9.2, 3.34e-4)}
CROSSBAR_POWER = 4.35  # mW; memlib measures what its cells conduct instead


@pytest.mark.parametrize(
    ("converters", "rows", "area", "power"),
    [("serial", TABLE_VI, 31.3, 2790), ("parallel", TABLE_VI | PARALLEL, 322, 7210)],
)
def test_inventory_of_li_2022(converters, rows, area, power):
    """Component rows and totals as published, to the three digits that are printed."""
    found = inventory("li2022", tiles=7, rows=64, cols=64, converters=converters).set_index("component")
    assert set(found.index) == {*rows, "array"}
    for component, (number, mm2, milliwatt, microseconds) in rows.items():
        row = found.loc[component]
        expected = (number, mm2 * 1e-6, milliwatt * 1e-3, microseconds * 1e-6)
        assert (row["number"], row["area"], row["power"], row["latency"]) == pytest.approx(expected, rel=2e-3)
    assert found.loc["array", "area"] == pytest.approx(2.87e-10)
    assert found["area"].sum() * 1e6 == pytest.approx(area, rel=5e-3)
    assert found["power"].sum() * 1e3 + CROSSBAR_POWER == pytest.approx(power, rel=5e-3)


def test_schedule_and_convention_of_li_2022():
    """Their serial schedule from our numbers, and how far their energy is from the sum over components.

    They multiply the power of all components by the latency of all; memlib counts each only while it is used.
    """
    t = TECHNOLOGIES["li2022"]
    conversions = 2688
    parts = {
        "array": 28_672 * t.t_read,
        "ADC": conversions * t.circuits["ADC"].latency,
        "DAC": conversions * t.circuits["DAC"].latency,
    }
    latency = sum(parts.values())
    assert latency * 1e6 == pytest.approx(445, rel=2e-3)
    power = inventory(t, 7, 64, 64).set_index("component")["power"] * 1e3
    energy = (power.sum() + CROSSBAR_POWER) * 1e-3 * latency
    assert energy * 1e6 == pytest.approx(1240, rel=5e-3)
    power["array"] = CROSSBAR_POWER
    components = sum(power[name] * 1e-3 * seconds for name, seconds in parts.items())
    assert components * 1e6 == pytest.approx(5.78 + 18.8 + 0.758, rel=5e-3)
    assert energy / components == pytest.approx(49, rel=0.02)
    names = {"array": 64, "ADC": 6, "DAC": 42, "sample and hold": 6, "subtractor": 6, "activation": 1}  # uses in turn
    each = {name: t.t_read if name == "array" else t.circuits[name].latency for name in names}
    parallel = sum(names[name] * each[name] for name in names)
    assert parallel * 1e6 == pytest.approx(1.13, rel=5e-3)
    power = inventory(t, 7, 64, 64, "parallel")["power"].sum() + CROSSBAR_POWER * 1e-3
    assert power * parallel * 1e6 == pytest.approx(8.12, rel=5e-3)


def test_isaac():
    """An IMA of 8 crossbars has the power and area that ISAAC lists; at 4 to 10 bits, its ADC those of its scaling."""
    found = inventory("isaac", tiles=8, rows=128, cols=128).set_index("component")
    ima = ["ADC", "DAC", "sample and hold", "shift and add", "input register", "output register"]
    assert found.loc[ima, "power"].sum() * 1e3 == pytest.approx(24.1 - 2.4, rel=2e-3)
    assert found.loc[[*ima, "array"], "area"].sum() * 1e6 == pytest.approx(0.0131, rel=5e-3)
    adc = TECHNOLOGIES["isaac"].circuits["ADC"]
    published = {4: 361.04, 5: 476.91, 6: 626.91, 7: 845.18, 8: 1200, 9: 1827.91, 10: 3002.01}  # um2, Accelergy
    assert {b: adc.size(b) * 1e12 for b in published} == pytest.approx(published, rel=1e-3)
    energies = {4: 0.79, 5: 0.99, 6: 1.20, 7: 1.42, 8: 1.67, 9: 1.969, 10: 2.379}  # pJ at 1.2 GS/s
    assert {b: adc.energy(b) * 1e12 * 1.28 / 1.2 for b in energies} == pytest.approx(energies, rel=5e-3)
    dac = TECHNOLOGIES["isaac"].circuits["DAC"]
    assert dac.energy(8) == pytest.approx(128 * dac.energy(1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: balanced_copies(layers(a=1.0), area=0.5), "area=0.5: must be at least"),
        (lambda: balanced_copies(layers(a=1.0), interval=0), "interval=0: must be a finite number above 0"),
        (lambda: balanced_copies(layers(a=1.0)), "one of them"),
        (lambda: inventory("isaac", 0, 64, 64), "tiles=0: must be a whole number at least 1"),
        (lambda: inventory("tsmc", 7, 64, 64), "technology='tsmc': must be one of 'isaac', 'li2022', or a memlib"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""The cost of circuits: one table per technology, each number with its source. A new technology is one new entry here.

Every kind of circuit has a power and a time of use, an area, and a number per row, column, converter or tile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from memlib.base.checks import fail, one_of

CONVERTERS = ("serial", "parallel")  #: one converter for all columns of a tile, or one for each
#: What circuits stand at, and what they are used for: fields of `cost_table.Tiles` and `activity.Activity`.
PLACES = ("row", "column", "converter", "pair", "tile")
USES = ("row", "conversion", "result", "input_byte", "row_byte", "result_byte", "output", "nothing")
Growth = Callable[[float], float]  #: how a value grows with bits, relative to the value at some bits


def _doubling(bits: float) -> float:
    """Growth of a row's DAC: one unit element for the first bit, twice as many for each further one (MNSIM 2.0)."""
    return 2.0 ** (bits - 1)


def _adc_energy(bits: float) -> float:
    """Energy of a successive-approximation ADC, pJ: clock, memory and buffer grow linearly, capacitors exponentially.

    ISAAC's rule (section VII). The coefficients fit the energies that Accelergy's library gives for it at 4 to 10 bits,
    32 nm and 1.2 GS/s, to 0.002 pJ.
    """
    return 0.19543 * bits + 4.140e-4 * 2**bits


def _adc_area(bits: float) -> float:
    """The same of its area, in um2, to 0.005 um2."""
    return 81.727 * bits + 2.13353 * 2**bits


@dataclass(frozen=True)
class Circuit:
    """One kind of circuit. Its energy per use is power times latency."""

    power: float  #: of one in use, W
    latency: float  #: of one use, s
    area: float  #: of one, m2
    number: float  #: how many there are for each ...
    each: str  #: ... of these `PLACES`
    use: str  #: what it is used for, one of `USES`
    per: float = 1  #: how many of those one use serves
    waits: bool = False  #: whether a pass waits for it; else its time is hidden behind others
    bits: int | None = None  #: at which these numbers hold, for a converter
    energy_growth: Growth = lambda _bits: 1.0
    area_growth: Growth = lambda _bits: 1.0

    def __post_init__(self) -> None:
        one_of("each", self.each, PLACES)
        one_of("use", self.use, USES)

    def energy(self, bits: int) -> float:
        """Energy of one use, J, with this many bits."""
        growth = 1.0 if self.bits is None else self.energy_growth(bits) / self.energy_growth(self.bits)
        return self.power * self.latency / self.per * growth

    def size(self, bits: int) -> float:
        """Area of one, m2, with this many bits."""
        return self.area * (1.0 if self.bits is None else self.area_growth(bits) / self.area_growth(self.bits))


@dataclass(frozen=True)
class Writing:
    """How cells are programmed: pulses of one height, with a read after each."""

    pulses: float  #: per cell, on average
    voltage: float  #: V
    duration: float  #: of a pulse, s

    def energy(self, g: float) -> float:
        """To program one cell whose conductance is g, S, on average over the pulses: pulses V^2 g t (NeuroSim)."""
        return self.pulses * self.voltage**2 * g * self.duration

    @property
    def time(self) -> float:
        """To program one cell, s."""
        return self.pulses * self.duration


@dataclass(frozen=True)
class Technology:
    """Everything that cost needs to know beside the mapped network. Nothing is spent while nothing happens."""

    source: str
    node: float  #: m
    t_read: float  #: how long a read drives the rows, s, unless `Tile.t_read` says otherwise
    cell_area: float  #: m2
    circuits: dict[str, Circuit]
    writing: Writing
    result_bytes: int = 2  #: of a partial sum in registers


#: Write-verify: 8.52 pulses of 1 us on average (Wan et al., NeuRRAM, Nature 2022, as CiMLoop's cell model quotes it),
#: between the 1.2 V (SET) and 1.5 V (RESET) that these begin at.
WRITE_VERIFY = Writing(pulses=8.52, voltage=1.35, duration=1e-6)


def _isaac() -> Technology:
    """Table 1 lists totals: of an IMA, 8 crossbars of 128 x 128 cells, or of a tile, 12 IMAs; a cycle is 100 ns."""
    cycle, crossbars, all_crossbars = 100e-9, 8, 96
    adc: dict[str, Any] = {"bits": 8, "energy_growth": _adc_energy, "area_growth": _adc_area}
    dac: dict[str, Any] = {"bits": 1, "energy_growth": _doubling, "area_growth": _doubling}
    circuits = {
        "DAC": Circuit(4e-3 / 1024, cycle, 0.17e-9 / 1024, 1, "row", "row", **dac),
        "sample and hold": Circuit(1e-5 / 1024, cycle, 0.04e-9 / 1024, 1, "column", "conversion"),
        "ADC": Circuit(16e-3 / 8, cycle / 128, 9.6e-9 / 8, 1, "converter", "conversion", waits=True, **adc),
        "shift and add": Circuit(0.2e-3 / 4, cycle / 128, 0.24e-9 / 4, 4 / crossbars, "tile", "result"),
        # a byte for each of 128 rows, and 2 bytes for each of 128 columns, of every crossbar in a cycle
        "input register": Circuit(1.24e-3, cycle, 2.1e-9, 1 / crossbars, "tile", "row_byte", per=128 * crossbars),
        "output register": Circuit(0.23e-3, cycle, 0.77e-9, 1 / crossbars, "tile", "result_byte", per=256 * crossbars),
        # up to 1 KB from eDRAM to the IMAs in a cycle
        "eDRAM": Circuit(20.7e-3, cycle, 0.083e-6, 1 / all_crossbars, "tile", "input_byte", per=1024),
        "bus": Circuit(7e-3, cycle, 0.090e-6, 1 / all_crossbars, "tile", "input_byte", per=1024),
        "activation": Circuit(0.52e-3 / 2, cycle / 128, 0.6e-9 / 2, 2 / all_crossbars, "tile", "output"),
    }
    source = "Shafiee et al., ISAAC, ISCA 2016, table 1"
    return Technology(source, 32e-9, cycle, 0.2e-9 / crossbars / 128**2, circuits, WRITE_VERIFY)


def _listed(
    number: float, area: float, power: float, latency: float, each: tuple[str, int], use: str, **more: Any
) -> Circuit:
    """A circuit whose total area, mm2, and power, mW, a list gives, and the latency of one, us.

    `each` says what they are counted for, as in `Circuit.each`, and how many of that there are.
    """
    kind, count = each
    return Circuit(power * 1e-3 / number, latency * 1e-6, area * 1e-6 / number, number / count, kind, use, **more)


def _li2022() -> Technology:
    """Seven tiles of 64 x 64 cells at 6 bits. By its sources, the ADC and the DAC are not scaled to 22 nm."""
    adc = {"bits": 6, "energy_growth": _adc_energy, "area_growth": _adc_area, "waits": True}
    dac = {"bits": 6, "energy_growth": _doubling, "area_growth": _doubling, "waits": True}
    row, column, converter, pair, tile = ("row", 448), ("column", 448), ("converter", 7), ("pair", 7), ("tile", 7)
    line = {"per": 16}  # bytes; the eDRAM's 128-bit bus
    circuits = {
        "DAC": _listed(448, 25.8, 2690, 8.0e-4, row, "row", **dac),
        "sample and hold": _listed(448, 8.98e-6, 3.81e-3, 8.33e-4, column, "conversion", waits=True),
        "ADC": _listed(7, 4.62, 70, 0.1, converter, "conversion", **adc),
        "subtractor": _listed(7, 2.46e-4, 0.287, 3.34e-4, pair, "result"),
        "adder": _listed(10, 5.34e-3, 1.74e-2, 3.06e-4, tile, "result"),
        "input register": _listed(1, 0.81, 0.674, 8.21e-5, tile, "row_byte", **line),
        "output register": _listed(1, 8.7e-4, 0.418, 8.21e-5, tile, "result_byte", **line),
        "eDRAM": _listed(1, 4.72e-3, 18.1, 1.15e-4, tile, "input_byte", **line),
        "bus": _listed(192, 4.5e-3, 3.5, 9.02e-5, tile, "input_byte", per=1 / 8),  # a wire carries a bit
        "activation": _listed(2, 9.6e-3, 3.28e-2, 9.8e-2, tile, "output"),
        "average pool": _listed(1, 3.83e-4, 1.59, 8.49e-5, tile, "nothing"),
    }
    source = "Li et al., IEEE TBioCAS 2022 (arXiv 2206.09951), table VI"
    return Technology(source, 22e-9, 6.07e-9, 2.87e-10 / 7 / 64**2, circuits, WRITE_VERIFY)


TECHNOLOGIES: dict[str, Technology] = {"isaac": _isaac(), "li2022": _li2022()}


def technology_of(name: str | Technology) -> Technology:
    """The technology of this name, or the given one. Raises ValueError for an unknown name."""
    if isinstance(name, Technology):
        return name
    if name not in TECHNOLOGIES:
        known = ", ".join(map(repr, TECHNOLOGIES))
        fail("technology", name, f"one of {known}, or a memlib.costs.technology.Technology")
    return TECHNOLOGIES[name]

"""The 1T1R cell as data: its operating point, every non-ideality, and how it ages.

Static effects act once per chip (`static_effects`), read noise at every read (`Device.noise_variance`), and the I-V law
is `Device.law`. Conductances are in siemens, float64. Published devices are in `device_presets`.
"""

import math
from functools import cached_property

from torch import Tensor

from memlib.base.checks import fail, in_range, one_of, positive, whole
from memlib.base.configuration import Config, config
from memlib.cells.device_presets import PRESETS
from memlib.cells.iv_law import IVLaw
from memlib.cells.recombination import BOLTZMANN

LARGEST_SIGMA = 10.0  #: relative errors above this are a mistake, such as 20 for 20 %

#: No conductance grows or falls by more powers of ten: beyond, it means nothing any more.
LARGEST_DECADES = 60.0


@config
class Device(Config):
    """One kind of cell. 0 or None switches an effect off; relative errors and probabilities are fractions."""

    r_on: float = 10e3  #: low-resistance state (LRS), ohm; g_on = 1/r_on
    r_off: float = 100e3  #: high-resistance state (HRS), ohm, above r_on; g_off = 1/r_off
    states: int | None = None  #: programmable levels, evenly spaced in [g_off, g_on]; None: continuous
    program_error: float = 0.0  #: sigma of the normal programming error, relative to what program_error_to says
    program_error_to: str = "range"  #: "range": g_on - g_off, or "g": the target conductance
    d2d_on: float = 0.0  #: relative sigma of each cell's own r_on
    d2d_off: float = 0.0  #: relative sigma of each cell's own r_off
    d2d_distribution: str = "lognormal"  #: "lognormal" (median nominal), or "normal" truncated to 0.3..3 times nominal
    stuck_on: float = 0.0  #: probability of a cell stuck at its own g_on
    stuck_off: float = 0.0  #: probability of a cell stuck at its own g_off
    unformed: float = 0.0  #: probability of a cell that failed electroforming and does not conduct
    read_noise: float = 0.0  #: sigma of the normal noise at every read, relative to what read_noise_to says
    read_noise_to: str = "g"  #: "g": the cell's conductance, or "range": g_on - g_off (conducting cells only)
    #: I = g v0 sinh(v/v0), V (Simmons tunnelling's form, as in Guan et al., IEEE EDL 33, 1405, 2012); None: I = g v.
    #: Behind resistances (`Tile.r_row` ...) v is the driver's voltage, which makes currents too large: by 11 % if
    #: v0 = 0.25 V, and all rows of a tile of 64x64 cells of 10 to 100 kohm are at 0.3 V behind 1 ohm a segment, and by
    #: 15 % behind transistors of 5 kohm (against `memlib.wires.nodal.solve_array`).
    v0: float | None = None
    v0_off: float | None = None  #: v0 of the HRS, V; between, v0 is linear in g. None: as v0, whatever the state
    #: Seconds since programming. The number of `retention_t0`, s, that they count for is stretched by temperature
    #: (Arrhenius), s = time/t0 exp(energy/k_B (1/reference - 1/temperature)); from s = 1 on, g decays as s^-nu (the law
    #: that Lammie et al., Semicond. Sci. Technol. 36, 065003, 2021, fit to baked cells) and spreads in log10(s) (as
    #: Falcone et al., arXiv 2502.04524, measured at room temperature).
    retention_time: float = 0.0
    retention_t0: float = 1.0  #: time at which decay and spread begin, s
    retention_nu: float = 0.0  #: mean of the cells' exponents nu; negative: g grows
    retention_nu_sigma: float = 0.0  #: their standard deviation
    retention_spread: float = 0.0  #: sigma of the normal spread per decade of time, relative to g_on - g_off
    retention_energy: float = 0.0  #: activation energy, eV
    retention_temperature: float = 300.0  #: at which the cells are kept, K
    retention_reference: float = 300.0  #: at which the numbers above hold, K
    #: Before these laws act, oxygen vacancies recombine (see `recombination`): a cell's distance from its g_off
    #: falls to the fraction of its filament's vacancies that is left after `retention_time` at
    #: `retention_temperature`. Energies are normally distributed over a cell's vacancies, and their means over cells.
    recombination_energy: float = 0.0  #: mean activation energy, eV; 0: vacancies stay
    recombination_within: float = 0.0  #: standard deviation within a cell, eV: the decay takes decades of time
    recombination_between: float = 0.0  #: standard deviation of the cells' means, eV: each decays in its own time
    recombination_tail: float = 0.0  #: probability of a tail cell
    recombination_tail_energy: float = 0.0  #: mean activation energy of tail cells, eV
    recombination_rate: float = 1e13  #: attempt frequency, 1/s
    #: Switching cycles that the cells have behind them. Beyond `endurance_onset` n0, r_on grows as (n/n0)^endurance_on
    #: and r_off falls as (n/n0)^-endurance_off, until the window is closed (the law of Lammie et al., 2021, for LRS and
    #: HRS); that a cell keeps its position in the window between them is this model's choice.
    endurance_cycles: float = 0.0
    endurance_onset: float = 1.0
    endurance_on: float = 0.0
    endurance_off: float = 0.0

    def __post_init__(self) -> None:
        self.check(positive, "r_on", "r_off")
        if self.r_off <= self.r_on:
            fail("r_off", self.r_off, f"above r_on={self.r_on!r} (ohm)")
        self.check(whole, "states", low=2, none=True)
        self.check(in_range, "program_error", low=0, high=1, what="a relative sigma (0.02 is 2 %)")
        self.check(in_range, "d2d_on", "d2d_off", "read_noise", low=0, high=LARGEST_SIGMA, what="a relative sigma")
        probabilities = "stuck_on", "stuck_off", "unformed", "recombination_tail"
        self.check(in_range, *probabilities, low=0, high=1, what="a probability")
        self.check(one_of, "program_error_to", allowed=("range", "g"))
        self.check(one_of, "read_noise_to", allowed=("g", "range"))
        self.check(one_of, "d2d_distribution", allowed=("lognormal", "normal"))
        self.check(positive, "v0", "v0_off", none=True)
        if self.v0 is None and self.v0_off is not None:
            fail("v0_off", self.v0_off, "None where v0 is None (a linear cell)")
        self._check_ageing()
        self._check_recombination()

    def _check_ageing(self) -> None:
        self.check(in_range, "retention_nu_sigma", "retention_spread", low=0, high=3, what="a sigma")
        self.check(in_range, "retention_time", "endurance_cycles", low=0, high=math.inf)
        self.check(positive, "retention_t0", "endurance_onset")
        self.check(in_range, "retention_nu", low=-3, high=3, what="an exponent")
        self.check(in_range, "endurance_on", "endurance_off", low=0, high=3, what="an exponent")
        self.check(in_range, "retention_temperature", "retention_reference", low=100, high=2000, what="kelvin")
        self.check(in_range, "retention_energy", low=0, high=5, what="eV")
        steepest = max(1, abs(self.retention_nu) + 6 * self.retention_nu_sigma)
        if not math.log10(max(self.age, 1)) * steepest <= LARGEST_DECADES:
            most = f"at most 1e{LARGEST_DECADES / steepest:.0f} t0 at retention_nu={self.retention_nu:g}"
            fail("retention_time", self.retention_time, f"{most}, and is {self.age:.0e} t0: g would leave all meaning")
        decades = math.log10(max(self.endurance_cycles / self.endurance_onset, 1))
        steepest = max(self.endurance_on, self.endurance_off)
        if decades * steepest > LARGEST_DECADES:
            most = f"at most 1e{LARGEST_DECADES / steepest:.0f} times endurance_onset, at an exponent of {steepest:g}"
            fail("endurance_cycles", self.endurance_cycles, most)
        laws = {
            "retention_time": ("retention_nu", "retention_nu_sigma", "retention_spread", "recombination_energy"),
            "endurance_cycles": ("endurance_on", "endurance_off"),
        }
        for name, parts in laws.items():
            if getattr(self, name) and not any(getattr(self, part) for part in parts):
                fail(name, getattr(self, name), f"0 where {', '.join(parts)} are 0: nothing would change")
        drifting = self.retention_nu or self.retention_nu_sigma or self.retention_spread
        by_temperature = self.retention_energy or (self.recombination_energy and not drifting)
        if self.retention_temperature != self.retention_reference and not by_temperature:
            fail("retention_temperature", self.retention_temperature, "retention_reference where retention_energy is 0")

    def _check_recombination(self) -> None:
        energies = (f"recombination_{name}" for name in ("energy", "within", "between", "tail_energy"))
        self.check(in_range, *energies, low=0, high=5, what="eV")
        self.check(positive, "recombination_rate")
        if bool(self.recombination_tail) != bool(self.recombination_tail_energy):
            wanted = "above 0" if self.recombination_tail else "0 (eV)"
            fail("recombination_tail_energy", self.recombination_tail_energy, f"{wanted} with this recombination_tail")
        if self.recombination_tail_energy > self.recombination_energy:
            limit = f"at most recombination_energy={self.recombination_energy!r} (eV)"
            fail("recombination_tail_energy", self.recombination_tail_energy, limit)
        if not self.recombination_energy:
            for name in ("within", "between", "tail"):
                if value := getattr(self, f"recombination_{name}"):
                    fail(f"recombination_{name}", value, "0 where recombination_energy is 0: nothing would change")

    @classmethod
    def preset(cls, name: str) -> "Device":
        """A named device of `PRESETS`, with its source there. Raises ValueError if `name` is not in `PRESETS`."""
        one_of("preset", name, PRESETS)
        return cls(**PRESETS[name])

    @property
    def g_on(self) -> float:
        """Conductance of the low-resistance state, S."""
        return 1 / self.r_on

    @property
    def g_off(self) -> float:
        """Conductance of the high-resistance state, S."""
        return 1 / self.r_off

    @property
    def g_range(self) -> float:
        """g_on - g_off, S."""
        return self.g_on - self.g_off

    @property
    def age(self) -> float:
        """Time since programming, in units of `retention_t0`, at the temperature for which the numbers hold."""
        inverse = 1 / self.retention_reference - 1 / self.retention_temperature
        return self.retention_time / self.retention_t0 * math.exp(self.retention_energy / BOLTZMANN * inverse)

    @property
    def varies(self) -> bool:
        """Whether chips of it differ: anything is drawn, at programming, by age, or at a read."""
        names = ["program_error", "d2d_on", "d2d_off", "stuck_on", "stuck_off", "unformed", "read_noise"]
        if self.age > 1:
            names += ["retention_nu_sigma", "retention_spread"]
        if self.recombination_energy and self.retention_time:
            names += ["recombination_between", "recombination_tail"]
        return any(getattr(self, name) for name in names)

    def ideal(self) -> "Device":
        """The same operating point and I-V law, which all cells share, with every other non-ideality off."""
        return Device(r_on=self.r_on, r_off=self.r_off, v0=self.v0, v0_off=self.v0_off)

    @cached_property
    def law(self) -> IVLaw:
        """Current against voltage, of cells in any state."""
        return IVLaw(self.v0, self.v0_off, self.g_on, self.g_off)

    def noise_variance(self, g: Tensor) -> Tensor:
        """Variance of the conductance that a read sees, S^2, for cells of conductance `g`, S, any shape."""
        scale = g if self.read_noise_to == "g" else self.g_range * (g > 0).to(g.dtype)
        return (self.read_noise * scale) ** 2

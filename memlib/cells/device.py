"""The 1T1R cell: conductance states, what keeps a programmed cell from its target, and its I-V law.

Static effects act once per device seed, in the order of `program`; read noise acts at every read (`noise_variance`).
Conductances are in siemens, float64. A new device is one new entry in `PRESETS`.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from memlib.base.checks import fail, in_range, one_of, positive, whole
from memlib.base.configuration import Config, config
from memlib.cells.recombination import BOLTZMANN, surviving

#: Published RRAM cells, read at 0.3 V. The first three are ideal devices at an operating point; the others have what
#: was measured of them, and no more: faults, for one, stay off. A `retention_time` or `endurance_cycles` ages them.
PRESETS: dict[str, dict[str, Any]] = {
    "10k_100k": {"r_on": 10e3, "r_off": 100e3},
    "14k_300k": {"r_on": 14e3, "r_off": 300e3},
    "14k_50M": {"r_on": 14e3, "r_off": 50e6},
    # NeuRRAM: Wan et al., Nature 608, 504 (2022), Extended Data Fig. 3, through the polynomials that aihwkit's
    # ReRamWan2022NoiseModel fits to it, as rms over 1 to 40 uS: 1.80 uS 1 s after write-verify, 3.41 uS after one and
    # two days (so it saturates: no extrapolation to years). Errors near g_off are 2.5 times smaller than this.
    "neurram": {"r_on": 25e3, "r_off": 1e6, "program_error": 0.046, "retention_spread": 0.0145},
    # CMO/HfOx: Falcone et al., arXiv 2502.04524 (2025), 9 to 88.2 uS, 32 levels, written to within 0.2 %, as aihwkit's
    # ReRamCMONoiseModel has it: sigma 0.41 uS at 1 s; drift, and read noise, of 50 uS. Its sigma is linear in ln(t);
    # this spread, which adds in quadrature, fits it at one day.
    "cmo_hfox": {
        "r_on": 11.338e3, "r_off": 111.1e3, "states": 32, "program_error": 0.00525, "read_noise": 0.0034,
        "retention_nu": 0.0018, "retention_spread": 0.0020,
    },
    # HfO2, 4 kbit: Milo et al., IRPS 2021, 50 to 225 uS, algorithm IGVVA-100, through the line that CrossSim's RRAMMilo
    # fits to its Fig. 4: rms 3.56 uS. (Their nine levels are of a weight, which may be of a pair: no states here.)
    "ihp_hfo2": {"r_on": 4.444e3, "r_off": 20e3, "program_error": 0.0203},
    # HfAlO, 10 nm: the data and fits of Lammie, Rahimi Azghadi and Ielmini, Semicond. Sci. Technol. 36, 065003 (2021),
    # Fig. 2A. For ageing by cycles; its programming error was not published there.
    "hfalo": {"r_on": 4.4e3, "r_off": 65e3, "endurance_onset": 1e4, "endurance_on": 0.122, "endurance_off": 0.159},
}  # fmt: skip

#: Bounds of device-to-device resistances, relative to nominal, for `d2d_distribution="normal"`.
TRUNCATION = (0.3, 3.0)

#: Relative error, at v_read, of the powers of v that stand for an I-V law which depends on the state.
SERIES_ERROR = 1e-4

#: Relative errors above this are a mistake, and their squares would leave float64.
LARGEST_SIGMA = 1000.0

#: No conductance grows or falls by more powers of ten: beyond, it means nothing any more.
LARGEST_DECADES = 60.0

#: Draws one effect's random numbers for an array of cells: effect name -> float32 tensor of the array's shape.
Draw = Callable[[str], Tensor]
Volts = TypeVar("Volts", Tensor, float)


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
        positive("r_on", self.r_on)
        positive("r_off", self.r_off)
        if self.r_off <= self.r_on:
            fail("r_off", self.r_off, f"above r_on={self.r_on!r} (ohm)")
        whole("states", self.states, 2, none=True)
        for name in ("program_error", "d2d_on", "d2d_off", "read_noise"):
            in_range(name, getattr(self, name), 0, LARGEST_SIGMA, "a relative sigma")
        for name in ("stuck_on", "stuck_off", "unformed", "recombination_tail"):
            in_range(name, getattr(self, name), 0, 1, "a probability")
        one_of("program_error_to", self.program_error_to, ("range", "g"))
        one_of("read_noise_to", self.read_noise_to, ("g", "range"))
        one_of("d2d_distribution", self.d2d_distribution, ("lognormal", "normal"))
        self._check_iv()
        self._check_ageing()

    def _check_iv(self) -> None:
        for name in ("v0", "v0_off"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        if self.v0 is None and self.v0_off is not None:
            fail("v0_off", self.v0_off, "None where v0 is None (a linear cell)")

    def _check_ageing(self) -> None:
        for name in ("retention_nu_sigma", "retention_spread"):
            in_range(name, getattr(self, name), 0, 3, "a sigma")
        for name in ("retention_time", "endurance_cycles"):
            in_range(name, getattr(self, name), 0, math.inf)
        for name in ("retention_t0", "endurance_onset"):
            positive(name, getattr(self, name))
        for name in ("retention_nu", "endurance_on", "endurance_off"):
            in_range(name, getattr(self, name), -3 if name == "retention_nu" else 0, 3, "an exponent")
        for name in ("retention_temperature", "retention_reference"):
            in_range(name, getattr(self, name), 100, 2000, "kelvin")
        in_range("retention_energy", self.retention_energy, 0, 5, "eV")
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
        self._check_recombination()

    def _check_recombination(self) -> None:
        for name in ("energy", "within", "between", "tail_energy"):
            in_range(f"recombination_{name}", getattr(self, f"recombination_{name}"), 0, 5, "eV")
        positive("recombination_rate", self.recombination_rate)
        if bool(self.recombination_tail) != bool(self.recombination_tail_energy):
            wanted = "above 0" if self.recombination_tail else "0 (eV)"
            fail("recombination_tail_energy", self.recombination_tail_energy, f"{wanted} with this recombination_tail")
        if self.recombination_tail_energy > self.recombination_energy:
            limit = f"at most recombination_energy={self.recombination_energy!r} (eV)"
            fail("recombination_tail_energy", self.recombination_tail_energy, limit)
        if not self.recombination_energy:
            for name in ("within", "between", "tail"):
                value = getattr(self, f"recombination_{name}")
                if value:
                    fail(f"recombination_{name}", value, "0 where recombination_energy is 0: nothing would change")

    @classmethod
    def preset(cls, name: str) -> "Device":
        """A named device of `PRESETS`, with its source there.

        Raises:
            ValueError: if `name` is not in `PRESETS`.
        """
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

    def program(self, target: Tensor, draw: Draw, states: int | None) -> Tensor:
        """Conductances of cells after programming, with all static effects.

        Args:
            target: wanted conductances, S, float64, any shape.
            draw: returns the named effect's random numbers in the shape of `target`: uniforms in [0, 1) for "stuck_on",
                "stuck_off", "unformed", "recombination_tail", standard normals for "program_error", "d2d_on",
                "d2d_off", "retention_nu", "retention_spread", "recombination_energy". Called for active effects only.
            states: number of levels, as the scheme uses them, or None.

        Returns:
            Conductances, S, float64, >= 0, the shape of `target`.
        """
        g = self._nearest_state(target, states)
        if self.program_error:
            scale = self.g_range if self.program_error_to == "range" else g
            g = (g + self.program_error * scale * draw("program_error").double()).clamp_(min=0)
        g_on, g_off = self._own_window(draw)
        if self.d2d_on or self.d2d_off:
            g = (g_off + (g - self.g_off) / self.g_range * (g_on - g_off)).clamp_(min=0)
        g = self._aged(self._recombined(g, g_off, draw), draw)
        g = self._cycled(g, g_on, g_off)
        for effect, probability, value in (
            ("stuck_on", self.stuck_on, g_on),
            ("stuck_off", self.stuck_off, g_off),
            ("unformed", self.unformed, 0.0),
        ):
            if probability:
                g = torch.where(draw(effect) < probability, value, g)
        return g

    def _nearest_state(self, target: Tensor, states: int | None) -> Tensor:
        """Levels are numbered from g_off; a target half-way between two goes to the even one."""
        if states is None:
            return target
        step = self.g_range / (states - 1)
        return self.g_off + step * ((target - self.g_off) / step).round()

    def _own_window(self, draw: Draw) -> tuple[Tensor | float, Tensor | float]:
        """Each cell's own g_on and g_off; r_on and r_off vary independently and r_off >= r_on."""
        r_on = self._own_resistance(self.r_on, self.d2d_on, "d2d_on", draw)
        r_off = self._own_resistance(self.r_off, self.d2d_off, "d2d_off", draw)
        if isinstance(r_on, Tensor) or isinstance(r_off, Tensor):
            r_on, r_off = (torch.as_tensor(r, dtype=torch.float64) for r in (r_on, r_off))
            r_off = torch.maximum(r_off, r_on)
        return 1 / r_on, 1 / r_off

    def _own_resistance(self, nominal: float, sigma: float, effect: str, draw: Draw) -> Tensor | float:
        if not sigma:
            return nominal
        z = draw(effect).double()
        if self.d2d_distribution == "lognormal":
            return nominal * torch.exp(math.sqrt(math.log1p(sigma**2)) * z)
        bounds = torch.tensor([(bound - 1) / sigma for bound in TRUNCATION], dtype=torch.float64)
        low, high = torch.special.ndtr(bounds)
        quantile = low + torch.special.ndtr(z) * (high - low)
        return nominal * (1 + sigma * torch.special.ndtri(quantile))

    def _recombined(self, g: Tensor, g_off: Tensor | float, draw: Draw) -> Tensor:
        """Conductances after the retention time, their distance from g_off in proportion to the vacancies left."""
        if not (self.recombination_energy and self.retention_time):
            return g
        energy = torch.full_like(g, self.recombination_energy)
        if self.recombination_tail:
            tail = draw("recombination_tail") < self.recombination_tail
            energy = torch.where(tail, self.recombination_tail_energy, energy)
        if self.recombination_between:
            energy = energy + self.recombination_between * draw("recombination_energy").double()
        conditions = self.retention_time, self.retention_temperature, self.recombination_rate
        left = surviving(energy.numpy(), self.recombination_within, *conditions)
        return (g_off + (g - g_off) * torch.from_numpy(left)).clamp_(min=0)  # which rounding may be below

    def _aged(self, g: Tensor, draw: Draw) -> Tensor:
        """Conductances after the retention time: a power law with each cell's exponent, and a spread in log time."""
        age = self.age
        if age <= 1:
            return g
        nu: Tensor | float = self.retention_nu
        if self.retention_nu_sigma:
            nu = nu + self.retention_nu_sigma * draw("retention_nu").double()
        g = g * age**-nu
        if self.retention_spread:
            sigma = self.retention_spread * math.log10(age) * self.g_range
            g = (g + sigma * draw("retention_spread").double()).clamp_(min=0)
        return g

    def _cycled(self, g: Tensor, g_on: Tensor | float, g_off: Tensor | float) -> Tensor:
        """Conductances at the same position in each cell's window, which switching cycles have narrowed."""
        wear = self.endurance_cycles / self.endurance_onset
        if wear <= 1 or not (self.endurance_on or self.endurance_off):
            return g
        g_on, g_off = (torch.as_tensor(x, dtype=torch.float64) for x in (g_on, g_off))
        closed = g_on <= g_off
        position = torch.where(closed, 0.0, (g - g_off) / torch.where(closed, 1.0, g_on - g_off))
        worn_on = g_on * wear**-self.endurance_on
        worn_off = torch.minimum(g_off * wear**self.endurance_off, worn_on)
        return (worn_off + position * (worn_on - worn_off)).clamp_(min=0)

    def response(self, v: Volts) -> Volts:
        """Current per siemens, V, of a cell whose I-V law does not depend on its state: v0 sinh(v/v0).

        Args:
            v: voltages, V; a number for a number.
        """
        if self.v0 is None:
            return v
        x = v / self.v0
        return self.v0 * (torch.sinh(x) if isinstance(x, Tensor) else math.sinh(x))

    def drives(self, v: Tensor, v_read: float) -> list[Tensor]:
        """Current per siemens, V, at voltages `v`, by the terms whose sum it is; see `ProgrammedTiles.currents`.

        Args:
            v: voltages, V.
            v_read: the largest of them, V.
        """
        if not self.state_dependent:
            return [self.response(v)]
        return even_powers(v, v, v_read, self.series_terms(v_read))

    @property
    def state_dependent(self) -> bool:
        """Whether cells of different states have different I-V laws."""
        return self.v0_off is not None and self.v0_off != self.v0

    @property
    def _laws(self) -> tuple[float, float]:
        """v0 of LRS and of HRS, V, where they differ."""
        assert self.v0 is not None  # as __post_init__ checks
        assert self.v0_off is not None
        return self.v0, self.v0_off

    def series_terms(self, v_read: float, squared: bool = False) -> int:
        """Odd powers of v that stand for an I-V law which depends on the state, g sum_k (v/v0)^(2k) v/(2k+1)!.

        As many as leave a relative error of at most `SERIES_ERROR` at v_read, V; 1 if the law does not depend on it.

        Args:
            squared: for the square of the current, 2 g^2 sum_k (2v/v0)^(2k) v^2/(2k+2)!.
        """
        if not self.state_dependent:
            return 1
        x = v_read / min(self._laws)
        wanted, terms, total = (math.sinh(x) / x) ** (1 + squared), 0, 0.0
        while wanted - total > SERIES_ERROR * wanted:
            total += x ** (2 * terms) * series_coefficient(terms, squared)
            terms += 1
        return terms

    def own_v0(self, g: Tensor) -> Tensor:
        """v0, V, of cells of conductance `g`, S: linear from v0_off at g_off to v0 at g_on, and level beyond."""
        position = ((g - self.g_off) / self.g_range).clamp_(0, 1)
        v0, v0_off = self._laws
        return v0_off + (v0 - v0_off) * position

    def full_response(self, v_read: float) -> float:
        """Current at v_read per siemens between LRS and HRS, V, which the digital scale divides by."""
        if not self.state_dependent:
            return self.response(v_read)
        _, v0_off = self._laws
        hrs = v0_off * math.sinh(v_read / v0_off)
        return (self.g_on * self.response(v_read) - self.g_off * hrs) / self.g_range

    def noise_variance(self, g: Tensor) -> Tensor:
        """Variance of the conductance that a read sees, S^2, for cells of conductance `g`, S."""
        scale = g if self.read_noise_to == "g" else self.g_range * (g > 0).to(g.dtype)
        return (self.read_noise * scale) ** 2


def even_powers(x: Tensor, v: Tensor, top: float, terms: int) -> list[Tensor]:
    """x (v/top)^(2k), k = 0 ... terms - 1: the functions of a voltage that a power series consists of."""
    powers = [x]
    if terms > 1:
        even = (v / top).square_()
        for _ in range(1, terms):
            powers.append(powers[-1] * even)
    return powers


def series_coefficient(k: int, squared: bool) -> float:
    """Of x^(2k) in the power series of sinh(x)/x, or of its square."""
    return 2.0 ** (2 * k + 1) / math.factorial(2 * k + 2) if squared else 1 / math.factorial(2 * k + 1)

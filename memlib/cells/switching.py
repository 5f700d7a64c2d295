"""How a cell switches: four published models of current and of the state's motion, with published parameters.

Each model has one state per cell, a current I(v, state) and a rate d state/dt (v, state); both take NumPy arrays that
broadcast against each other. A new device is one new entry in `PRESETS`; what voltages do to cells, and how arrays are
programmed, is in `memlib.cells.pulses` and `memlib.cells.writing`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import constants

from memlib.base.checks import fail, in_range, one_of, positive, whole
from memlib.base.configuration import Config, config

V_READ = 0.3  #: voltage at which conductances and resistances are read, V
MOST_EXPONENT = 500.0  #: larger exponents are cut: no exponential overflows

#: Window functions f(x, p, rising) of the linear ion drift, x in [0, 1]; `rising` where the current drives x upwards.
WINDOWS = {
    "none": lambda x, p, rising: np.ones_like(x),
    # Strukov et al., Nature 453, 80 (2008), with the corrigendum, Nature 459, 1154 (2009)
    "strukov": lambda x, p, rising: x * (1 - x),
    # Joglekar and Wolf, Eur. J. Phys. 30, 661 (2009)
    "joglekar": lambda x, p, rising: 1 - (2 * x - 1) ** (2 * p),
    # Biolek, Biolek and Biolkova, Radioengineering 18, 210 (2009), eq. 10: a state that reached a limit can leave it
    "biolek": lambda x, p, rising: 1 - (x - np.where(rising, 0, 1)) ** (2 * p),
    # Prodromakis, Peh, Papavassiliou and Toumazou, IEEE Trans. Electron Devices 58, 3099 (2011), with j = 1
    "prodromakis": lambda x, p, rising: 1 - ((x - 0.5) ** 2 + 0.75) ** p,
}


def _exp(exponent: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(exponent, MOST_EXPONENT))


class SwitchingModel(Config):
    """The base of all models. Voltages in V, currents in A, rates in the state's unit per second.

    Voltages and states are numbers or arrays of any shapes that broadcast; results have the shape they broadcast to.
    """

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest state, in its unit; no state leaves them."""
        raise NotImplementedError

    def current(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """Current through cells in a state at voltage `v`, A."""
        raise NotImplementedError

    def rate(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """d state/dt at voltage `v` inside the limits, in the state's unit per second.

        Positive voltages move every state one way, negative ones the other way, or not at all; 0 V none.
        """
        raise NotImplementedError

    def conductance(self, state: ArrayLike) -> np.ndarray:
        """I/v at the read voltage, S, in the shape of `state`."""
        return self.current(V_READ, state) / V_READ

    @property
    def lrs(self) -> float:
        """The limit at which a cell conducts most."""
        return max(self.limits, key=lambda state: float(self.conductance(state)))

    @property
    def hrs(self) -> float:
        """The limit at which a cell conducts least."""
        return min(self.limits, key=lambda state: float(self.conductance(state)))


@config
class LinearIonDrift(SwitchingModel):
    """Dopants that drift in a film of two resistors in series; the state is w/D in [0, 1].

    v = (r_on x + r_off (1 - x)) i and dx/dt = mobility r_on/thickness^2 i f(x), from Strukov, Snider, Stewart and
    Williams, Nature 453, 80 (2008), eqs. 5 and 6; f is one of `WINDOWS`. A positive voltage sets.
    """

    r_on: float = 100.0  #: ohm, at x = 1
    r_off: float = 16e3  #: ohm, at x = 0
    thickness: float = 10e-9  #: D, m
    mobility: float = 1e-14  #: of the dopants, m^2/(V s)
    window: str = "none"  #: one of `WINDOWS`
    p: int = 1  #: exponent of the window

    def __post_init__(self) -> None:
        self.check(positive, "r_on", "r_off", "thickness", "mobility")
        if self.r_off <= self.r_on:
            fail("r_off", self.r_off, f"above r_on={self.r_on!r} (ohm)")
        self.check(one_of, "window", allowed=WINDOWS)
        self.check(whole, "p", low=1)

    @property
    def limits(self) -> tuple[float, float]:
        """x = w/D."""
        return 0.0, 1.0

    def current(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """Eq. 5, A."""
        return np.asarray(v) / (self.r_off + (self.r_on - self.r_off) * np.asarray(state))

    def rate(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """Eq. 6 with a window, 1/s."""
        i, x = self.current(v, state), np.asarray(state, float)
        return self.mobility * self.r_on / self.thickness**2 * i * WINDOWS[self.window](x, self.p, i > 0)


@config
class VTEAM(SwitchingModel):
    """Motion beyond threshold voltages as powers of the excess; the state w runs from w_on to w_off.

    dw/dt = k_off (v/v_off - 1)^alpha_off f_off(w) beyond v_off, k_on (v/v_on - 1)^alpha_on f_on(w) beyond v_on, and 0
    between; i = v/R(w), from Kvatinsky, Ramadan, Friedman and Kolodny, IEEE Trans. Circuits Syst. II 62, 786 (2015).
    The windows are those of TEAM (Kvatinsky et al., IEEE Trans. Circuits Syst. I 60, 211, 2013), f_off =
    exp(-exp((w - a_off)/w_c_off)) and f_on = exp(-exp((a_on - w)/w_c_on)). A voltage beyond v_off resets.
    """

    r_on: float  #: ohm, at w_on
    r_off: float  #: ohm, at w_off
    w_on: float  #: m, or in any other unit that k_on and k_off share
    w_off: float  #: above w_on
    v_on: float  #: threshold voltage of setting, V
    v_off: float  #: threshold voltage of resetting, V, of the other sign
    k_on: float  #: unit of w per second, below 0
    k_off: float  #: unit of w per second, above 0
    alpha_on: float
    alpha_off: float
    a_on: float = 0.0
    a_off: float = 0.0
    w_c_on: float = 0.0  #: in the unit of w; 0 switches the window off
    w_c_off: float = 0.0
    iv: str = "linear"  #: R(w) is "linear", or "exponential": r_on (r_off/r_on)^x, x = (w - w_on)/(w_off - w_on)

    def __post_init__(self) -> None:
        self.check(positive, "r_on", "r_off", "k_off", "alpha_on", "alpha_off")
        for name, than in (("r_off", "r_on"), ("w_off", "w_on")):
            if getattr(self, name) <= getattr(self, than):
                fail(name, getattr(self, name), f"above {than}={getattr(self, than)!r}")
        if self.k_on >= 0:
            fail("k_on", self.k_on, "below 0: w falls towards w_on")
        if self.v_on * self.v_off >= 0:
            fail("v_on", self.v_on, f"a voltage of the sign opposite to v_off={self.v_off!r}")
        self.check(in_range, "w_c_on", "w_c_off", low=0, high=math.inf)
        self.check(one_of, "iv", allowed=("linear", "exponential"))

    @property
    def limits(self) -> tuple[float, float]:
        """w."""
        return self.w_on, self.w_off

    def current(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """v/R(w), A."""
        x = (np.asarray(state) - self.w_on) / (self.w_off - self.w_on)
        if self.iv == "linear":
            return np.asarray(v) / (self.r_on + (self.r_off - self.r_on) * x)
        return np.asarray(v) / (self.r_on * (self.r_off / self.r_on) ** x)

    def rate(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """dw/dt, unit of w per second."""
        v, w = np.asarray(v), np.asarray(state)
        off = self.k_off * np.maximum(v / self.v_off - 1, 0) ** self.alpha_off
        on = self.k_on * np.maximum(v / self.v_on - 1, 0) ** self.alpha_on
        if self.w_c_off:
            off = off * np.exp(-_exp((w - self.a_off) / self.w_c_off))
        if self.w_c_on:
            on = on * np.exp(-_exp((self.a_on - w) / self.w_c_on))
        return off + on + np.zeros_like(w, float)


@config
class StanfordPKU(SwitchingModel):
    """A filament whose tip leaves a tunnelling gap g to the electrode; the state is g in m.

    i = i0 exp(-g/g0) sinh(v/v0); dg/dt = -nu0 exp(-e_a/kT) sinh(gamma a0 q v/(t_ox kT)), with the field enhanced by
    gamma = gamma0 - beta (g/1 nm)^3, no motion below the field gamma |v|/t_ox = f_min, and a temperature raised by
    Joule heat, T = t_ambient + r_th |v i|. From Guan, Yu and Wong, IEEE Electron Device Lett. 33, 1405 (2012), and
    Jiang et al., IEEE Trans. Electron Devices 63, 1884 (2016), as in the authors' Verilog-A code, version 1.0.0
    (doi:10.4231/D37H1DN48), without its random part. A positive voltage sets.

    The threshold is a step in the code; here it rises over a relative width `f_width` of the field, because the gap
    slides along it during a slow reset, where a step has no derivative (Maldonado et al., J. Appl. Phys. 130, 2021,
    doi:10.1063/5.0055982, smooth it for the same reason).
    """

    i0: float = 1e-3  #: A
    g0: float = 0.25e-9  #: m
    v0: float = 0.25  #: V
    nu0: float = 10.0  #: m/s
    e_a: float = 0.6  #: activation energy, eV
    a0: float = 0.25e-9  #: distance between atoms, m
    t_ox: float = 12e-9  #: oxide thickness, m
    gamma0: float = 16.0
    beta: float = 0.8
    f_min: float = 1.4e9  #: V/m
    f_width: float = 1e-4
    r_th: float = 2.1e3  #: K/W
    t_ambient: float = 298.0  #: K
    gap_min: float = 0.2e-9  #: m
    gap_max: float = 1.7e-9  #: m

    def __post_init__(self) -> None:
        self.check(positive, "i0", "g0", "v0", "nu0", "e_a", "a0", "t_ox", "gamma0", "f_width", "t_ambient", "gap_max")
        self.check(in_range, "beta", "f_min", "r_th", low=0, high=math.inf)
        self.check(in_range, "gap_min", low=0, high=np.nextafter(self.gap_max, 0), what="a gap below gap_max")

    @property
    def limits(self) -> tuple[float, float]:
        """The gap, m."""
        return self.gap_min, self.gap_max

    def current(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """Tunnelling through the gap, A."""
        return self.i0 * np.exp(-np.asarray(state) / self.g0) * np.sinh(np.asarray(v) / self.v0)

    def temperature(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """Temperature of the filament's tip, K."""
        return self.t_ambient + self.r_th * np.abs(np.asarray(v) * self.current(v, state))

    def rate(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """dg/dt, m/s."""
        v, gap = np.asarray(v), np.asarray(state)
        thermal = constants.k * self.temperature(v, gap) / constants.e  # V
        field = (self.gamma0 - self.beta * (gap / 1e-9) ** 3) * v / self.t_ox
        rate = -self.nu0 * np.exp(-self.e_a / thermal) * np.sinh(field * self.a0 / thermal)
        if not self.f_min:
            return rate
        # the enhancement is above 0 wherever the field passes the threshold, so its sign is that of the voltage
        excess = (field * np.sign(v) / self.f_min - 1) / self.f_width
        return rate / (1 + _exp(-excess))


@config
class DataDriven(SwitchingModel):
    """Fitted to how trains of pulses move the resistance, which is the state, in ohm.

    i = a sinh(b v)/R and dR/dt = s (exp(t |v|) - 1) (exp(k eta d) - 1) where eta d > 0, else 0, with d = r_p(v) - R for
    v > 0 and R - r_n(v) for v < 0, and parameters of their own for the two signs: the resistance saturates at
    polynomials r_p, r_n of the voltage. From Messaris et al., IEEE Trans. Comput.-Aided Des. 37, 3151 (2018), eqs. 3 to
    7. The model has no limits of its own: r_min and r_max are those of the fitted data (their Table III).
    """

    r_min: float  #: ohm
    r_max: float  #: ohm
    a_p: float  #: 1, as a_n
    a_n: float
    b_p: float  #: 1/V, as b_n
    b_n: float
    s_p: float  #: the paper's A_p, A_n, ohm/s
    s_n: float
    t_p: float  #: 1/V, as t_n
    t_n: float
    k_p: float  #: 1/ohm, as k_n
    k_n: float
    r_p: tuple[float, ...]  #: coefficients of r_p(v), from the constant on, ohm/V^m
    r_n: tuple[float, ...]
    eta: int = 1  #: 1 if a positive voltage raises the resistance, -1 if it lowers it

    def __post_init__(self) -> None:
        self.check(positive, "r_min", "r_max", "a_p", "a_n", "b_p", "b_n", "t_p", "t_n", "k_p", "k_n")
        if self.r_max <= self.r_min:
            fail("r_max", self.r_max, f"above r_min={self.r_min!r} (ohm)")
        self.check(one_of, "eta", allowed=(1, -1))
        if self.eta * self.s_p <= 0 or self.eta * self.s_n >= 0:
            fail("s_p, s_n", (self.s_p, self.s_n), f"of the sign of eta={self.eta} and of the opposite one")

    @property
    def limits(self) -> tuple[float, float]:
        """The resistance, ohm."""
        return self.r_min, self.r_max

    def current(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """Eq. 3, A."""
        v = np.asarray(v)
        return np.where(v > 0, self.a_p * np.sinh(self.b_p * v), self.a_n * np.sinh(self.b_n * v)) / np.asarray(state)

    def rate(self, v: ArrayLike, state: ArrayLike) -> np.ndarray:
        """Eqs. 4 to 7, ohm/s."""
        v, r = np.asarray(v), np.asarray(state)
        pairs = (self.s_p, self.s_n), (self.t_p, self.t_n), (self.k_p, self.k_n)
        s, t, k = (np.where(v > 0, *pair) for pair in pairs)
        up = np.polynomial.polynomial.polyval(v, self.r_p) - r
        down = r - np.polynomial.polynomial.polyval(v, self.r_n)
        distance = np.maximum(self.eta * np.where(v > 0, up, down), 0)
        return s * np.expm1(t * np.abs(v)) * np.expm1(np.minimum(k * distance, MOST_EXPONENT))


#: I-V of Pt/TiOx/Pt, Messaris et al. (2018), Table I.
_TIOX_IV: dict[str, Any] = {"a_p": 0.24, "a_n": 0.24, "b_p": 2.81, "b_n": 2.81}

#: Published parameter sets.
PRESETS: dict[str, SwitchingModel] = {
    # Strukov et al. (2008), Fig. 2b and 2c: r_off/r_on = 160 and 380, 1 V/r_on = 10 mA, D^2/(mobility 1 V) = 10 ms
    "strukov_2b": LinearIonDrift(r_off=16e3),
    "strukov_2c": LinearIonDrift(r_off=38e3),
    # Biolek, Biolek and Biolkova (2009), Fig. 5c, hard switching; the paper starts at 1 kohm (x = 0.82), 2 V, 1 Hz
    "biolek_5c": LinearIonDrift(r_off=5e3, window="joglekar", p=10),
    # The default VTEAM of MemTorch (Lammie, Xiang, Linares-Barranco and Rahimi Azghadi, Neurocomputing 485, 124, 2022)
    "vteam_memtorch": VTEAM(
        r_on=50.0, r_off=1e3, w_on=0.0, w_off=3e-9, v_on=-0.2, v_off=0.02, k_on=-10.0, k_off=5e-4,
        alpha_on=3.0, alpha_off=1.0,
    ),
    # Messaris et al. (2018), eq. 12 and Table IV: VTEAM fitted to their Pt/TiOx/Pt device 1, w from 0 to 1;
    # the table gives the size of the threshold of setting.
    "vteam_tiox_1": VTEAM(
        r_on=4850.0, r_off=6000.0, w_on=0.0, w_off=1.0, v_on=-0.5, v_off=1.1, k_on=-400.0, k_off=3100.0,
        alpha_on=4.65, alpha_off=8.69, a_on=1.0, a_off=0.0, w_c_on=0.45, w_c_off=0.39,
    ),
    # The defaults of the authors' Verilog-A code, version 1.0.0
    "stanford_pku": StanfordPKU(),
    # Messaris et al. (2018), Table II; limits from Table III
    "tiox_1": DataDriven(
        **_TIOX_IV, r_min=4.5e3, r_max=6e3, s_p=0.12, s_n=-79.03, t_p=0.59, t_n=1.12, k_p=8.10e-3, k_n=9.43e-3,
        r_p=(3085.0, 1862.0), r_n=(5193.0, 378.0),
    ),
    # The table's 23.69e4 for the last number would make r_n negative; 23.69e3 keeps it in the measured 10 to 17 kohm,
    # and is what the authors' own code has.
    "tiox_2": DataDriven(
        **_TIOX_IV, r_min=10e3, r_max=17e3, s_p=743.47, s_n=-6.80e4, t_p=6.51, t_n=0.31, k_p=5.11e-4, k_n=1.17e-3,
        r_p=(16.71e3,), r_n=(29.30e3, 23.69e3),
    ),
    # Pt/Ta/TaOx/Pt of Mickel et al., Appl. Phys. Lett. 102, 223502 (2013)
    "taox": DataDriven(
        a_p=0.36, a_n=0.34, b_p=1.83, b_n=3.50, r_min=200.0, r_max=1e3, s_p=-6.82e6, s_n=7.25e7, t_p=1.08, t_n=0.036,
        k_p=0.017, k_n=0.018, r_p=(2794.0, -4553.0, 1973.0), r_n=(857.0, 1135.0, 675.0), eta=-1,
    ),
}  # fmt: skip


def preset(name: str) -> SwitchingModel:
    """The model with a published parameter set. Raises ValueError if `name` is not in `PRESETS`."""
    one_of("preset", name, PRESETS)
    return PRESETS[name]

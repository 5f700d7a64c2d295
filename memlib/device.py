"""The 1T1R cell: conductance states and what keeps a programmed cell from its target.

Static effects act once per device seed, in the order of `program`; read noise acts at every read (`noise_variance`).
Conductances are in siemens, float64. A new device is one new entry in `PRESETS`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from memlib.config import Config, config
from memlib.validate import fail, in_range, one_of, positive, whole

#: Operating points of RRAM cells, in ohm; read at 0.3 V.
PRESETS: dict[str, dict[str, float]] = {
    "10k_100k": {"r_on": 10e3, "r_off": 100e3},
    "14k_300k": {"r_on": 14e3, "r_off": 300e3},
    "14k_50M": {"r_on": 14e3, "r_off": 50e6},
}

#: Bounds of device-to-device resistances, relative to nominal, for `d2d_distribution="normal"`.
TRUNCATION = (0.3, 3.0)

#: Draws one effect's random numbers for an array of cells: effect name -> float32 tensor of the array's shape.
Draw = Callable[[str], Tensor]


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

    def __post_init__(self) -> None:
        positive("r_on", self.r_on)
        positive("r_off", self.r_off)
        if self.r_off <= self.r_on:
            fail("r_off", self.r_off, f"above r_on={self.r_on!r} (ohm)")
        whole("states", self.states, 2, none=True)
        for name in ("program_error", "d2d_on", "d2d_off", "read_noise"):
            in_range(name, getattr(self, name), 0, math.inf, "a relative sigma")
        for name in ("stuck_on", "stuck_off", "unformed"):
            in_range(name, getattr(self, name), 0, 1, "a probability")
        one_of("program_error_to", self.program_error_to, ("range", "g"))
        one_of("read_noise_to", self.read_noise_to, ("g", "range"))
        one_of("d2d_distribution", self.d2d_distribution, ("lognormal", "normal"))

    @classmethod
    def preset(cls, name: str) -> "Device":
        """The ideal device at a named operating point.

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

    def ideal(self) -> "Device":
        """The same operating point with every non-ideality off."""
        return Device(r_on=self.r_on, r_off=self.r_off)

    def program(self, target: Tensor, draw: Draw, states: int | None) -> Tensor:
        """Conductances of cells after programming, with all static effects.

        Args:
            target: wanted conductances, S, float64, any shape.
            draw: returns the named effect's random numbers in the shape of `target`: standard normals for
                "program_error", "d2d_on", "d2d_off", uniforms in [0, 1) for "stuck_on", "stuck_off", "unformed".
                Called for active effects only.
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

    def noise_variance(self, g: Tensor) -> Tensor:
        """Variance of the conductance that a read sees, S^2, for cells of conductance `g`, S."""
        scale = g if self.read_noise_to == "g" else self.g_range * (g > 0).to(g.dtype)
        return (self.read_noise * scale) ** 2

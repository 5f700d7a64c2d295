"""Static effects: what keeps a programmed cell from its target, drawn once per chip and applied in one order.

The order is the nearest state, programming error, the cell's own window, ageing, cycles, and faults on top of all.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from memlib.base.random_streams import generator
from memlib.cells.device import Device
from memlib.cells.recombination import surviving

#: Draws one effect's random numbers for an array of cells: effect name -> float32 tensor of the array's shape.
Draw = Callable[[str], Tensor]
#: Effects that take uniforms in [0, 1); all others take standard normals.
UNIFORM_EFFECTS = ("stuck_on", "stuck_off", "unformed", "recombination_tail")

#: Bounds of device-to-device resistances, relative to nominal, for `d2d_distribution="normal"`.
TRUNCATION = (0.3, 3.0)


def draw_effect(effect: str, shape: tuple[int, ...], source: torch.Generator) -> Tensor:
    """The next random numbers of one effect: float32, `shape`, on the CPU."""
    return (torch.rand if effect in UNIFORM_EFFECTS else torch.randn)(shape, generator=source)


def named_draws(shape: tuple[int, ...], *name: str | int) -> Draw:
    """Random numbers of this shape for each effect, from the stream of this name and the effect's."""
    return lambda effect: draw_effect(effect, shape, generator(*name, effect))


def program_cells(device: Device, target: Tensor, draw: Draw, states: int | None) -> Tensor:
    """Conductances of cells after programming, with all static effects.

    Args:
        target: wanted conductances, S, float64, any shape.
        draw: returns an effect's random numbers in the shape of `target`, such as `named_draws`. Effects are
            `UNIFORM_EFFECTS`, and "program_error", "d2d_on", "d2d_off", "retention_nu", "retention_spread" and
            "recombination_energy", which take standard normals. It is called for active effects only.
        states: number of levels, as the scheme uses them, or None.

    Returns:
        Conductances, S, float64, >= 0, the shape of `target`.
    """
    g = _nearest_state(device, target, states)
    if device.program_error:
        scale = device.g_range if device.program_error_to == "range" else g
        g = (g + device.program_error * scale * draw("program_error").double()).clamp_(min=0)
    g_on, g_off = _own_window(device, draw)
    if device.d2d_on or device.d2d_off:
        g = (g_off + (g - device.g_off) / device.g_range * (g_on - g_off)).clamp_(min=0)
    g = _aged(device, _recombined(device, g, g_off, draw), draw)
    g = _cycled(device, g, g_on, g_off)
    for effect, probability, value in (
        ("stuck_on", device.stuck_on, g_on),
        ("stuck_off", device.stuck_off, g_off),
        ("unformed", device.unformed, 0.0),
    ):
        if probability:
            g = torch.where(draw(effect) < probability, value, g)
    return g


def _nearest_state(device: Device, target: Tensor, states: int | None) -> Tensor:
    """Levels are numbered from g_off; a target half-way between two goes to the even one."""
    if states is None:
        return target
    step = device.g_range / (states - 1)
    return device.g_off + step * ((target - device.g_off) / step).round()


def _own_window(device: Device, draw: Draw) -> tuple[Tensor | float, Tensor | float]:
    """Each cell's own g_on and g_off; r_on and r_off vary independently and r_off >= r_on."""
    r_on = _own_resistance(device, device.r_on, device.d2d_on, "d2d_on", draw)
    r_off = _own_resistance(device, device.r_off, device.d2d_off, "d2d_off", draw)
    if isinstance(r_on, Tensor) or isinstance(r_off, Tensor):
        r_on, r_off = (torch.as_tensor(r, dtype=torch.float64) for r in (r_on, r_off))
        r_off = torch.maximum(r_off, r_on)
    return 1 / r_on, 1 / r_off


def _own_resistance(device: Device, nominal: float, sigma: float, effect: str, draw: Draw) -> Tensor | float:
    if not sigma:
        return nominal
    z = draw(effect).double()
    if device.d2d_distribution == "lognormal":
        return nominal * torch.exp(math.sqrt(math.log1p(sigma**2)) * z)
    bounds = torch.tensor([(bound - 1) / sigma for bound in TRUNCATION], dtype=torch.float64)
    low, high = torch.special.ndtr(bounds)
    quantile = low + torch.special.ndtr(z) * (high - low)
    return nominal * (1 + sigma * torch.special.ndtri(quantile))


def _recombined(device: Device, g: Tensor, g_off: Tensor | float, draw: Draw) -> Tensor:
    """Conductances after the retention time, their distance from g_off in proportion to the vacancies left."""
    if not (device.recombination_energy and device.retention_time):
        return g
    energy = torch.full_like(g, device.recombination_energy)
    if device.recombination_tail:
        tail = draw("recombination_tail") < device.recombination_tail
        energy = torch.where(tail, device.recombination_tail_energy, energy)
    if device.recombination_between:
        energy = energy + device.recombination_between * draw("recombination_energy").double()
    conditions = device.retention_time, device.retention_temperature, device.recombination_rate
    left = surviving(energy.numpy(), device.recombination_within, *conditions)
    return (g_off + (g - g_off) * torch.from_numpy(left)).clamp_(min=0)  # which rounding may be below


def _aged(device: Device, g: Tensor, draw: Draw) -> Tensor:
    """Conductances after the retention time: a power law with each cell's exponent, and a spread in log time."""
    age = device.age
    if age <= 1:
        return g
    nu: Tensor | float = device.retention_nu
    if device.retention_nu_sigma:
        nu = nu + device.retention_nu_sigma * draw("retention_nu").double()
    g = g * age**-nu
    if device.retention_spread:
        sigma = device.retention_spread * math.log10(age) * device.g_range
        g = (g + sigma * draw("retention_spread").double()).clamp_(min=0)
    return g


def _cycled(device: Device, g: Tensor, g_on: Tensor | float, g_off: Tensor | float) -> Tensor:
    """Conductances at the same position in each cell's window, which switching cycles have narrowed."""
    wear = device.endurance_cycles / device.endurance_onset
    if wear <= 1 or not (device.endurance_on or device.endurance_off):
        return g
    g_on, g_off = (torch.as_tensor(x, dtype=torch.float64) for x in (g_on, g_off))
    closed = g_on <= g_off
    position = torch.where(closed, 0.0, (g - g_off) / torch.where(closed, 1.0, g_on - g_off))
    worn_on = g_on * wear**-device.endurance_on
    worn_off = torch.minimum(g_off * wear**device.endurance_off, worn_on)
    return (worn_off + position * (worn_on - worn_off)).clamp_(min=0)

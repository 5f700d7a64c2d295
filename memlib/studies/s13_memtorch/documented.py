"""What MemTorch documents, in formulas written anew, against what memlib computes; and what its layers do not do.

Formulas and names are those of MemTorch 1.1.6 (Lammie et al., Neurocomputing 485, 124, 2022), as its documentation and
sources have them; none of its code is used. Its device models (linear ion drift, VTEAM, Stanford-PKU, data-driven) are
those of `cells.switching`, which the tests compare with closed forms and with the publications that they are from.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from memlib.cells.device import Device
from memlib.cells.static_effects import program_cells
from memlib.chip.network import map_network
from memlib.chip.recalibration import recalibrate
from memlib.mapping.hardware import Hardware
from memlib.mapping.scheme import Mapping, target_conductances
from memlib.mapping.tile import Tile
from memlib.tiles.converters import input_volts, row_inputs
from memlib.tiles.input_record import record_inputs
from memlib.tiles.reads import SummedReads

DEVICE = Device.preset("10k_100k")
OFF = Tile(rows=16, cols=16, dac_bits=None, adc_bits=None)
#: Deviations below this, relative to the largest value, are roundings.
ROUNDING = 1e-12


def naive_map(weight: Tensor, device: Device) -> Tensor:
    """`naive_map` with `Scheme.DoubleColumn`: g = g_off + |w| (g_on - g_off)/max|W| in the column of w's sign.

    Returns:
        (2, *weight.shape) S, positive and negative columns; g_off where w has the other sign.
    """
    parts = torch.stack((weight, -weight)).clamp(min=0)
    return device.g_off + parts * device.g_range / weight.abs().max()


def single_column(weight: Tensor, device: Device) -> Tensor:
    """One column about g_m = (g_on + g_off)/2, its reference: [-max|W|, max|W|] to [g_off, g_on]; S.

    This is what subtracting g_m needs. (The function itself maps negative weights to g_off.)
    """
    largest = weight.abs().max()
    return device.g_off + (weight + largest) / (2 * largest) * device.g_range


def naive_scale(x: Tensor, volts: float, force: bool = False) -> Tensor:
    """`naive_scale`: x max_input_voltage/max|x|; x itself if max|x| is no larger, unless `force_scale`."""
    largest = x.abs().max()
    return x if largest <= volts and not force else x * volts / largest


def linear_quantise(currents: Tensor, bits: int) -> Tensor:
    """`quant_method="linear"`, overflow rate 0: steps of 2^(1 - bits + ceil(log2 max|I|)), half-way values up."""
    step = 2.0 ** (1 - bits + currents.abs().max().log2().ceil())
    most = 2 ** (bits - 1)
    return (currents / step + 0.5).floor().clamp(-most, most - 1) * step


def drifted(g: Tensor, time: float, start: float, nu: float) -> Tensor:
    """`model_conductance_drift`: g (time/start)^-nu (Boybat et al., NVMTS 2018)."""
    return g * (time / start) ** -nu


def nearest_state(g: Tensor, states: int, device: Device) -> Tensor:
    """`FiniteConductanceStates`: the nearest of evenly spaced levels from g_off to g_on."""
    levels = torch.linspace(device.g_off, device.g_on, states, dtype=torch.float64)
    return levels[(g.flatten()[:, None] - levels).abs().argmin(1)].view(g.shape)


def tuned(outputs: Tensor, wanted: Tensor) -> Tensor:
    """`tune_`: all outputs of a layer through one line, fitted by least squares, a y' + b."""
    design = torch.stack((outputs.flatten(), torch.ones(outputs.numel(), dtype=outputs.dtype)), 1)
    a, b = torch.linalg.lstsq(design, wanted.flatten()[:, None]).solution.flatten()
    return a * outputs + b


def deviation(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest expected magnitude."""
    return float((found - expected).detach().abs().max() / expected.detach().abs().max())


def _example() -> tuple[nn.Linear, Tensor]:
    """A layer and its inputs, float64, from fixed seeds."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(40, 12, bias=False, device="meta")
    layer.weight = nn.Parameter(torch.randn(12, 40, generator=generator, dtype=torch.float64))
    return layer, torch.randn(200, 40, generator=generator, dtype=torch.float64)


def _columns(scheme: str, weight: Tensor) -> Tensor:
    """(columns, *weight.shape) S, documented conductances: of both columns, or of the single one."""
    return naive_map(weight, DEVICE) if scheme == "differential" else single_column(weight, DEVICE)[None]


def _mapping(scheme: str) -> float:
    """Conductances."""
    weight = _example()[0].weight.detach()
    (targets, *_), _ = target_conductances(weight, DEVICE, Mapping(scheme=scheme))
    columns = _columns(scheme, weight)
    return deviation(targets[: len(columns), 0], columns)


def _currents(scheme: str) -> float:
    """Currents of a chip's tiles, A, less those of the other column or the reference, summed over row cuts."""
    layer, x = _example()
    first, *second = _columns(scheme, layer.weight.detach())
    g = first - (second[0] if second else (DEVICE.g_on + DEVICE.g_off) / 2)
    noisy = DEVICE.replace(read_noise=1e-30)  # too little to matter, but so tiles are read one by one
    chip = map_network(layer, Hardware(noisy, OFF, Mapping(scheme=scheme)), calibration=x)
    reads = chip.layers[""].reads
    assert isinstance(reads, SummedReads)  # as there is read noise
    (codes,) = (tiles(x) for tiles in reads.slices)  # a weight is in one cell, or two
    return deviation(codes * OFF.v_read * DEVICE.g_range, naive_scale(x, OFF.v_read) @ g.T)


def _converter() -> float:
    """Codes of a 6-bit ADC of one cell pair, whose full scale is 2^5 - 1 of the formula's steps."""
    x = torch.linspace(-1, 1, 1001, dtype=torch.float64)[:, None]
    x = x[((x * 31).abs() % 1 - 0.5).abs()[:, 0] > 1e-6]  # half-way values are rounded to even codes, and not up
    layer = nn.Linear(1, 1, bias=False, device="meta")
    layer.weight = nn.Parameter(torch.ones(1, 1, dtype=torch.float64))
    tile = Tile(dac_bits=None, adc_bits=6, adc_range="full")
    return deviation(map_network(layer, Hardware(DEVICE, tile), calibration=x)(x) * 31, linear_quantise(x * 31, 6))


def _programmed(device: Device, states: int | None, documented: Callable[[Tensor], Tensor]) -> float:
    """Conductances of cells with targets all over the window."""

    def draw_nothing(effect: str) -> Tensor:
        raise AssertionError(f"{effect}: nothing here is random")

    g = torch.linspace(DEVICE.g_off, DEVICE.g_on, 2001, dtype=torch.float64)
    return deviation(program_cells(device, g, draw_nothing, states), documented(g))


def _drift() -> float:
    device = DEVICE.replace(retention_time=1e4, retention_t0=1.0, retention_nu=0.1)
    return _programmed(device, None, lambda g: drifted(g, 1e4, 1.0, 0.1))


def _states() -> float:
    return _programmed(DEVICE, 7, lambda g: nearest_state(g, 7, DEVICE))


def _tuning() -> float:
    """Outputs of a chip after uniform drift, rescaled by each column's factor, against one line for the layer.

    Where columns differ, the two do too: by design, a factor for each is no line for all.
    """
    layer, x = _example()
    chip = map_network(layer, Hardware(DEVICE.replace(retention_time=1e4, retention_nu=0.1), OFF))
    outputs = chip(x)
    recalibrate(chip, layer, x, "gain")
    return deviation(chip(x), tuned(outputs, layer(x).detach()))


def _input_scale() -> float:
    """Volts on the rows, of images that calibrate too."""
    layer, x = _example()
    inputs = record_inputs(layer, x)[""]
    [(factor, driven)] = row_inputs(x, OFF, inputs)
    return deviation(factor * driven * input_volts(OFF, inputs), naive_scale(x, OFF.v_read))


#: What MemTorch documents, what computes the same here, and how far the two are apart.
EQUATIONS: tuple[tuple[str, str, Callable[[], float]], ...] = (
    ("naive_map, DoubleColumn", 'Mapping(scheme="differential")', lambda: _mapping("differential")),
    ("SingleColumn about g_m", 'Mapping(scheme="offset")', lambda: _mapping("offset")),
    ("currents of a DoubleColumn", "map_network", lambda: _currents("differential")),
    ("currents of a SingleColumn", "map_network", lambda: _currents("offset")),
    ("naive_scale, max|x| > max_input_voltage", "Tile(v_read=...), x_max", _input_scale),
    ("ADC, quant_method='linear'", "Tile(adc_bits=...)", _converter),
    ("model_conductance_drift", "Device(retention_time=..., retention_nu=...)", _drift),
    ("FiniteConductanceStates", "Device(states=...)", _states),
    ("tune_, uniform drift only", 'recalibrate(..., "gain")', _tuning),
)


def equations() -> pd.DataFrame:
    """A row per equation: MemTorch's name, memlib's, and whether the two agree."""
    return pd.DataFrame([{"MemTorch": a, "memlib": b, "agrees": compare() < ROUNDING} for a, b, compare in EQUATIONS])


class Probe(NamedTuple):
    """A layer that MemTorch 1.1.6 computes wrongly or not at all."""

    name: str
    layer: Callable[[], nn.Module]
    shape: tuple[int, ...]
    memtorch: str  #: what it does there


STRIDED: dict[str, Any] = {"stride": (1, 2)}
CIRCULAR: dict[str, Any] = {"padding": 1, "padding_mode": "circular"}
PROBES = (
    Probe("no bias", lambda: nn.Conv2d(3, 5, 3, bias=False), (2, 3, 6, 6), "adds a random bias (measured)"),
    Probe("depthwise", lambda: nn.Conv2d(5, 5, 3, groups=5), (2, 5, 6, 6), "fails (measured)"),
    Probe("two groups", lambda: nn.Conv2d(4, 6, 3, groups=2), (2, 4, 6, 6), "refused (read)"),
    Probe("dilation", lambda: nn.Conv2d(3, 5, 3, dilation=2), (2, 3, 8, 8), "wrong shape or crash (measured)"),
    Probe("kernel of 3x5", lambda: nn.Conv2d(3, 5, (3, 5)), (2, 3, 7, 7), "wrong shape or crash (measured)"),
    Probe("strides 1 and 2", lambda: nn.Conv2d(3, 5, 3, **STRIDED), (2, 3, 7, 7), "wrong shape or crash (measured)"),
    Probe("padding 'same'", lambda: nn.Conv2d(3, 5, 3, padding="same"), (2, 3, 6, 6), "crashes (read)"),
    Probe("circular padding", lambda: nn.Conv2d(3, 5, 3, **CIRCULAR), (2, 3, 6, 6), "pads with zeros (read)"),
    Probe("RNN", lambda: nn.RNN(3, 5), (4, 2, 3), "not there; digital only on its main branch (read)"),
    Probe("LSTM", lambda: nn.LSTM(3, 5), (4, 2, 3), "not there (read)"),
    Probe("GRU", lambda: nn.GRU(3, 5), (4, 2, 3), "not there (read)"),
)


def probes(scheme: str = "differential") -> pd.DataFrame:
    """A row per probe: what MemTorch 1.1.6 does, and whether an ideal chip of memlib does as torch."""
    rows = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for probe in PROBES:
            layer, x = probe.layer().double().eval(), torch.randn(probe.shape, dtype=torch.float64)
            chip = map_network(layer, Hardware(DEVICE, OFF, Mapping(scheme=scheme)))
            found, expected = chip(x), layer(x)
            if isinstance(expected, tuple):  # of a recurrent layer, the outputs of all steps
                found, expected = found[0], expected[0]
            right = deviation(found, expected) < ROUNDING
            rows.append({"layer": probe.name, "MemTorch 1.1.6": probe.memtorch, "memlib is right": right})
    return pd.DataFrame(rows)

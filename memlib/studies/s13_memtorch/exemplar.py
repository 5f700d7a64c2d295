"""The study 13_memtorch: a guide for who comes from MemTorch, its exemplar sweeps, and its seizure case in spirit.

MemTorch: Lammie, Xiang, Linares-Barranco and Rahimi Azghadi, Neurocomputing 485, 124 (2022), arXiv 2004.10971. What is
said of it here is of version 1.1.6: read in its documentation and sources, or measured where that is said. Its formulas
are written anew, and none of its code is used.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor, nn

from memlib.chip.network import design_ranges, map_network
from memlib.chip.recalibration import recalibrate
from memlib.evidence.answers import pack
from memlib.evidence.claims import Claim, above, exactly, within
from memlib.evidence.comparisons import Chips, Labelled, tidy
from memlib.evidence.intervals import crossed_interval, difference_interval
from memlib.layers.classification import correct
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import hardware_of, point_fields
from memlib.studies import effects
from memlib.studies.drawing import Drawing, errorbars, severity_colors
from memlib.studies.effects import EFFECTS, add_note, chance_line, make_point, seeds_of
from memlib.studies.trained_networks import label
from memlib.sweeps.points import Point, named
from memlib.tiles.input_record import Record, record_inputs
from memlib.zoo import seizures

__all__ = ["Chips", "seeds_of", "tidy"]

#: Rows and columns of the exemplar's tiles.
TILES = ((128, 128), (256, 64))
#: ADC bits at which claims compare tiles without device-to-device variation, and which tiles with it.
CLAIM_BITS, NOISY = 4, ("square", "tall")
#: What recalibrates the detector's chips; the first is nothing.
CASE_METHODS = ("none", "gain", "batch_norm")
CASE_CALIBRATION = 256


@named("memtorch")
def evaluate(point: Point, seed: int) -> dict[str, Any]:
    """Accuracy of one chip, and which images, or windows of EEG, it gets right.

    Args:
        point: as `effects.make_point` or `case_point` makes it.
        seed: device seed.

    Raises:
        ValueError: if checkpoint, detector or images are not those of the point.
    """
    return _evaluate_case(point, seed) if "detector" in point else effects.evaluate(point, seed)


# Exemplar sweeps


def exemplar_points(
    checkpoints: Sequence[str],
    device: str,
    images: int,
    adc_bits: Sequence[int],
    severities: dict[str, Sequence[float]],
) -> Labelled:
    """ADC bits over severities of one effect at a time, on both tiles; severity 0 is the common baseline."""
    found = []
    for checkpoint, tile, effect in itertools.product(checkpoints, TILES, severities):
        for severity, bits in itertools.product((0, *severities[effect]), adc_bits):
            labels = {"checkpoint": checkpoint, "tile": f"{tile[0]}x{tile[1]}", "effect": effect, "severity": severity}
            point = make_point(checkpoint, images, effect, severity, device=device, **_tile(tile, bits))
            found.append((labels | {"adc_bits": bits}, point))
    return found


def _tile(shape: tuple[int, int], bits: int) -> dict[str, Any]:
    return {"rows": shape[0], "cols": shape[1], "adc_bits": bits}


def plot_exemplar(frame: pd.DataFrame, device: str, origin: str) -> Figure:
    """A row per tile, a column per effect: accuracy over ADC bits, a line per severity."""
    names, tiles = list(frame["effect"].unique()), list(frame["tile"].unique())
    size = (2.3 * len(names) + 0.6, 2.1 * len(tiles) + 1.1)
    figure, axes = plt.subplots(len(tiles), len(names), figsize=size, sharex=True, sharey=True, squeeze=False)
    for (row, tile), (column, effect) in itertools.product(enumerate(tiles), enumerate(names)):
        axis = axes[row, column]
        _bit_lines(axis, frame[(frame["effect"] == effect) & (frame["tile"] == tile)])
        chance_line(axis)
        if column == 0:
            axis.set_ylabel(f"tiles of {tile}\naccuracy (%)")
        if row == 0:
            axis.set_title(EFFECTS[effect].title)
        if row == len(tiles) - 1:
            axis.set(xlabel="ADC bits", xticks=sorted(frame["adc_bits"].unique()))
            place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.25), "ncols": 3}
            axis.legend(title=EFFECTS[effect].unit, frameon=False, columnspacing=0.8, handletextpad=0.3, **place)
    axes[0, 0].set_ylim(0, 102)
    network = label(frame["checkpoint"].iloc[0])
    note = f"bars: 95 % intervals; dotted: chance\n{network}, {device}, 8-bit DACs, dense layout, no wires"
    add_note(figure, frame, origin, note)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


def _bit_lines(axis: Any, part: pd.DataFrame) -> None:
    levels = part["severity"].unique()
    for i, (severity, color) in enumerate(zip(levels, severity_colors(len(levels) + 1), strict=False)):
        line = part[part["severity"] == severity].sort_values("adc_bits")
        look = {"color": color, "marker": "osD^v"[i % 5], "label": f"{severity:g}" if severity else "off"}
        dodge = 0.1 * (i - (len(levels) - 1) / 2)
        errorbars(axis, line["adc_bits"] + dodge, line, **look)


def claim_points(checkpoint: str, device: str, images: int, severity: float) -> dict[str, Point]:
    """The points that claims compare, by name."""
    shapes = {"square": TILES[0], "tall": TILES[1], "large": (TILES[1][0], TILES[1][0])}
    plain = {name: {"severity": 0, **_tile(shape, CLAIM_BITS)} for name, shape in shapes.items()}
    noisy = {f"{name}, d2d": {"severity": severity, **_tile(shapes[name], 8)} for name in NOISY}
    return {
        name: make_point(checkpoint, images, "d2d", device=device, **choices)
        for name, choices in (plain | noisy).items()
    }


def claims(checkpoint: str, chips: Chips, points: dict[str, Point], severity: float) -> list[Claim]:
    """What is claimed of the two tiles, on the same images and device seeds."""
    hits = {name: chips.hits(point) for name, point in points.items()}
    (rows, cols), (tall, narrow) = TILES
    square, other, large = f"{rows}x{cols}", f"{tall}x{narrow}", f"{tall}x{tall}"
    differing = int((hits["tall"] != hits["large"]).sum())
    name = label(checkpoint)
    return [
        exactly(
            f"{name}: tiles of {other} and {large} give the same answers (images that change, {CLAIM_BITS} bits)",
            differing,
            differing == 0,
            "images",
        ),
        above(
            f"{name}: with {CLAIM_BITS}-bit ADCs, {square} tiles are over 1 point more accurate than {other} ones",
            difference_interval(hits["square"], hits["tall"]),
            0.01,
        ),
        within(
            f"{name}: with 8-bit ADCs and {severity:g} device-to-device, tiles of {square} and {other} differ by less "
            "than 1 point",
            difference_interval(hits["square, d2d"], hits["tall, d2d"]),
            0.01,
        ),
    ]


# The seizure case


def case_point(windows: int, effect: str = "program_error", severity: float = 0, recalibration: str = "none") -> Point:
    """The detector on chips with one effect of the device."""
    hardware = effects.BASE | (dict.fromkeys(EFFECTS[effect].names, severity) if severity else {})
    fields = point_fields(Hardware.of(**hardware)) | {"device_label": hardware["device"]}
    fields |= {"recalibration": recalibration} if recalibration != "none" else {}
    return {"detector": seizures.manifest()["sha256"], "images": windows, **fields}


def case_points(windows: int, severities: dict[str, Sequence[float]]) -> Labelled:
    """Each effect over its severities, with every recalibration; severity 0 is the common baseline."""
    found = []
    for effect, method in itertools.product(severities, CASE_METHODS):
        for severity in (0, *severities[effect]):
            labels = {"effect": effect, "severity": severity, "recalibration": method}
            found.append((labels, case_point(windows, effect, severity, method)))
    return found


def _evaluate_case(point: Point, seed: int) -> dict[str, Any]:
    fields = dict(point)
    detector, windows = fields.pop("detector"), fields.pop("images")
    method = fields.pop("recalibration", "none")
    hardware = hardware_of(fields)
    model, calibration, record, ranges = _prepared_case(detector, hardware.design())
    x, labels = _test_windows(windows)
    chip = map_network(model, hardware, record, seed, ranges=ranges)
    recalibrate(chip, model, calibration, method)
    hits = correct(chip, x, labels)
    return {"accuracy": hits.double().mean().item(), "correct": pack(hits.numpy())}


@lru_cache(maxsize=4)
def _prepared_case(detector: str, design: Hardware) -> tuple[nn.Module, Tensor, Record, dict[str, float]]:
    """What all chips share: the network, windows that calibrate, what they say, and ADC ranges."""
    model = seizures.load(detector)
    calibration, _ = seizures.windows(CASE_CALIBRATION, seizures.CALIBRATION_SEED)
    record = record_inputs(model, calibration)
    return model, calibration, record, design_ranges(model, design, record)


@lru_cache(maxsize=2)
def _test_windows(n: int) -> tuple[Tensor, Tensor]:
    return seizures.windows(n, seizures.TEST_SEED)


def case_tidy(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """Two rows per labelled point, sensitivity and false positive rate: mean over chips with its 95 % interval."""
    chips, rows = Chips(results), []
    for labels, point in labelled:
        for measure, values in _rates(chips, point).items():
            rows.append({**labels, "measure": measure, **crossed_interval(values).columns("rate")})
    return pd.DataFrame(rows)


def _rates(chips: Chips, point: Point) -> dict[str, np.ndarray]:
    """(seeds, windows) of those with a seizure, found or not; of the others, false alarms."""
    hits = chips.hits(point)
    found, false = seizures.rates(hits, _test_windows(hits.shape[1])[1].numpy())
    return {"sensitivity": found, "false positive rate": false}


LOOKS = {
    method: {"color": color, "marker": marker, "label": effects.RECALIBRATIONS[method]}
    for method, color, marker in zip(CASE_METHODS, sns.color_palette("colorblind"), "osD", strict=False)
}


def plot_case(frame: pd.DataFrame) -> Figure:
    """Sensitivity above, false positive rate below, a column per effect: over severities, a line per recalibration."""
    names, measures = list(frame["effect"].unique()), list(frame["measure"].unique())
    size = (2.4 * len(names) + 0.6, 2.1 * len(measures) + 0.9)
    figure, axes = plt.subplots(len(measures), len(names), figsize=size, sharex="col", sharey="row", squeeze=False)
    for (row, measure), (column, effect) in itertools.product(enumerate(measures), enumerate(names)):
        axis, part = axes[row, column], frame[(frame["effect"] == effect) & (frame["measure"] == measure)]
        levels = list(part["severity"].unique())
        for i, (method, look) in enumerate(LOOKS.items()):
            line = part[part["recalibration"] == method]
            errorbars(axis, np.arange(len(line)) + 0.08 * (i - 1), line, "rate", **look)
        axis.set_xticks(range(len(levels)), [f"{level:g}" if level else "off" for level in levels])
        if column == 0:
            axis.set_ylabel(f"{measure} (%)")
        if row == len(measures) - 1:
            axis.set_xlabel(f"{EFFECTS[effect].title}:\n{EFFECTS[effect].unit}")
    axes[0, 0].legend(frameon=False, loc="lower left")
    axes[0, 0].set_ylim(0, 102)
    n, windows = frame["n"].max(), 2 * frame["images"].max()
    note = f"made-up EEG, {windows} test windows of 4 s, half with a seizure, {n} chips where anything is random"
    figure.text(0.01, 0.006, f"{note}; bars: 95 % intervals", fontsize="small", color="0.3")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    return figure


def case_claim_points(windows: int, gentle: float, harsh: float) -> dict[str, Point]:
    """The points that claims compare, by name."""
    found = {"ideal": case_point(windows), "gentle": case_point(windows, severity=gentle)}
    return found | {method: case_point(windows, severity=harsh, recalibration=method) for method in CASE_METHODS}


def case_claims(chips: Chips, points: dict[str, Point], gentle: float, harsh: float) -> list[Claim]:
    """What is claimed of the detector, on the same windows and device seeds."""
    found, false = ({name: _rates(chips, p)[measure] for name, p in points.items()} for measure in (
        "sensitivity", "false positive rate"
    ))  # fmt: skip
    what = "the detector of made-up seizures, programming error"
    return [
        within(
            f"{what} {gentle:g}: sensitivity changes by less than 2 points",
            difference_interval(found["ideal"], found["gentle"]),
            0.02,
        ),
        above(
            f"{what} {harsh:g}: false alarms are over 5 points more frequent",
            difference_interval(false["none"], false["ideal"]),
            0.05,
        ),
        above(
            f"{what} {harsh:g}: rescaling columns lowers the false positive rate",
            difference_interval(false["none"], false["gain"]),
        ),
        above(
            f"{what} {harsh:g}: rescaling columns lowers sensitivity too",
            difference_interval(found["none"], found["gain"]),
        ),
        above(
            f"{what} {harsh:g}: recalibrating batch norm lowers the false positive rate",
            difference_interval(false["none"], false["batch_norm"]),
        ),
    ]


def sweeps(
    checkpoints: Sequence[str],
    device: str,
    images: int,
    device_seeds: int,
    adc_bits: Sequence[int],
    d2d: Sequence[float],
    states: Sequence[int],
    stuck_on: Sequence[float],
    stuck_off: Sequence[float],
    claim_d2d: float,
    claim_images: int,
    claim_seeds: int,
    case_windows: int,
    case_seeds: int,
    case_program_error: Sequence[float],
    case_d2d: Sequence[float],
    case_states: Sequence[int],
    case_stuck_on: Sequence[float],
    case_gentle: float,
    case_harsh: float,
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the exemplar, of the seizure case, and of both's claims, from the notebook's parameters."""
    severities = {"d2d": d2d, "states": states, "stuck_on": stuck_on, "stuck_off": stuck_off}
    exemplar = [point for _, point in exemplar_points(checkpoints, device, images, adc_bits, severities)]
    case = {"program_error": case_program_error, "d2d": case_d2d, "states": case_states, "stuck_on": case_stuck_on}
    cases = [point for _, point in case_points(case_windows, case)]
    claimed = list(claim_points(checkpoints[0], device, claim_images, claim_d2d).values())
    case_claimed = list(case_claim_points(case_windows, case_gentle, case_harsh).values())
    return [
        (exemplar, seeds_of(device_seeds)),
        (cases + case_claimed, seeds_of(case_seeds)),
        (claimed, seeds_of(claim_seeds)),
    ]


FIGURES = {
    "13_memtorch": Drawing(plot_exemplar, ("13_memtorch",), ("device", "origin")),
    "13_memtorch_case": Drawing(plot_case, ("13_memtorch_case",)),
}

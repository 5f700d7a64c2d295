"""The case study 05_tile_size: CIFAR-10 accuracy over ADC bits, severity of a non-ideality, and tile rows."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.cells.device import Device
from memlib.evidence.claims import Claim, above, within
from memlib.evidence.intervals import crossed_interval, difference_interval
from memlib.evidence.tolerances import tolerance
from memlib.mapping.footprints import footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import complete, point_fields
from memlib.mapping.tile import Tile
from memlib.studies import trained_networks
from memlib.studies.drawing import Drawing, errorbars, severity_colors
from memlib.studies.effects import chance_line, evaluate, seeds_of
from memlib.studies.trained_networks import INPUT_SHAPE, hits_of, label, shared_fields
from memlib.sweeps.points import Point
from memlib.zoo.checkpoints import load_checkpoint

__all__ = ["evaluate"]

#: The panels: the device fields that a severity sets, and the title of its legend. Severity 0 switches an effect off.
EFFECTS: dict[str, tuple[tuple[str, ...], str]] = {
    "d2d": (("d2d_on", "d2d_off"), "device-to-device\nvariation (relative $\\sigma$)"),
    "states": (("states",), "finite conductance\nstates"),
    "stuck_on": (("stuck_on",), "cells stuck at LRS\n(fraction)"),
    "stuck_off": (("stuck_off",), "cells stuck at HRS\n(fraction)"),
}
DAC_BITS = 8


def make_point(
    checkpoint: str,
    images: int,
    device: str,
    rows: int,
    adc_bits: int,
    effect: str = "d2d",
    severity: float = 0,
    **tile: Any,
) -> Point:
    """One point; an effect that is off leaves no trace, so that all panels share their baseline.

    Raises:
        ValueError: if no such hardware can be.
    """
    severities = dict.fromkeys(EFFECTS[effect][0], severity) if severity else {}
    choices = {"rows": rows, "cols": rows, "dac_bits": DAC_BITS, "adc_bits": adc_bits, **tile, **severities}
    fields = point_fields(Hardware.of(device, **choices))
    return {**shared_fields(checkpoint, images), **fields, "device_label": device}


def inputs(checkpoints: Sequence[str]) -> dict[str, Any]:
    """What is fixed beside the parameters, for the provenance file."""
    return trained_networks.inputs(checkpoints) | {"dac_bits": DAC_BITS}


def points(
    checkpoints: Sequence[str],
    images: int,
    device: str,
    tile_rows: Sequence[int],
    adc_bits: Sequence[int],
    severities: dict[str, Sequence[float]],
) -> list[Point]:
    """The points of the figure; severity 0 is one baseline for all effects."""
    return [
        make_point(checkpoint, images, device, rows, bits, effect, severity)
        for checkpoint in checkpoints
        for effect, levels in severities.items()
        for severity in levels
        for rows in tile_rows
        for bits in adc_bits
    ]


def sweeps(
    checkpoints: Sequence[str],
    device: str,
    images: int,
    device_seeds: int,
    tile_rows: Sequence[int],
    adc_bits: Sequence[int],
    claim_images: int,
    claim_seeds: int,
    **severities: Sequence[float],
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the figure, and of the claims, from the notebook's parameters."""
    figure = points(checkpoints, images, device, tile_rows, adc_bits, severities), seeds_of(device_seeds)
    return [figure, (claim_points(checkpoints, claim_images, device), seeds_of(claim_seeds))]


def tidy(results: pd.DataFrame, severities: dict[str, Sequence[float]]) -> pd.DataFrame:
    """A row per point of the figure with mean and 95 % interval, the baseline repeated in every panel."""
    rows = []
    for effect, levels in severities.items():
        for severity in levels:
            names = ["checkpoint", "rows", "adc_bits"]
            for key, group in _select(results, effect, severity).groupby(names, sort=False):
                i = crossed_interval(hits_of(group))
                labels = dict(zip(names, key, strict=True))
                rows.append({**labels, "effect": effect, "severity": severity, **i.columns()})
    return pd.DataFrame(rows)


def tolerances(results: pd.DataFrame, severities: dict[str, Sequence[float]], adc_bits: int) -> pd.DataFrame:
    """For each network, tile and graded effect, the largest severity that costs at most 1 point, with its interval.

    Args:
        results: of the figure's points.
        severities: those of `states` count the other way round and are left out; so are those without a baseline 0.
    """
    rows, columns = [], ["checkpoint", "rows", "adc_bits", "effect", "tolerance", "low", "high", "n", "images"]
    for effect, levels in severities.items():
        if effect == "states" or len(levels) < 2 or levels[0] != 0:
            continue
        chosen = {level: _select(results, effect, level) for level in levels}
        chosen = {level: part[part["adc_bits"] == adc_bits] for level, part in chosen.items()}
        for (checkpoint, height), _ in chosen[levels[0]].groupby(["checkpoint", "rows"], sort=False):
            here = [part[(part["checkpoint"] == checkpoint) & (part["rows"] == height)] for part in chosen.values()]
            t = tolerance(levels, [hits_of(part) for part in here])
            labels = {"checkpoint": checkpoint, "rows": height, "adc_bits": adc_bits, "effect": effect}
            rows.append({**labels, "tolerance": t.severity, "low": t.low, "high": t.high, "n": t.n, "images": t.images})
    return pd.DataFrame(rows, columns=columns)


def _select(results: pd.DataFrame, effect: str, severity: float) -> pd.DataFrame:
    """The results with just this effect at this severity, once each, with all fields that studies ask for."""
    names = [field for (field, *_), _ in EFFECTS.values()]
    results = complete(results, "rows", "adc_bits", "adc_range", *names)
    device = Device.preset(results["device_label"].iloc[0])
    chosen = np.ones(len(results), bool)
    for other, ((field, *_), _) in EFFECTS.items():
        value = severity if other == effect and severity else getattr(device, field)
        chosen &= results[field].isna() if value is None else results[field] == value
    return results[chosen]


def plot(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per non-ideality, a column per network and tile rows: accuracy over ADC bits, a line per severity."""
    checkpoints, tile_rows = frame["checkpoint"].unique(), sorted(frame["rows"].unique())
    columns = [(c, r) for c in checkpoints for r in tile_rows]
    size = (1.55 * len(columns) + 2.2, 1.9 * len(EFFECTS) + 0.9)
    figure, axes = plt.subplots(len(EFFECTS), len(columns), figsize=size, sharex=True, sharey=True, squeeze=False)
    for (effect, (_, title)), row in zip(EFFECTS.items(), axes, strict=True):
        for (checkpoint, rows), axis in zip(columns, row, strict=True):
            chosen = (frame["effect"] == effect) & (frame["checkpoint"] == checkpoint) & (frame["rows"] == rows)
            _lines(axis, frame[chosen])
            chance_line(axis)
        row[0].set_ylabel("accuracy (%)")
        row[-1].legend(title=title, loc="center left", bbox_to_anchor=(1.03, 0.5), frameon=False, alignment="left")
    for (checkpoint, rows), top, bottom in zip(columns, axes[0], axes[-1], strict=True):
        top.set_title(f"{label(checkpoint)}\n{rows} rows")
        bottom.set_xlabel("ADC bits")
        bottom.set_xticks(sorted(frame["adc_bits"].unique()))
    axes[0, 0].set_ylim(0, 102)
    chips, images = sorted(set(frame["n"])), frame["images"].max()
    note = f"{origin}: {images} test images; {chips[-1]} chips where anything is random"
    note += "; bars: 95 % intervals; dotted: chance"
    figure.text(0.01, 0.005, note, fontsize="small", color="0.3")
    figure.tight_layout(w_pad=0.4, h_pad=0.6, rect=(0, 0.015, 1, 1))
    return figure


def _lines(axis: Any, part: pd.DataFrame) -> None:
    levels = part["severity"].unique()
    markers = "osD^v"
    for i, (severity, color) in enumerate(zip(levels, severity_colors(len(levels)), strict=True)):
        line = part[part["severity"] == severity].sort_values("adc_bits")
        dodge = 0.1 * (i - (len(levels) - 1) / 2)  # so that intervals do not hide each other
        look = {"color": color, "marker": markers[i % 5], "markersize": 3}
        errorbars(axis, line["adc_bits"] + dodge, line, label=f"{severity:g}" if severity else "off", **look)


def footprint_table(checkpoints: Sequence[str], shapes: Sequence[Sequence[int]]) -> pd.DataFrame:
    """Tiles, cells, utilisation and conversions per inference of each network on each tile shape."""
    rows = []
    for checkpoint in checkpoints:
        model = load_checkpoint(checkpoint)
        for height, width in shapes:
            table = footprint(model, INPUT_SHAPE, Hardware(tile=Tile(rows=height, cols=width)))
            total = table[["tiles", "cells_used", "cells_allocated", "conversions"]].sum()
            utilisation = total["cells_used"] / total["cells_allocated"]
            rows.append({"checkpoint": checkpoint, "tile": f"{height}x{width}", **total, "utilisation": utilisation})
    return pd.DataFrame(rows)


#: The points that claims compare, by name: rows, ADC bits, effect, severity; "full" ones with that ADC range.
CLAIM_POINTS: dict[str, tuple[int, int, str, float]] = {
    "d2d, 32 rows, 4 bits": (32, 4, "d2d", 0.2),
    "d2d, 256 rows, 4 bits": (256, 4, "d2d", 0.2),
    "d2d, 32 rows, 8 bits": (32, 8, "d2d", 0.2),
    "d2d, 256 rows, 8 bits": (256, 8, "d2d", 0.2),
    "d2d, 256 rows, 10 bits": (256, 10, "d2d", 0.2),
    "full, 32 rows, 8 bits": (32, 8, "d2d", 0.2),
    "full, 256 rows, 8 bits": (256, 8, "d2d", 0.2),
    "stuck at LRS": (128, 8, "stuck_on", 0.01),
    "stuck at HRS": (128, 8, "stuck_off", 0.01),
    "no device effect": (256, 8, "d2d", 0),
}


def claim_points(checkpoints: Sequence[str], images: int, device: str) -> list[Point]:
    """The points that claims are decided on."""
    full: dict[str, Any] = {"adc_range": "full"}
    return [
        make_point(checkpoint, images, device, *point, **(full if name.startswith("full") else {}))
        for checkpoint in checkpoints
        for name, point in CLAIM_POINTS.items()
    ]


D2D = "(20 % device-to-device)"
#: What is claimed of each network: how the accuracies of two points differ, first minus second.
NETWORK_CLAIMS = (
    (
        above,
        f"with a 4-bit ADC, tiles of 32 rows are over 1 point more accurate than tiles of 256 rows {D2D}",
        ("d2d, 32 rows, 4 bits", "d2d, 256 rows, 4 bits"),
        0.01,
    ),
    (
        within,
        f"with an 8-bit ADC, tiles of 32 and 256 rows differ by less than 1 point {D2D}",
        ("d2d, 32 rows, 8 bits", "d2d, 256 rows, 8 bits"),
        0.01,
    ),
    (
        within,
        f"at 256 rows, 8 and 10 ADC bits differ by less than 1 point {D2D}",
        ("d2d, 256 rows, 10 bits", "d2d, 256 rows, 8 bits"),
        0.01,
    ),
    (
        above,
        "with an 8-bit ADC of full range, tiles of 32 rows are over 1 point more accurate than tiles of 256 rows "
        f"{D2D}",
        ("full, 32 rows, 8 bits", "full, 256 rows, 8 bits"),
        0.01,
    ),
    (
        above,
        "with an 8-bit ADC, a calibrated range is over 1 point more accurate than the full range "
        "(32 rows, 20 % device-to-device)",
        ("d2d, 32 rows, 8 bits", "full, 32 rows, 8 bits"),
        0.01,
    ),
    (
        above,
        "1 % of cells stuck at LRS costs more than 1 % stuck at HRS (128 rows, 8 bits)",
        ("stuck at HRS", "stuck at LRS"),
        0.0,
    ),
)


def claims(results: pd.DataFrame, checkpoints: Sequence[str]) -> list[Claim]:
    """What the study claims, decided on `claim_points` with shared device seeds and images."""
    found = []
    for checkpoint in checkpoints:
        for judge, statement, (a, b), threshold in NETWORK_CLAIMS:
            difference = difference_interval(*(_claim_hits(results, checkpoint, name) for name in (a, b)))
            found.append(judge(f"{label(checkpoint)}: {statement}", difference, threshold))
    for a, b in itertools.pairwise(checkpoints):
        losses = [
            _claim_hits(results, c, "no device effect") - _claim_hits(results, c, "d2d, 256 rows, 8 bits")
            for c in (a, b)
        ]
        statement = f"{label(a)} loses more accuracy than {label(b)} to 20 % device-to-device variation"
        interval = crossed_interval((losses[0] - losses[1]) / 2, low=-1, extra=1).scaled(2)
        found.append(above(f"{statement} (256 rows, 8 bits)", interval))
    return found


def _claim_hits(results: pd.DataFrame, checkpoint: str, name: str) -> np.ndarray:
    """(seeds, images) 1.0 or 0.0 of one of `CLAIM_POINTS`."""
    rows, bits, effect, severity = CLAIM_POINTS[name]
    chosen = _select(results[results["checkpoint"] == checkpoint], effect, severity)
    chosen = chosen[(chosen["adc_range"] == "full") == name.startswith("full")]
    return hits_of(chosen[(chosen["rows"] == rows) & (chosen["adc_bits"] == bits)]).astype(float)


FIGURES = {"05_tile_size": Drawing(plot, ("05_tile_size",), ("origin",))}

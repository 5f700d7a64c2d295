"""The case study 05_tile_size: CIFAR-10 accuracy over ADC bits, severity of a non-ideality, and tile rows."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.cells.device import Device
from memlib.evidence.claims import Claim, Statement, above, within
from memlib.evidence.intervals import crossed_interval, difference_interval
from memlib.evidence.tolerances import tolerance
from memlib.mapping.footprints import footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import complete, point_fields
from memlib.mapping.tile import Tile
from memlib.studies.drawing import Drawing, errorbars, severity_colors
from memlib.studies.effects import chance_line, evaluate, seeds_of
from memlib.studies.run import Run
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.studies.trained_networks import INPUT_SHAPE, hits_of, inputs, label, network_of, shared_fields
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
    checkpoint: str, images: int, device: str, rows: int, adc_bits: int, effect: str = "d2d", severity: float = 0,
    **tile: Any,
) -> Point:  # fmt: skip
    """One point; an effect that is off leaves no trace, so all panels share their baseline.

    Raises:
        ValueError: if no such hardware can be.
    """
    severities = dict.fromkeys(EFFECTS[effect][0], severity) if severity else {}
    choices = {"rows": rows, "cols": rows, "dac_bits": DAC_BITS, "adc_bits": adc_bits, **tile, **severities}
    fields = point_fields(Hardware.of(device, **choices))
    return {**shared_fields(checkpoint, images), **fields, "device_label": device}


def points(p: SimpleNamespace) -> list[Point]:
    """The points of the figure; severity 0 is one baseline for all effects."""
    return [
        make_point(checkpoint, p.images, p.device, rows, bits, effect, severity)
        for checkpoint in p.checkpoints
        for effect in EFFECTS
        for severity in getattr(p, effect)
        for rows in p.tile_rows
        for bits in p.adc_bits
    ]


def accuracies(run: Run) -> pd.DataFrame:
    """A row per point of the figure with mean and 95 % interval, the baseline repeated in every panel."""
    rows, names, results = [], ["checkpoint", "rows", "adc_bits"], run.sweep("figure")
    for effect in EFFECTS:
        for severity in getattr(run.p, effect):
            for key, group in _select(results, effect, severity).groupby(names, sort=False):
                labels = dict(zip(names, key, strict=True)) | {"effect": effect, "severity": severity}
                rows.append(labels | crossed_interval(hits_of(group)).columns())
    return pd.DataFrame(rows)


def tolerances(run: Run) -> pd.DataFrame:
    """For each network, tile and graded effect, the largest severity that costs at most 1 point, with its interval.

    Severities of `states` count the other way round and are left out, and so are those without a baseline 0.
    """
    rows, columns = [], ["checkpoint", "rows", "adc_bits", "effect", "tolerance", "low", "high", "n", "images"]
    results, adc_bits = run.sweep("figure"), max(run.p.adc_bits)
    for effect in EFFECTS:
        levels = getattr(run.p, effect)
        if effect == "states" or len(levels) < 2 or levels[0] != 0:
            continue
        by_level = [_select(results, effect, level) for level in levels]
        by_level = [chips[chips["adc_bits"] == adc_bits] for chips in by_level]
        for (checkpoint, height), _ in by_level[0].groupby(["checkpoint", "rows"], sort=False):
            here = [chips[(chips["checkpoint"] == checkpoint) & (chips["rows"] == height)] for chips in by_level]
            t = tolerance(levels, [hits_of(chips) for chips in here])
            labels = {"checkpoint": checkpoint, "rows": height, "adc_bits": adc_bits, "effect": effect}
            rows.append({**labels, "tolerance": t.severity, "low": t.low, "high": t.high, "n": t.n, "images": t.images})
    return pd.DataFrame(rows, columns=columns)


def _select(results: pd.DataFrame, effect: str, severity: float) -> pd.DataFrame:
    """The results with just this effect at this severity, once each, with all fields that studies ask for."""
    names = [field for (field, *_), _ in EFFECTS.values()]
    results = complete(results, "rows", "adc_bits", "adc_range", *names)
    device = Device.preset(results["device_label"].iloc[0])
    alone = np.ones(len(results), bool)
    for other, ((field, *_), _) in EFFECTS.items():
        value = severity if other == effect and severity else getattr(device, field)
        alone &= results[field].isna() if value is None else results[field] == value
    return results[alone]


def plot(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per non-ideality, a column per network and tile rows: accuracy over ADC bits, a line per severity."""
    checkpoints, tile_rows = frame["checkpoint"].unique(), sorted(frame["rows"].unique())
    columns = [(c, r) for c in checkpoints for r in tile_rows]
    size = (1.55 * len(columns) + 2.2, 1.9 * len(EFFECTS) + 0.9)
    figure, axes = plt.subplots(len(EFFECTS), len(columns), figsize=size, sharex=True, sharey=True, squeeze=False)
    for (effect, (_, title)), row in zip(EFFECTS.items(), axes, strict=True):
        for (checkpoint, rows), axis in zip(columns, row, strict=True):
            here = (frame["effect"] == effect) & (frame["checkpoint"] == checkpoint) & (frame["rows"] == rows)
            _lines(axis, frame[here])
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


def _lines(axis: Any, group: pd.DataFrame) -> None:
    levels = group["severity"].unique()
    markers = "osD^v"
    for i, (severity, color) in enumerate(zip(levels, severity_colors(len(levels)), strict=True)):
        line = group[group["severity"] == severity].sort_values("adc_bits")
        dodge = 0.1 * (i - (len(levels) - 1) / 2)  # so that intervals do not hide each other
        look = {"color": color, "marker": markers[i % 5], "markersize": 3}
        errorbars(axis, line["adc_bits"] + dodge, line, label=f"{severity:g}" if severity else "off", **look)


def footprint_table(run: Run) -> pd.DataFrame:
    """Tiles, cells, utilisation and conversions per inference of each network on square tiles and those of MemTorch."""
    rows = []
    for checkpoint in run.p.checkpoints:
        model = load_checkpoint(checkpoint)
        for height, width in [*zip(run.p.tile_rows, run.p.tile_rows, strict=True), (256, 64)]:
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


def claim_points(p: SimpleNamespace) -> list[Point]:
    """The points that claims are decided on."""
    full: dict[str, Any] = {"adc_range": "full"}
    return [
        make_point(checkpoint, p.claim_images, p.device, *point, **(full if name.startswith("full") else {}))
        for checkpoint in p.checkpoints
        for name, point in CLAIM_POINTS.items()
    ]


@dataclass(frozen=True)
class NetworkClaim:
    """A claim about each network: how the accuracies of two points differ, first minus second."""

    id: str
    text: str
    judge: Callable[..., Claim]
    points: tuple[str, str]  #: names in CLAIM_POINTS
    threshold: float
    subject: str = "tile size"
    in_readme: bool = False  #: of the first network

    def statement(self, checkpoint: str, first: bool) -> Statement:
        """About one network."""
        shown = "05_tile_size" if first and self.in_readme else ""
        return Statement(
            f"{self.id}/{network_of(checkpoint)}", f"{label(checkpoint)}: {self.text}", self.subject, shown
        )


D2D = "(20 % device-to-device)"
NETWORK_CLAIMS = (
    NetworkClaim(
        "rows_at_4_bits",
        f"with a 4-bit ADC, tiles of 32 rows are over 1 point more accurate than tiles of 256 rows {D2D}",
        above, ("d2d, 32 rows, 4 bits", "d2d, 256 rows, 4 bits"), 0.01, in_readme=True,
    ),
    NetworkClaim(
        "rows_at_8_bits", f"with an 8-bit ADC, tiles of 32 and 256 rows differ by less than 1 point {D2D}",
        within, ("d2d, 32 rows, 8 bits", "d2d, 256 rows, 8 bits"), 0.01, in_readme=True,
    ),
    NetworkClaim(
        "bits_at_256_rows", f"at 256 rows, 8 and 10 ADC bits differ by less than 1 point {D2D}",
        within, ("d2d, 256 rows, 10 bits", "d2d, 256 rows, 8 bits"), 0.01, "ADC range",
    ),
    NetworkClaim(
        "rows_at_full_range",
        "with an 8-bit ADC of full range, tiles of 32 rows are over 1 point more accurate than tiles of 256 rows "
        f"{D2D}",
        above, ("full, 32 rows, 8 bits", "full, 256 rows, 8 bits"), 0.01, "ADC range",
    ),
    NetworkClaim(
        "calibrated_range", "with an 8-bit ADC, a calibrated range is over 1 point more accurate than the full range "
        "(32 rows, 20 % device-to-device)",
        above, ("d2d, 32 rows, 8 bits", "full, 32 rows, 8 bits"), 0.01, "ADC range", in_readme=True,
    ),
    NetworkClaim(
        "stuck_at_lrs", "1 % of cells stuck at LRS costs more than 1 % stuck at HRS (128 rows, 8 bits)",
        above, ("stuck at HRS", "stuck at LRS"), 0.0, "faults", in_readme=True,
    ),
)  # fmt: skip


def claims(run: Run) -> list[Claim]:
    """All claims, decided on `claim_points` with shared device seeds and images."""
    results, checkpoints, decided = run.sweep("claims"), run.p.checkpoints, []
    for checkpoint in checkpoints:
        for claim in NETWORK_CLAIMS:
            difference = difference_interval(*(_claim_hits(results, checkpoint, name) for name in claim.points))
            statement = claim.statement(checkpoint, checkpoint == checkpoints[0])
            decided.append(claim.judge(statement, difference, claim.threshold))
    for a, b in itertools.pairwise(checkpoints):
        losses = [
            _claim_hits(results, c, "no device effect") - _claim_hits(results, c, "d2d, 256 rows, 8 bits")
            for c in (a, b)
        ]
        text = f"{label(a)} loses more accuracy than {label(b)} to 20 % device-to-device variation (256 rows, 8 bits)"
        interval = crossed_interval((losses[0] - losses[1]) / 2, low=-1, extra=1).scaled(2)
        decided.append(above(Statement(f"networks/{network_of(a)}/{network_of(b)}", text, "architecture"), interval))
    return decided


def _claim_hits(results: pd.DataFrame, checkpoint: str, name: str) -> np.ndarray:
    """(seeds, images) 1.0 or 0.0 of one of `CLAIM_POINTS`."""
    rows, bits, effect, severity = CLAIM_POINTS[name]
    chips = _select(results[results["checkpoint"] == checkpoint], effect, severity)
    chips = chips[(chips["adc_range"] == "full") == name.startswith("full")]
    return hits_of(chips[(chips["rows"] == rows) & (chips["adc_bits"] == bits)]).astype(float)


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    return {
        "figure": Sweep(points(p), seeds_of(p.device_seeds)),
        "claims": Sweep(claim_points(p), seeds_of(p.claim_seeds)),
    }


STUDY = Study(
    name="05_tile_size",
    parameters={
        "checkpoints": networks("resnet20", "vgg8"),
        "device": same("10k_100k"),
        "images": Values(1000, 100),
        "device_seeds": Values(5, 3),
        "tile_rows": Values([32, 64, 128, 256], [32, 128]),
        "adc_bits": Values([2, 4, 6, 8, 10], [2, 6, 10]),
        "d2d": Values([0.0, 0.1, 0.2, 0.3, 0.4], [0.0, 0.2, 0.4]),
        "states": Values([0, 32, 16, 8, 4], [0, 16, 4]),
        "stuck_on": Values([0.0, 0.0003, 0.001, 0.003, 0.01], [0.0, 0.001, 0.01]),
        "stuck_off": Values([0.0, 0.003, 0.01, 0.03, 0.1], [0.0, 0.01, 0.1]),
        "claim_images": Values(5000, 500),
        "claim_seeds": Values(10, 3),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "05_tile_size": accuracies,
        "05_tile_size_tolerance": tolerances,
        "05_tile_size_footprint": footprint_table,
    },
    drawings={"05_tile_size": Drawing(plot, ("05_tile_size",), ("origin",))},
    claims={"05_tile_size": claims},
    inputs=lambda p: inputs(p.checkpoints) | {"dac_bits": DAC_BITS},
)

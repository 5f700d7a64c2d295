"""The choices that decide accuracy most: indices of its variance over all choices of a design at once."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from memlib.exploration import sensitivity
from memlib.exploration.space import Axis
from memlib.mapping.point_fields import FROZEN, complete
from memlib.studies.run import Run
from memlib.studies.s09_design_space.formula_fits import DEVICE
from memlib.studies.shared.designs import make_point
from memlib.studies.shared.trained_networks import label
from memlib.studies.study import Sweep
from memlib.sweeps.points import Point

#: The choices that vary, and their names in figures.
FACTORS: dict[str, tuple[Axis, str]] = {
    "program_error": (Axis(low=0.003, high=0.06, log=True), "programming error"),
    "stuck_on": (Axis(low=1e-5, high=1e-3, log=True), "cells stuck at LRS"),
    "read_noise": (Axis(low=0.01, high=0.2, log=True), "read noise"),
    "rows": (Axis([32, 64, 128, 256, 512]), "tile rows"),
    "dac_bits": (Axis([3, 4, 5, 6, 7, 8]), "DAC bits"),
    "adc_bits": (Axis([3, 4, 5, 6, 7, 8]), "ADC bits"),
    "chip": (Axis(list(range(10))), "which chip"),
}
CHOICES = {name: factor for name, (factor, _) in FACTORS.items()}


def sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    """The points that the indices need: a sweep for each chip with its own points, as the chip is a factor too."""
    by_chip: dict[int, list[Point]] = {}
    for checkpoint, layout in itertools.product(p.sensitivity_checkpoints, p.sensitivity_layouts):
        for chip, point in _sampled(checkpoint, layout, p):
            by_chip.setdefault(chip, []).append(point)
    return {f"sensitivity, chip {chip}": Sweep(points, [chip]) for chip, points in sorted(by_chip.items())}


def _sampled(checkpoint: str, layout: str, p: SimpleNamespace) -> list[tuple[int, Point]]:
    sampled = []
    for row in sensitivity.design(CHOICES, p.sensitivity_n):
        chip, design = row.pop("chip"), {"checkpoint": checkpoint, "layout": layout, "device": DEVICE}
        sampled.append((chip, make_point(design | row, p.sensitivity_images)))
    return sampled


def sensitivities(run: Run) -> pd.DataFrame:
    """Indices of the accuracy for each network and layout: see `sensitivity.indices`; sd is in fractions."""
    p, results = run.p, pd.concat([run.sweep(name) for name in sweeps(run.p)])
    names = ["checkpoint", "layout", *(name for name in FACTORS if name != "chip"), "seed"]
    results = complete(results, *names[1:-1])
    known = dict(zip(results[names].itertuples(index=False, name=None), results["accuracy"], strict=True))
    tables = []
    for checkpoint, layout in itertools.product(p.sensitivity_checkpoints, p.sensitivity_layouts):
        sampled = _sampled(checkpoint, layout, p)
        values = [known[*((FROZEN | point)[name] for name in names[:-1]), chip] for chip, point in sampled]
        table = sensitivity.indices(CHOICES, values)
        labels = {"checkpoint": checkpoint, "layout": layout, "sd": np.std(values), "images": p.sensitivity_images}
        tables.append(table.assign(**labels))
    return pd.concat(tables, ignore_index=True)


def resolved_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """The pairs of one panel that interact: their interval, made wide enough for all pairs together, is above 0."""
    pairs = table[table["kind"] == "second"]
    width = stats.norm.ppf(1 - 0.025 / max(len(pairs), 1)) / 1.96  # Bonferroni; intervals are 1.96 standard deviations
    return pairs[pairs["index"] - width * (pairs["index"] - pairs["low"]) > 0]


def plot_sensitivity(table: pd.DataFrame) -> Figure:
    """First-order and total indices with intervals, a panel per network and layout, and the pairs that are resolved."""
    panels = list(table[["checkpoint", "layout"]].drop_duplicates().itertuples(index=False, name=None))
    figure, axes = plt.subplots(1, len(panels), figsize=(2.5 * len(panels) + 1.4, 3.9), sharex=True, sharey=True)
    names = list(FACTORS)
    for axis, (checkpoint, layout) in zip(np.atleast_1d(axes), panels, strict=True):
        group = table[(table["checkpoint"] == checkpoint) & (table["layout"] == layout)]
        for kind, shift, color, text in (
            ("first", -0.18, "0.25", "alone"),
            ("total", 0.18, "0.75", "with interactions"),
        ):
            rows = group[group["kind"] == kind].set_index("factor").loc[names]
            bars = [rows["index"] - rows["low"], rows["high"] - rows["index"]]
            place = np.arange(len(names)) + shift
            axis.barh(place, rows["index"], 0.34, xerr=bars, color=color, label=text, error_kw={"linewidth": 0.8})
        pairs = resolved_pairs(group)
        texts = [
            f"{FACTORS[p.factor][1]} × {FACTORS[p.other][1]}: {p.index:.2f}" for p in pairs.itertuples(index=False)
        ]
        axis.set_title(f"{label(checkpoint)}, {layout}\nsd {100 * group['sd'].iloc[0]:.1f} points")
        axis.set_xlabel("\n".join(["share of variance", *(texts or ["no pair resolved"])]))
        axis.axvline(0, color="0.4", linewidth=0.8)
    first = np.atleast_1d(axes)[0]
    first.set_yticks(range(len(names)), [FACTORS[name][1] for name in names])
    first.invert_yaxis()
    figure.legend(*first.get_legend_handles_labels(), loc="lower left", frameon=False, fontsize="small", ncol=2)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure

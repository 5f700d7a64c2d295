"""Requirements on the parts of the circuit: accuracy over each of their properties."""

import itertools
from types import SimpleNamespace
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.evidence.intervals import crossed_interval
from memlib.studies.drawing import errorbars
from memlib.studies.run import Run
from memlib.studies.s11_spice.circuits import METHODS, NOMINAL
from memlib.studies.s11_spice.results import Results, rank, results_of, varied

COLORS = sns.color_palette("colorblind")
#: Title and unit of each axis, and factor to that unit.
EFFECTS = {
    "gain": ("open-loop gain", "", 1),
    "full_scale": ("full scale of the\namplifiers (of the supply)", "", 1),
    "hidden": ("hidden neurons", "", 1),
    "input_bits": ("bits of the inputs", "", 1),
    "offset": ("op-amp offset, sigma", "mV", 1e3),
    "program_error": ("programming error\n(sigma by range)", "", 1),
    "d2d": ("device-to-device\n(relative sigma)", "", 1),
    "r_wire": ("wires", "Ω per segment", 1),
}


#: How each method draws single chips.
CHIP_LOOKS: dict[str, dict[str, Any]] = {
    "model": {"marker": ".", "markersize": 3, "color": COLORS[0], "label": "model, a chip"},
    "circuit": {
        "marker": "o", "markersize": 5, "color": COLORS[1], "markerfacecolor": "none",
        "label": "ngspice, the same chip",
    },
}  # fmt: skip


def design(results: Results, p: SimpleNamespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accuracy over each axis by both methods: means over chips with their intervals, and that of each chip."""
    rows, chips = [], []
    for (effect, value), method in itertools.product(varied(p), METHODS[:2]):
        at = method, p.images, p.device_seeds
        if results.rows(*at, **{effect: value}).empty:
            continue
        hits = results.hits(*at, **{effect: value})
        labels = {"effect": effect, "value": value, "method": method}
        rows.append(labels | crossed_interval(hits).columns())
        for seed, accuracy in enumerate(hits.mean(1)):
            chips.append(labels | {"seed": seed, "accuracy": accuracy, "images": p.images})
    return pd.DataFrame(rows), pd.DataFrame(chips)


def design_of(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The `design` of a run."""
    return design(run.once(results_of), run.p)


def plot_design(summary: pd.DataFrame, chips: pd.DataFrame) -> Figure:
    """A panel per axis: accuracy of the model (line, with intervals, and a dot per chip) and of ngspice (circles)."""
    effects = list(dict.fromkeys(summary["effect"]))
    columns = (len(effects) + 1) // 2
    figure, axes = plt.subplots(2, columns, figsize=(2.15 * columns + 0.6, 4.8), sharey=True, squeeze=False)
    for effect, axis in zip(effects, axes.flat, strict=False):
        _design_panel(axis, summary[summary["effect"] == effect], chips[chips["effect"] == effect])
    for axis in axes.flat[len(effects) :]:
        axis.remove()
    for axis in axes[:, 0]:
        axis.set(ylabel="accuracy (%)", ylim=(0, 102))
    axes[0, 0].legend(frameon=False, loc="lower left", fontsize="small")
    n = summary[summary["method"] == "model"]["n"].max()
    note = f"{summary['images'].max()} test images, {n} chips; bars: 95 % intervals; dotted: nominal value"
    figure.text(0.01, 0.005, note, fontsize="small", color="0.3")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    return figure


def _design_panel(axis: Axes, summary: pd.DataFrame, chips: pd.DataFrame) -> None:
    effect = summary["effect"].iloc[0]
    title, unit, factor = EFFECTS[effect]
    values = sorted(summary["value"].unique(), key=rank(effect))
    line = summary[summary["method"] == "model"]
    errorbars(axis, line["value"].map(values.index), line, color=COLORS[0], label="model, mean")
    for method, style in CHIP_LOOKS.items():
        group = chips[chips["method"] == method]
        axis.plot(group["value"].map(values.index), 100 * group["accuracy"], linestyle="", **style)
    if NOMINAL[effect] in values:
        axis.axvline(values.index(NOMINAL[effect]), color="0.6", linewidth=0.8, linestyle=":")
    names = ["exact" if effect == "input_bits" and not value else f"{value * factor:g}" for value in values]
    axis.set_xticks(range(len(values)), names, rotation=45 if len("".join(names)) > 18 else 0)
    axis.set_xlabel(f"{title} ({unit})" if unit else title)

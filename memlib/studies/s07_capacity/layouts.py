"""The same network in the dense and the sparse layout, with unused cells and without."""

import itertools
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.evidence.claims import Statement
from memlib.evidence.comparisons import Chips, Comparison, Loss
from memlib.layers.geometry import Geometry
from memlib.layers.mappable import matrix_layers
from memlib.studies.drawing import errorbars
from memlib.studies.effects import RECALIBRATIONS, Setting, add_note, loss_of, settings
from memlib.studies.run import Run
from memlib.studies.s07_capacity.connectivities import EFFECT, HRS
from memlib.studies.trained_networks import label, network_of
from memlib.zoo.checkpoints import load_checkpoint

#: Layouts with their looks and their fields.
LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "dense": ({"color": "0.2", "marker": "s"}, {}),
    "sparse": ({"color": sns.color_palette("colorblind")[0], "marker": "o"}, {"layout": "sparse"}),
    f"dense{HRS}": ({"color": "0.2", "marker": "s", "markerfacecolor": "white"}, {"unused": "hrs"}),
    f"sparse{HRS}": (
        {"color": sns.color_palette("colorblind")[0], "marker": "o", "markerfacecolor": "white"},
        {"layout": "sparse", "unused": "hrs"},
    ),
}


def layout_comparisons(p: SimpleNamespace, setting: Setting) -> list[Comparison]:
    """The same network in both layouts, without unused cells and with them."""
    compared = []
    for checkpoint, cells in itertools.product(p.layout_checkpoints, ("", HRS)):
        dense, sparse = (_layout_loss(checkpoint, p, setting, f"{x}{cells}") for x in ("dense", "sparse"))
        key = f"layout/{'formed' if cells else 'unformed'}/{network_of(checkpoint)}{setting.id}"
        text = f"equal network{cells}: {label(checkpoint)} loses more in the sparse than in the dense layout{setting}"
        about = Statement(key, f"programming error {p.claim_severity:g}, {text}", "noise, layout")
        compared.append(Comparison(about, ((1.0, sparse), (-1.0, dense))))
    return compared


def has_unused(checkpoint: str) -> bool:
    """Whether the dense layout leaves cells unused, between the groups of a layer."""
    return any(Geometry.of(layer).groups > 1 for layer in matrix_layers(load_checkpoint(checkpoint)).values())


def _layout_loss(checkpoint: str, p: SimpleNamespace, setting: Setting, layout: str) -> Loss:
    """The loss by the claims' severity in one of `LAYOUTS`."""
    if layout == f"dense{HRS}" and not has_unused(checkpoint):
        layout = "dense"
    return loss_of(checkpoint, p.claim_images, EFFECT, p.claim_severity, setting, **LAYOUTS[layout][1])


def layout_losses(run: Run) -> pd.DataFrame:
    """A row per network, layout and setting: the loss by the claims' severity."""
    p, chips, rows = run.p, Chips(run.sweep("claims")), []
    at = settings(p.claim_recalibrations, p.claim_ranges)
    for checkpoint, layout, setting in itertools.product(p.layout_checkpoints, LAYOUTS, at):
        if layout == f"dense{HRS}" and not has_unused(checkpoint):
            continue
        lost = chips.lost(_layout_loss(checkpoint, p, setting, layout))
        labels = {"checkpoint": checkpoint, "layout": layout, **asdict(setting)}
        rows.append(labels | lost.columns("loss"))
    return pd.DataFrame(rows)


def plot_layouts(frame: pd.DataFrame, claim_severity: float, origin: str) -> Figure:
    """A panel per network: the loss by the severity in each setting, in the dense and the sparse layout."""
    networks = list(frame["checkpoint"].unique())
    figure, axes = plt.subplots(1, len(networks), figsize=(3.1 * len(networks) + 1, 3.3), sharey=True, squeeze=False)
    for checkpoint, axis in zip(networks, axes[0], strict=True):
        part = frame[frame["checkpoint"] == checkpoint]
        for number, (layout, (look, _)) in enumerate(LAYOUTS.items()):
            group = part[part["layout"] == layout]
            places = np.arange(len(group)) + 0.15 * (number - 1.5)
            look = look | {"label": layout.replace(", ", ",\n"), "linestyle": "", "capsize": 2, "markersize": 4.5}
            errorbars(axis, places, group, "loss", **look)
        shown = part[["recalibration", "adc_calibration"]].drop_duplicates()
        names = [f"{RECALIBRATIONS[r]},\n{a} ranges" for r, a in shown.itertuples(index=False)]
        axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize="x-small")
        axis.set_title(label(checkpoint))
    axes[0, 0].set_ylabel(f"points lost at {claim_severity:g}")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    add_note(figure, frame, origin, "bars: 95 % intervals")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure

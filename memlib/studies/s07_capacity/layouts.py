"""The same network in the dense and the sparse layout, with unused cells and without."""

import itertools
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from memlib.evidence.claims import Statement
from memlib.evidence.comparisons import Comparison, Loss
from memlib.layers.geometry import Geometry
from memlib.layers.mappable import matrix_layers
from memlib.studies.drawing import dodges, errorbars, legend_beside, panels, where
from memlib.studies.run import Run
from memlib.studies.s07_capacity.connectivities import HRS, lost
from memlib.studies.shared.effects import RECALIBRATIONS, Setting, add_note, settings
from memlib.studies.shared.trained_networks import label, network_of
from memlib.zoo.checkpoints import load_checkpoint

DENSE, SPARSE = {"color": "0.2", "marker": "s"}, {"color": sns.color_palette("colorblind")[0], "marker": "o"}
OPEN = {"markerfacecolor": "white"}
#: Layouts with their looks and their fields.
LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "dense": (DENSE, {}),
    "sparse": (SPARSE, {"layout": "sparse"}),
    f"dense{HRS}": (DENSE | OPEN, {"unused": "hrs"}),
    f"sparse{HRS}": (SPARSE | OPEN, {"layout": "sparse", "unused": "hrs"}),
}


def layout_comparisons(p: SimpleNamespace, setting: Setting) -> list[Comparison]:
    """The same network in both layouts, without unused cells and with them."""
    compared = []
    for checkpoint, cells in itertools.product(p.layout_checkpoints, ("", HRS)):
        dense, sparse = (_layout_loss(p, checkpoint, setting, f"{layout}{cells}") for layout in ("dense", "sparse"))
        key = f"layout/{'formed' if cells else 'unformed'}/{network_of(checkpoint)}{setting.id}"
        text = f"equal network{cells}: {label(checkpoint)} loses more in the sparse than in the dense layout{setting}"
        about = Statement(key, f"programming error {p.claim_severity:g}, {text}", "noise, layout")
        compared.append(Comparison(about, ((1.0, sparse), (-1.0, dense))))
    return compared


def has_unused(checkpoint: str) -> bool:
    """Whether the dense layout leaves cells unused, between the groups of a layer."""
    return any(Geometry.of(layer).groups > 1 for layer in matrix_layers(load_checkpoint(checkpoint)).values())


def _layout_loss(p: SimpleNamespace, checkpoint: str, setting: Setting, layout: str) -> Loss:
    """The loss by the claims' severity in one of `LAYOUTS`."""
    if layout == f"dense{HRS}" and not has_unused(checkpoint):
        layout = "dense"
    return lost(p, checkpoint, setting, **LAYOUTS[layout][1])


def layout_losses(run: Run) -> pd.DataFrame:
    """A row per network, layout and setting: the loss by the claims' severity."""
    p, rows = run.p, []
    at = settings(p.claim_recalibrations, p.claim_ranges)
    for checkpoint, layout, setting in itertools.product(p.layout_checkpoints, LAYOUTS, at):
        if layout != f"dense{HRS}" or has_unused(checkpoint):
            loss = run.chips("claims").lost(_layout_loss(p, checkpoint, setting, layout))
            rows.append({"checkpoint": checkpoint, "layout": layout} | asdict(setting) | loss.columns("loss"))
    return pd.DataFrame(rows)


def plot_layouts(frame: pd.DataFrame, claim_severity: float, origin: str) -> Figure:
    """A panel per network: the loss by the severity in each setting, in the dense and the sparse layout."""
    networks = {checkpoint: label(checkpoint) for checkpoint in frame["checkpoint"].unique()}
    grid = panels({"": f"points lost at {100 * claim_severity:g} % error"}, networks, (3.1, 3.3), (1, 0), sharex=False)
    for _, checkpoint, axis in grid:
        part = where(frame, checkpoint=checkpoint)
        for (layout, (look, _)), dodge in zip(LAYOUTS.items(), dodges(len(LAYOUTS), 0.15), strict=True):
            group = where(part, layout=layout)
            look = look | {"label": layout.replace(", ", ",\n"), "linestyle": "", "capsize": 2, "markersize": 4.5}
            errorbars(axis, np.arange(len(group)) + dodge, group, "loss", **look)
        shown = part[["recalibration", "adc_calibration"]].drop_duplicates()
        names = [f"{RECALIBRATIONS[r]},\n{a} ranges" for r, a in shown.itertuples(index=False)]
        axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize="x-small")
    legend_beside(axis)
    add_note(grid.figure, frame, origin, "bars: 95 % intervals")
    grid.figure.tight_layout(rect=(0, 0.04, 1, 1))
    return grid.figure

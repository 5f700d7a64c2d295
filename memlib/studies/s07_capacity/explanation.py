"""Explanations of a loss: how much noise each layer lets through, and the loss by noise in it alone."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from memlib.evidence.comparisons import Loss
from memlib.layers.geometry import Geometry
from memlib.layers.mappable import matrix_layers
from memlib.studies.drawing import MARKERS, errorbars, shared_legend, where
from memlib.studies.run import Run
from memlib.studies.s07_capacity.connectivities import EFFECT, HRS, LOOKS
from memlib.studies.s07_capacity.ladders import LADDER, ROWS, losses
from memlib.studies.shared.effects import RECALIBRATIONS, add_note, make_point
from memlib.studies.shared.trained_networks import label, prepared, shared_fields, split
from memlib.training.pruning import following_norms
from memlib.zoo.checkpoints import load_checkpoint


def layer_points(p: SimpleNamespace) -> list[tuple[dict[str, Any], Loss]]:
    """The loss by noise in one layer alone, for every layer."""
    labelled = []
    for checkpoint in p.layer_checkpoints:
        baseline = make_point(checkpoint, p.images)
        for depth, layer in enumerate(matrix_layers(load_checkpoint(checkpoint))):
            point = make_point(checkpoint, p.images, EFFECT, p.layer_severity, layer=layer)
            labelled.append(({"checkpoint": checkpoint, "layer": layer, "depth": depth}, Loss(point, baseline)))
    return labelled


def gains(run: Run) -> pd.DataFrame:
    """The `noise_gains` of the networks whose layers are tried one by one."""
    return noise_gains(run.p.layer_checkpoints)


def noise_gains(checkpoints: Sequence[str]) -> pd.DataFrame:
    """How much noise each layer lets through, for the inputs that calibration images cause.

    A pair's programming error, sigma (g_on - g_off) in each cell, stands for sqrt(2) sigma max|W|. Over the passes of a
    layer the error of output j has a part that does not change, from the mean of the inputs, which in the dense layout
    shifts a whole channel, and one that does:

        constant_j = sqrt(2) max|W| sqrt(sum_i E[x_i]^2)/std(y_j)
        varying_j = sqrt(2) max|W| sqrt(sum_i Var[x_i])/std(y_j)

    Times sigma they are errors relative to the spread of the output, which batch norm scales to 1.

    Returns:
        A row per layer: depth, its number from the input; inputs of an output; normalised, whether batch norm takes its
        output; constant and varying, of the median output that has weights.
    """
    rows = []
    for checkpoint in checkpoints:
        known = prepared(*split(shared_fields(checkpoint, 1))[0])
        norms = following_norms(known.model)
        for depth, (name, layer) in enumerate(matrix_layers(known.model).items()):
            weight = layer.weight.detach()
            constant, varying = _noise_gain(weight, Geometry.of(layer).groups, known.record[name].passes)
            labels = {"checkpoint": checkpoint, "layer": name, "depth": depth, "inputs": weight[0].numel()}
            rows.append(labels | {"normalised": name in norms, "constant": constant, "varying": varying})
    return pd.DataFrame(rows)


def _noise_gain(weight: Tensor, groups: int, passes: Tensor) -> tuple[float, float]:
    """The two noise gains of the median output of a layer, from (n, inputs) of its passes."""
    w = weight.double().flatten(1).unflatten(0, (groups, -1))  # (groups, outputs, inputs)
    x = passes.double().unflatten(1, (groups, -1)).movedim(1, 0)  # (groups, n, inputs)
    spread = (x @ w.mT).std(1)  # (groups, outputs)
    error = math.sqrt(2) * w.abs().max()
    alive = w.abs().amax(2) > 0

    def median(variance: Tensor) -> float:
        """The median gain, from (groups,) the sums over the inputs of an output."""
        return float((error * variance.sqrt()[:, None] / spread)[alive].median())

    return median(x.mean(1).square().sum(1)), median(x.var(1).sum(1))


def layer_losses(run: Run) -> pd.DataFrame:
    """A row per layer: the loss by noise in it alone."""
    lost = run.chips("layers").lost
    return pd.DataFrame([labels | lost(loss).columns("loss") for labels, loss in layer_points(run.p)])


def explanations(run: Run) -> pd.DataFrame:
    """A row per network and recalibration: the loss without unused cells at the claims' severity, and what explains it.

    Returns:
        noise: the root of the sum over layers of (severity times noise gain)^2, of both gains, or of the varying one
        where batch norm is recalibrated, which takes constant errors away; layers; parameters; loss.
    """
    frame, severity = run.once(losses), run.p.claim_severity
    frame = frame[(frame["severity"] == severity) & ~frame["family"].str.endswith(HRS)]
    gains = noise_gains(list(dict.fromkeys(frame["checkpoint"])))
    names = ["family", "checkpoint", "recalibration", "parameters", "loss", "loss_low", "loss_high", "n", "images"]
    table = frame[names].reset_index(drop=True)
    left = {"none": gains["constant"], "batch_norm": gains["constant"].where(~gains["normalised"], 0.0)}
    for recalibration, constant in left.items():
        squares = (gains["varying"] ** 2 + constant**2).groupby(gains["checkpoint"]).sum()
        rows = table["recalibration"] == recalibration
        table.loc[rows, "noise"] = severity * np.sqrt(table.loc[rows, "checkpoint"].map(squares))
    table["layers"] = table["checkpoint"].map(gains["checkpoint"].value_counts())
    return table


def correlations(run: Run) -> pd.DataFrame:
    """Spearman's rank correlation of the loss with each explanation, over networks: a description, no test."""
    rows = []
    for recalibration, group in run.once(explanations).groupby("recalibration", sort=False):
        for name in ("parameters", "layers", "noise"):
            labels = {"recalibration": recalibration, "explanation": name}
            rank = stats.spearmanr(group[name], group["loss"]).statistic
            rows.append(labels | {"spearman": rank, "networks": len(group)})
    return pd.DataFrame(rows)


def plot_explained(
    gains: pd.DataFrame,
    losses: pd.DataFrame,
    table: pd.DataFrame,
    claim_severity: float,
    layer_severity: float,
    origin: str,
) -> Figure:
    """Over depth, noise gains and the loss by noise in a layer alone; over the sum of gains, losses of networks."""
    figure, axes = plt.subplots(1, 4, figsize=(13.5, 3.9))
    networks = list(losses["checkpoint"].unique())
    for checkpoint, color, marker in zip(networks, sns.color_palette("colorblind"), MARKERS, strict=False):
        look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 3.5, "linewidth": 1}
        group = where(gains, checkpoint=checkpoint)
        axes[0].plot(group["depth"], group["varying"], **look, label=label(checkpoint))
        axes[0].plot(group["depth"], group["constant"], **look, linestyle=":", markerfacecolor="w")
        group = where(losses, checkpoint=checkpoint)
        errorbars(axes[1], group["depth"], group, "loss", **look)
    for axis, recalibration in zip(axes[2:], ROWS, strict=True):
        for family in table["family"].unique():
            group = where(table, family=family, recalibration=recalibration)
            errorbars(axis, group["noise"], group, "loss", "loss_", **LADDER | LOOKS[family] | {"linestyle": ""})
        which = "both gains" if recalibration == "none" else "varying gains"
        axis.set(title=RECALIBRATIONS[recalibration], ylabel=f"points lost at {100 * claim_severity:g} % error")
        axis.set_xlabel(f"root sum of squares of {claim_severity:g} x {which}")
    axes[0].set(xlabel="layer, from the input", ylabel="noise gain (dotted: constant)", yscale="log")
    axes[1].set(xlabel="layer, from the input", ylabel=f"points lost, {layer_severity:g} in this layer alone")
    for axis, x in ((axes[0], 0.03), (axes[2], 0.53)):
        shared_legend(axis, "upper left", bbox_to_anchor=(x, 1.0), ncols=3, fontsize="small")
    add_note(figure, losses, origin, f"right: {table['n'].max()} chips; bars: 95 % intervals")
    figure.tight_layout(rect=(0, 0.04, 1, 0.87))
    return figure

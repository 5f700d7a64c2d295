"""The study 03_networks: the zoo, its sizes, connectivities, weights and baseline accuracies."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from memlib.base.progress_bar import progress
from memlib.evidence.claims import Claim, Statement, above, exactly
from memlib.evidence.intervals import crossed_interval, trainings_interval
from memlib.layers.classification import correct
from memlib.layers.geometry import Geometry
from memlib.layers.mappable import matrix_layers
from memlib.studies.drawing import Drawing, errorbars
from memlib.studies.run import Run
from memlib.studies.shared import network_lists as lists
from memlib.studies.shared.trained_networks import data_of, float_accuracy, inputs, label, network_of, treatment
from memlib.studies.study import Study, Values, networks, same
from memlib.training.pruning import nonzero_count
from memlib.training.recipes import again, trainings
from memlib.zoo import data_sets
from memlib.zoo.checkpoints import load_checkpoint, manifest_entry, read_manifest
from memlib.zoo.networks import LABELS, mac_count

#: Accuracy on the whole test set that the networks for CIFAR-10 should reach, in the mean of their trainings; set
#: before they were trained.
WANTED = {
    "resnet20-cifar10": 0.91, "resnet20-0.5-cifar10": 0.87, "resnet20-0.25-cifar10": 0.79, "vgg8-cifar10": 0.905,
    "vgg8-0.375-cifar10": 0.915, "vgg8-0.375-binary-cifar10": 0.895, "mobilenetv2-cifar10": 0.9,
}  # fmt: skip


def all_networks(p: SimpleNamespace) -> list[str]:
    """The networks of the table, and the trainings that claims compare."""
    compared = [training for name in p.claim_checkpoints for training in trainings(name, p.training_seeds)]
    return list(dict.fromkeys([*p.checkpoints, *compared]))


def hits_of(run: Run) -> dict[str, np.ndarray]:
    """(1, images) of 0 and 1, whether each network is right on the first test images."""
    hits = {}
    for name in progress(all_networks(run.p), unit="networks"):
        x, y = data_sets.load_images(data_of(name), "test").head(run.p.images)
        hits[name] = correct(load_checkpoint(name), x, y)[None].numpy().astype(float)
    return hits


def zoo(run: Run) -> pd.DataFrame:
    """A row per network.

    Returns:
        Parameters (without pruned ones), MACs (with pruned weights), connections (the share of those that ordinary
        layers between the same channels would have), accuracy on the test images with its interval, and from the
        trainings: how many there are, mean and standard deviation of their accuracies on the whole test set; epochs
        and seconds on one core.
    """
    rows = []
    for name in run.p.checkpoints:
        model, entry = load_checkpoint(name), manifest_entry(name)
        i = crossed_interval(run.once(hits_of)[name])
        reached = accuracies(name, run.p.training_seeds)
        rows.append(
            {
                "checkpoint": name, "network": label(name), "kind": LABELS[entry["recipe"]["network"]],
                "treatment": treatment(entry["recipe"]), "parameters": nonzero_count(model),
                "macs": mac_count(model), "connections": connections(model),
                "accuracy": i.mean, "low": i.low, "high": i.high, "images": i.images,
                "trainings": len(reached), "mean_of_trainings": np.mean(reached),
                "sd_of_trainings": np.std(reached, ddof=1) if len(reached) > 1 else None,
                "epochs": entry["recipe"]["epochs"], "seconds": entry["seconds"],
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def accuracies(checkpoint: str, seeds: Sequence[int]) -> list[float]:
    """The accuracy on the whole test set of each training of a network that there is."""
    there = [again(checkpoint, seed) for seed in seeds]
    return [float_accuracy(name) for name in there if name in read_manifest()]


def connections(model: nn.Module) -> float:
    """The weights that are not 0, as a share of those of layers that connect all channels."""
    layers = matrix_layers(model).values()
    there = sum(int(layer.weight.detach().count_nonzero()) for layer in layers)
    return there / sum(layer.weight.numel() * Geometry.of(layer).groups for layer in layers)


def weight_histograms(run: Run) -> pd.DataFrame:
    """The density of all weights, each relative to the largest of its layer, over 80 bins from -1 to 1."""
    edges = np.linspace(-1, 1, 81)
    rows = []
    for name in run.p.weight_checkpoints:
        layers = matrix_layers(load_checkpoint(name)).values()
        weights = np.concatenate([(w / w.abs().max()).flatten().numpy() for w in (x.weight.detach() for x in layers)])
        density, _ = np.histogram(weights, edges, density=True)
        rows += [
            {"checkpoint": name, "weight": x, "density": d}
            for x, d in zip((edges[1:] + edges[:-1]) / 2, density, strict=True)
        ]
    return pd.DataFrame(rows)


def claims(run: Run) -> list[Claim]:
    """The claims that networks reach their accuracy, and that fewer connections cost some at equal parameters.

    Raises:
        ValueError: if there are fewer than two seeds of trainings, or one twice.
    """
    hits, compared, seeds = run.once(hits_of), run.p.claim_checkpoints, run.p.training_seeds
    decided = []
    for name, wanted in WANTED.items():
        if name in hits:
            done = accuracies(name, seeds)
            reached = float(np.mean(done))
            times = f", mean of {len(done)} trainings" if len(done) > 1 else ""
            text = f"{label(name)} reaches {100 * wanted:g} % on the test set{times}"
            statement = Statement(f"accuracy/{network_of(name)}", text, "accuracy")
            decided.append(exactly(statement, 100 * reached, reached >= wanted, "%"))
    ordinary, *others = (np.stack([hits[training] for training in trainings(name, seeds)]) for name in compared)
    for name, other in zip(compared[1:], others, strict=True):
        text = f"{len(seeds)} trainings each: {label(name)} is less accurate than {label(compared[0])}"
        statement = Statement(f"connectivity/{network_of(name)}", text, "accuracy")
        decided.append(above(statement, trainings_interval(np.stack([ordinary, -other]))))
    return decided


#: How treatments are drawn, in the colour of their network: marker, and whether it is filled.
MARKERS = {
    "plain": ("o", True),
    "binary": ("*", False),
    "weights pruned": ("^", False),
    "channels pruned": ("v", False),
    "fine-tuned": ("X", False),
    "noise-aware": ("D", False),
    "trained longer": ("P", False),
    "quantisation-aware": ("s", False),
}


def plot(table: pd.DataFrame, histograms: pd.DataFrame, origin: str) -> Figure:
    """Draw accuracy over parameters and over MACs, a marker per network, and distributions of weights."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2))
    kinds = list(table["kind"].unique())
    colors = dict(zip(kinds, sns.color_palette("colorblind", len(kinds)), strict=True))
    for (kind, how, _), group in table.groupby(["kind", "treatment", "epochs"], sort=False):
        group = group.sort_values("parameters")
        marker, filled = MARKERS[how]
        look: dict[str, Any] = {
            "color": colors[kind],
            "marker": marker,
            "markerfacecolor": colors[kind] if filled else "white",
        }
        look |= {"label": kind if how == "plain" else f"{kind}, {how}", "linestyle": "-" if filled else ":"}
        for axis, x in ((left, group["parameters"]), (middle, group["macs"])):
            errorbars(axis, x, group, **look, markersize=4.5, linewidth=0.8)
    for axis, name in ((left, "parameters that are not pruned"), (middle, "multiplications of an inference")):
        axis.set(xscale="log", xlabel=name, ylabel="accuracy (%)")
    handles = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="upper left", ncols=6, frameon=False, fontsize="small")
    _plot_weights(right, histograms)
    note = f"{origin}: {table['images'].max()} test images; bars: 95 % intervals over images"
    note += "; lines join networks that were trained for as many epochs"
    figure.text(0.01, 0.006, note, fontsize="small", color="0.3")
    figure.tight_layout(rect=(0, 0.04, 1, 0.89))
    return figure


def _plot_weights(axis: Axes, histograms: pd.DataFrame) -> None:
    lines = zip(sns.color_palette("colorblind"), ("-", "--", "-.", ":") * 2, strict=False)
    for name, (color, line) in zip(histograms["checkpoint"].unique(), lines, strict=False):
        group = histograms[(histograms["checkpoint"] == name) & (histograms["density"] > 0)]
        axis.plot(group["weight"], group["density"], color=color, linestyle=line, linewidth=1.1, label=label(name))
    axis.set(yscale="log", xlabel="weight, relative to the largest of its layer", ylabel="density")
    axis.legend(frameon=False, fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))


def _requires(p: SimpleNamespace) -> None:
    for name in p.claim_checkpoints:
        trainings(name, p.training_seeds)
    for name in all_networks(p):
        manifest_entry(name)


STUDY = Study(
    name="03_networks",
    parameters={
        "checkpoints": networks(*lists.ALL),
        "weight_checkpoints": networks(*lists.EQUALS, lists.PRUNED_WEIGHTS[0], "vgg8", "mobilenetv2"),
        "claim_checkpoints": networks(*lists.EQUALS),
        "training_seeds": same([0, 1, 2]),
        "images": Values(10_000, 100),
    },
    tables={
        "03_networks": zoo,
        "03_networks_zoo": lambda run: run.table("03_networks"),
        "03_networks_weights": weight_histograms,
    },
    drawings={"03_networks": Drawing(plot, ("03_networks", "03_networks_weights"), ("origin",))},
    claims={"03_networks": claims},
    requires=_requires,
    inputs=lambda p: inputs(all_networks(p)),
)

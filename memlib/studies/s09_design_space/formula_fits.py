"""The formula for lost accuracy: designs that it is fitted to, and how well it predicts others."""

import itertools
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.cells.device import Device
from memlib.evidence.claims import Claim, Statement, below
from memlib.evidence.intervals import Interval, standard_error
from memlib.exploration import loss_formula, severity as of_networks
from memlib.layers.classification import correct
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import complete
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.run import Run
from memlib.studies.shared.designs import device_of, make_point
from memlib.studies.shared.effects import CHANCE
from memlib.studies.shared.trained_networks import (
    INPUT_SHAPE,
    hits_of,
    label,
    model_of,
    network_of,
    prepared,
    shared_fields,
    split,
)  # fmt: skip
from memlib.sweeps.points import Point

#: The device of the formula's designs, whose programming error is their severity.
DEVICE = "10k_100k"
#: Designs of each layout that the formula is fitted to, relative to dense: a chip of the others takes longer.
SHARES = {"dense": 1, "window": 1 / 3, "sparse": 1 / 6}
#: Colours of layouts in all figures of the study.
COLORS = dict(zip(("dense", "2x2", "4x4", "windows", "sparse"), sns.color_palette("colorblind"), strict=False))
MARKERS = dict(zip(COLORS, "os^Dv", strict=True))


def formula_points(p: SimpleNamespace) -> list[Point]:
    """For each network and layout, designs drawn without replacement from all combinations; 8-bit DACs.

    Layouts other than the dense one get their share (`SHARES`) of `p.formula_designs`, and six at least. Each network
    gets `p.wired_designs` more, in the dense layout and with wires.
    """
    grid = list(itertools.product(p.severities, p.tile_rows, p.adc_bits))
    points = []
    for checkpoint, layout in itertools.product(p.formula_checkpoints, p.formula_layouts):
        kind = layout if layout in SHARES else "window"
        n = max(6, round(p.formula_designs * SHARES[kind]))
        order = np.random.default_rng(list(SHARES).index(kind)).permutation(len(grid))
        for severity, rows, bits in (grid[i] for i in sorted(order[:n])):
            design = {"checkpoint": checkpoint, "layout": layout, "rows": rows, "adc_bits": bits}
            points.append(make_point({**design, "device": DEVICE, "program_error": severity}, p.images))
    wired = list(itertools.product(p.severities, p.wired_rows, p.adc_bits, p.wired_ohms))
    order = np.random.default_rng(len(SHARES)).permutation(len(wired))
    for checkpoint, i in itertools.product(p.formula_checkpoints, sorted(order[: p.wired_designs])):
        design = dict(zip(("program_error", "rows", "adc_bits", "r_wire"), wired[i], strict=True))
        points.append(make_point({"checkpoint": checkpoint, "device": DEVICE, **design}, p.images))
    return points


@lru_cache(maxsize=32)
def float_hits(checkpoint: str, images: int) -> np.ndarray:
    """(images,) which test images the float network gets right."""
    p = prepared(*split(shared_fields(checkpoint, images))[0])
    with torch.inference_mode():
        return correct(p.model, p.images, p.labels).numpy()


def losses(run: Run) -> pd.DataFrame:
    """A row per design: its inputs to the formula, and the loss of accuracy with its standard error."""
    keys, rows = ["checkpoint", "layout", "program_error", "rows", "adc_bits", "r_row"], []
    results = complete(run.sweep("formula"), *keys[1:])
    for (checkpoint, layout, error, height, bits, ohms), group in results.groupby(keys, sort=False):
        lost = float_hits(checkpoint, int(group["images"].iloc[0])) - hits_of(group).astype(float)
        chips, images = lost.shape
        cells = cell_error(checkpoint, device_of(DEVICE).replace(program_error=error))
        design = {"checkpoint": checkpoint, "layout": layout, "severity": cells, "rows": height, "adc_bits": bits}
        design |= {"program_error": error, "r_wire": ohms}
        design |= {"wire_share": share(checkpoint, layout, device_of(DEVICE), height, ohms)}
        rows.append({**design, "loss": lost.mean(), "error": standard_error(lost), "n": chips, "images": images})
    return pd.DataFrame(rows)


@lru_cache(maxsize=256)
def cell_error(checkpoint: str, device: Device) -> float:
    """See `severity.cell_error`."""
    return of_networks.cell_error(model_of(checkpoint), device)


@lru_cache(maxsize=1024)
def _share_per_ohm(checkpoint: str, layout: str, device: Device, rows: int) -> float:
    """See `severity.share_per_ohm`; unused cells of the tiles are unformed."""
    hardware = Hardware(device, Tile(rows, rows), Mapping.parse(f"{layout}, unformed"))
    return of_networks.share_per_ohm(model_of(checkpoint), INPUT_SHAPE, hardware)


def share(checkpoint: str, layout: str, device: Device, rows: int, ohms: float) -> float:
    """The share of the current that wires of this many ohm a segment take, to first order."""
    return ohms * _share_per_ohm(checkpoint, layout, device, rows) if ohms else 0.0


def fits(run: Run) -> dict[str, loss_formula.Formula]:
    """The formula of each network."""
    networks = run.once(losses).groupby("checkpoint", sort=False)
    return {checkpoint: loss_formula.fit(designs, _most(designs)) for checkpoint, designs in networks}


def _most(designs: pd.DataFrame) -> float:
    """The most that one network can lose: the float network's accuracy less chance."""
    row = designs.iloc[0]
    return float(float_hits(row["checkpoint"], int(row["images"])).mean()) - CHANCE


def coefficients(run: Run) -> pd.DataFrame:
    """The coefficients of all networks, with intervals."""
    tables = [f.coefficients().assign(checkpoint=name, most=f.most) for name, f in run.once(fits).items()]
    return pd.concat(tables, ignore_index=True)[["checkpoint", "most", "coefficient", "value", "low", "high"]]


def held_out(designs: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Predictions of designs by fits to others; see `formula.held_out`."""
    networks = [network for _, network in designs.groupby("checkpoint", sort=False)]
    return pd.concat([loss_formula.held_out(n, _most(n), by=by) for n in networks], ignore_index=True)


def predictions(run: Run) -> pd.DataFrame:
    """Each design with the prediction of a fit to others, whatever they are."""
    return held_out(run.once(losses))


def errors(run: Run) -> pd.DataFrame:
    """Errors of held-out predictions, fractions, by network and part of the designs: rms with low and high, and mean.

    The mean is of loss less prediction: above 0 where the prediction is too low. For "a new" severity, number of rows
    or of bits, no design that had the same was in the fit.
    """
    columns = {"program_error": "severity", "rows": "rows", "adc_bits": "ADC bits"}
    predicted = run.once(predictions)
    designs = predicted.drop(columns=["fold", "formula", "linear"])
    new = {f"a new {text}": held_out(designs, name) for name, text in columns.items()}
    rows = []
    for checkpoint, network in predicted.groupby("checkpoint", sort=False):
        kinds = {"all": network, **dict(tuple(network.groupby("layout", sort=False)))}
        kinds |= {name: table[table["checkpoint"] == checkpoint] for name, table in new.items()}
        kinds |= {"with wires": network[network["r_wire"] > 0]}
        kinds |= {"loss below 0.2": network[network["loss"] < 0.2], "loss above 0.2": network[network["loss"] >= 0.2]}
        kinds["formula below 0.05"] = network[network["formula"] < 0.05]  # where rules are
        for (name, kind), model in itertools.product(kinds.items(), ("formula", "linear")):
            if len(kind) > 1:
                missing = (kind["loss"] - kind[model]).to_numpy()
                i = loss_formula.error_interval(missing)
                row = {"checkpoint": checkpoint, "designs": name, "count": len(kind), "model": model}
                rows.append({**row, "rms": i.mean, "low": i.low, "high": i.high, "mean": missing.mean()})
    return pd.DataFrame(rows)


#: Held-out designs should be predicted to within this, a fraction of all images.
PRECISE = 0.03


def error_claims(run: Run) -> list[Claim]:
    """The claims that the formula predicts held-out designs well, for each network."""
    decided = []
    for checkpoint, designs in run.once(predictions).groupby("checkpoint", sort=False):
        i = loss_formula.error_interval((designs["formula"] - designs["loss"]).to_numpy())
        error = Interval(i.mean, i.low, i.high, int(designs["n"].max()), int(designs["images"].max()))
        text = f"the formula predicts losses of held-out designs with an rms error under {100 * PRECISE:g} points"
        about = Statement(f"formula/{network_of(checkpoint)}", f"{label(checkpoint)}: {text}", "formula")
        if network_of(checkpoint) == "resnet20":
            about = replace(about, headline="09_design_space_formula")
        decided.append(below(about, error, PRECISE))
    return decided


def plot_formula(predicted: pd.DataFrame, origin: str) -> Figure:
    """Held-out predictions over simulated losses: a column per network; the formula above, its linear rival below."""
    checkpoints = list(dict.fromkeys(predicted["checkpoint"]))
    figure, axes = plt.subplots(
        2, len(checkpoints), figsize=(2.9 * len(checkpoints) + 0.6, 5.6), sharex=True, sharey=True, squeeze=False
    )
    for line, model, name in zip(axes, ("formula", "linear"), ("formula", "linear in logarithms"), strict=True):
        for axis, checkpoint in zip(line, checkpoints, strict=True):
            group = predicted[predicted["checkpoint"] == checkpoint]
            for layout, designs in group.groupby("layout", sort=False):
                bars = 196 * designs["error"]
                axis.errorbar(
                    100 * designs["loss"], 100 * designs[model], xerr=bars, fmt=MARKERS[layout], color=COLORS[layout],
                    markersize=3, linewidth=0, elinewidth=0.5, alpha=0.8, label=layout,
                )  # fmt: skip
            axis.axline((0, 0), slope=1, color="0.4", linewidth=0.8)
            rms = 100 * np.sqrt(((group[model] - group["loss"]) ** 2).mean())
            axis.text(0.04, 0.95, f"rms {rms:.1f} points", transform=axis.transAxes, va="top")
        line[0].set_ylabel(f"loss by the {name}\n(points)" if model == "formula" else f"loss, {name}\n(points)")
    for axis, bottom, checkpoint in zip(axes[0], axes[1], checkpoints, strict=True):
        axis.set_title(label(checkpoint))
        bottom.set_xlabel("simulated loss (points)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncol=5, frameon=False)
    n, images = predicted["n"].max(), predicted["images"].max()
    note = f"{origin}: {images} test images, {n} chips a design\nbars: 1.96 standard errors; line: equal"
    figure.text(0.01, 0.05, note, fontsize="x-small", color="0.3")
    figure.tight_layout(rect=(0, 0.095, 1, 1))
    return figure

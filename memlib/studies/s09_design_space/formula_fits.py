"""The formula for lost accuracy: designs that it is fitted to, and how well it predicts others."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

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
from memlib.studies.designs import device_of, make_point
from memlib.studies.effects import CHANCE
from memlib.studies.trained_networks import (
    INPUT_SHAPE,
    hits_of,
    label,
    model_of,
    network_of,
    prepared,
    shared_fields,
    split,
)
from memlib.sweeps.points import Point

#: The device of the formula's designs, whose programming error is their severity.
DEVICE = "10k_100k"


#: How many designs of each layout the formula is fitted to, relative to dense: a chip of the others takes longer.
SHARES = {"dense": 1, "window": 1 / 3, "sparse": 1 / 6}


#: Colours of layouts in all figures of the study.
COLORS = dict(zip(("dense", "2x2", "4x4", "windows", "sparse"), sns.color_palette("colorblind"), strict=False))


MARKERS = dict(zip(COLORS, "os^Dv", strict=True))


def formula_points(
    checkpoints: Sequence[str],
    layouts: Sequence[str],
    designs: int,
    severities: Sequence[float],
    tile_rows: Sequence[int],
    adc_bits: Sequence[int],
    images: int,
    wires: dict[str, Any],
) -> list[Point]:
    """For each network and layout, designs drawn without replacement from all combinations; 8-bit DACs.

    Args:
        designs: of the dense layout; others get their share of it (`SHARES`), but six at least.
        wires: `designs` more of each network, in the dense layout and with wires: `ohms`, `rows` of their tiles.
    """
    grid = list(itertools.product(severities, tile_rows, adc_bits))
    found = []
    for checkpoint, layout in itertools.product(checkpoints, layouts):
        kind = layout if layout in SHARES else "window"
        n = max(6, round(designs * SHARES[kind]))
        order = np.random.default_rng(list(SHARES).index(kind)).permutation(len(grid))
        for severity, rows, bits in (grid[i] for i in sorted(order[:n])):
            design = {"checkpoint": checkpoint, "layout": layout, "rows": rows, "adc_bits": bits}
            found.append(make_point({**design, "device": DEVICE, "program_error": severity}, images))
    wired = list(itertools.product(severities, wires["rows"], adc_bits, wires["ohms"]))
    order = np.random.default_rng(len(SHARES)).permutation(len(wired))
    for checkpoint, i in itertools.product(checkpoints, sorted(order[: wires["designs"]])):
        design = dict(zip(("program_error", "rows", "adc_bits", "r_wire"), wired[i], strict=True))
        found.append(make_point({"checkpoint": checkpoint, "device": DEVICE, **design}, images))
    return found


@lru_cache(maxsize=32)
def float_hits(checkpoint: str, images: int) -> np.ndarray:
    """(images,) which test images the float network gets right."""
    p = prepared(*split(shared_fields(checkpoint, images))[0])
    with torch.inference_mode():
        return correct(p.model, p.images, p.labels).numpy()


def losses(results: pd.DataFrame) -> pd.DataFrame:
    """A row per design: its inputs to the formula, and the loss of accuracy with its standard error."""
    keys, rows = ["checkpoint", "layout", "program_error", "rows", "adc_bits", "r_row"], []
    results = complete(results, *keys[1:])
    for (checkpoint, layout, error, height, bits, ohms), group in results.groupby(keys, sort=False):
        lost = float_hits(checkpoint, int(group["images"].iloc[0])) - hits_of(group).astype(float)
        chips, images = lost.shape
        cells = cell_error(checkpoint, device_of(DEVICE).replace(program_error=error))
        found = {"checkpoint": checkpoint, "layout": layout, "severity": cells, "rows": height, "adc_bits": bits}
        found |= {"program_error": error}
        found |= {"r_wire": ohms, "wire_share": share(checkpoint, layout, device_of(DEVICE), height, ohms)}
        rows.append({**found, "loss": lost.mean(), "error": standard_error(lost), "n": chips, "images": images})
    return pd.DataFrame(rows)


@lru_cache(maxsize=256)
def cell_error(checkpoint: str, device: Device) -> float:
    """See `severity.cell_error`."""
    return of_networks.cell_error(model_of(checkpoint), device)


@lru_cache(maxsize=1024)
def _share_per_ohm(checkpoint: str, layout: str, device: Device, rows: int) -> float:
    """Of tiles whose unused cells are unformed; see `severity.share_per_ohm`."""
    hardware = Hardware(device, Tile(rows, rows), Mapping.parse(f"{layout}, unformed"))
    return of_networks.share_per_ohm(model_of(checkpoint), INPUT_SHAPE, hardware)


def share(checkpoint: str, layout: str, device: Device, rows: int, ohms: float) -> float:
    """The share of the current that wires of so many ohm a segment take, to first order."""
    return ohms * _share_per_ohm(checkpoint, layout, device, rows) if ohms else 0.0


def fits(designs: pd.DataFrame) -> dict[str, loss_formula.Formula]:
    """The formula of each network."""
    return {c: loss_formula.fit(part, _most(part)) for c, part in designs.groupby("checkpoint", sort=False)}


def _most(part: pd.DataFrame) -> float:
    """What can be lost: the float network's accuracy, less chance."""
    row = part.iloc[0]
    return float(float_hits(row["checkpoint"], int(row["images"])).mean()) - CHANCE


def coefficients(fitted: dict[str, loss_formula.Formula]) -> pd.DataFrame:
    """Of all networks, with intervals."""
    parts = [f.coefficients().assign(checkpoint=name, most=f.most) for name, f in fitted.items()]
    return pd.concat(parts, ignore_index=True)[["checkpoint", "most", "coefficient", "value", "low", "high"]]


def held_out(designs: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Predictions of designs by fits to others; see `formula.held_out`."""
    parts = [loss_formula.held_out(part, _most(part), by=by) for _, part in designs.groupby("checkpoint", sort=False)]
    return pd.concat(parts, ignore_index=True)


def errors(predicted: pd.DataFrame) -> pd.DataFrame:
    """Errors of held-out predictions, fractions, by network and part of the designs: rms with low and high, and mean.

    The mean is of loss less prediction: above 0 where the prediction is too low. For "a new" severity, number of rows
    or of bits, no design that had the same was in the fit.
    """
    columns = {"program_error": "severity", "rows": "rows", "adc_bits": "ADC bits"}
    designs = predicted.drop(columns=["fold", "formula", "linear"])
    new = {f"a new {text}": held_out(designs, name) for name, text in columns.items()}
    rows = []
    for checkpoint, part in predicted.groupby("checkpoint", sort=False):
        parts = {"all": part, **dict(tuple(part.groupby("layout", sort=False)))}
        parts |= {name: found[found["checkpoint"] == checkpoint] for name, found in new.items()}
        parts |= {"with wires": part[part["r_wire"] > 0]}
        parts |= {"loss below 0.2": part[part["loss"] < 0.2], "loss above 0.2": part[part["loss"] >= 0.2]}
        parts["formula below 0.05"] = part[part["formula"] < 0.05]  # where rules are
        for (name, chosen), model in itertools.product(parts.items(), ("formula", "linear")):
            if len(chosen) > 1:
                missing = (chosen["loss"] - chosen[model]).to_numpy()
                i = loss_formula.error_interval(missing)
                row = {"checkpoint": checkpoint, "designs": name, "count": len(chosen), "model": model}
                rows.append({**row, "rms": i.mean, "low": i.low, "high": i.high, "mean": missing.mean()})
    return pd.DataFrame(rows)


#: Held-out designs should be predicted to within this, a fraction of all images.
PRECISE = 0.03


def error_claims(predicted: pd.DataFrame) -> list[Claim]:
    """That the formula predicts held-out designs well, for each network."""
    decided = []
    for checkpoint, part in predicted.groupby("checkpoint", sort=False):
        i = loss_formula.error_interval((part["formula"] - part["loss"]).to_numpy())
        error = Interval(i.mean, i.low, i.high, int(part["n"].max()), int(part["images"].max()))
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
            part = predicted[predicted["checkpoint"] == checkpoint]
            for layout, chosen in part.groupby("layout", sort=False):
                bars = 196 * chosen["error"]
                axis.errorbar(
                    100 * chosen["loss"], 100 * chosen[model], xerr=bars, fmt=MARKERS[layout], color=COLORS[layout],
                    markersize=3, linewidth=0, elinewidth=0.5, alpha=0.8, label=layout,
                )  # fmt: skip
            axis.axline((0, 0), slope=1, color="0.4", linewidth=0.8)
            rms = 100 * np.sqrt(((part[model] - part["loss"]) ** 2).mean())
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

"""Rules of study 09: a formula for lost accuracy, the designer's table that follows from it, and what matters most."""

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from memlib.cells.device import Device
from memlib.costs.technology import TECHNOLOGIES
from memlib.evidence.claims import Claim, below
from memlib.evidence.intervals import Interval, difference_interval, standard_error
from memlib.exploration import loss_formula, sensitivity, severity as of_networks
from memlib.exploration.space import Axis
from memlib.layers.classification import correct
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import FROZEN, complete
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.designs import costs, device_of, make_point
from memlib.studies.effects import CHANCE
from memlib.studies.trained_networks import INPUT_SHAPE, hits_of, label, model_of, prepared, shared_fields, split
from memlib.sweeps.points import Point

#: The device of the formula's designs, whose programming error is their severity.
DEVICE = "10k_100k"
#: How many designs of each layout the formula is fitted to, relative to dense: a chip of the others takes longer.
SHARES = {"dense": 1, "window": 1 / 3, "sparse": 1 / 6}
#: Colours of layouts in all figures of the study.
COLORS = dict(zip(("dense", "2x2", "4x4", "windows", "sparse"), sns.color_palette("colorblind"), strict=False))
MARKERS = dict(zip(COLORS, "os^Dv", strict=True))


# The formula


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
        found |= {"r_wire": ohms, "wire_share": _share(checkpoint, layout, device_of(DEVICE), height, ohms)}
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


def _share(checkpoint: str, layout: str, device: Device, rows: int, ohms: float) -> float:
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
    found = []
    for checkpoint, part in predicted.groupby("checkpoint", sort=False):
        i = loss_formula.error_interval((part["formula"] - part["loss"]).to_numpy())
        error = Interval(i.mean, i.low, i.high, int(part["n"].max()), int(part["images"].max()))
        statement = f"the formula predicts losses of held-out designs with an rms error under {100 * PRECISE:g} points"
        found.append(below(f"{label(checkpoint)}: {statement}", error, PRECISE))
    return found


# The designer's table


#: So many of so many held-out designs with neighbouring predictions must have kept to a target.
KEPT, NEIGHBOURS = 9, 10


def threshold(predicted: pd.DataFrame, target: float) -> float:
    """The largest prediction, up to the target, that is relied on.

    Of any `NEIGHBOURS` held-out designs in a row, by prediction, up to there, at least `KEPT` lost up to `target`.

    Args:
        predicted: held-out designs of one network, see `held_out`.
        target: a fraction.

    Returns:
        A predicted loss; minus infinity if there is none.
    """
    ordered = predicted.sort_values("formula")
    kept = (ordered["loss"] <= target).rolling(NEIGHBOURS).sum().to_numpy()
    failing = np.flatnonzero(kept < KEPT)
    last = failing[0] - 1 if len(failing) else len(ordered) - 1
    return min(float(ordered["formula"].iloc[last]), target) if last >= NEIGHBOURS - 1 else -np.inf


def rules(
    fitted: dict[str, loss_formula.Formula],
    predicted: pd.DataFrame,
    devices: Sequence[str],
    targets: Sequence[float],
    r_wire: Sequence[float],
    tile_rows: Sequence[int],
    adc_bits: Sequence[int],
) -> pd.DataFrame:
    """For each network, device, wire, layout and loss: the largest tile, its smallest ADC, and what they cost.

    Args:
        predicted: held-out designs, which say how far predictions are to be relied on; see `threshold`.
        targets: losses, fractions, of the mean over chips.
        r_wire: ohm, of a segment.

    Returns:
        A row each: checkpoint, device, severity, r_wire, layout, target, threshold; rows and adc_bits (none if no
        prediction is as low as the threshold), share of the current lost to wires, predicted loss with low and high (of
        the coefficients alone), and energy (J, without what the arrays draw), latency (s) and area (m2) of each
        technology.
    """
    found, limits = [], dict(tuple(predicted.groupby("checkpoint")))
    for (checkpoint, f), device in itertools.product(fitted.items(), devices):
        common = {"checkpoint": checkpoint, "device": device, "severity": cell_error(checkpoint, device_of(device))}
        for ohms, layout, target in itertools.product(r_wire, f.layouts, targets):
            row = common | {"r_wire": ohms, "layout": layout, "target": target}
            row |= {"threshold": threshold(limits[checkpoint], target)}
            found.append(row | _largest_tile(f, row, tile_rows, adc_bits))
    return pd.DataFrame(found)


def _largest_tile(
    f: loss_formula.Formula, row: dict[str, Any], tile_rows: Sequence[int], adc_bits: Sequence[int]
) -> dict[str, Any]:
    for rows, bits in itertools.product(sorted(tile_rows, reverse=True), sorted(adc_bits)):
        share = _share(row["checkpoint"], row["layout"], device_of(row["device"]), rows, row["r_wire"])
        design = pd.DataFrame([{**row, "rows": rows, "adc_bits": bits, "wire_share": share}])
        loss = float(f.loss(design)[0])
        if loss <= row["threshold"]:
            low, high = np.percentile(f.losses(design)[:, 0], [2.5, 97.5])
            found = {"rows": rows, "adc_bits": bits, "wire_share": share, "loss": loss, "low": low, "high": high}
            point = _point({name: (row | found)[name] for name in DESIGN}, 1)
            for technology in TECHNOLOGIES:
                found |= {f"{technology}_{name}": value for name, value in costs(point, technology).items()}
            return found
    return {}


#: What a rule says of a design, and all that makes it one.
RULE = ("rows", "adc_bits")
DESIGN = ("checkpoint", "device", "r_wire", "layout", *RULE)


def _designs(table: pd.DataFrame) -> pd.DataFrame:
    """The different designs that rules give."""
    found = table.dropna(subset=["rows"])[list(DESIGN)].drop_duplicates()
    return found.astype(dict.fromkeys(RULE, int))


def claimed(table: pd.DataFrame, checkpoints: Sequence[str], r_wire: float) -> pd.DataFrame:
    """The rules that are checked, as chips of other layouts than the dense take long, and with wires minutes each.

    All of the dense layout; of others those for the largest loss, without wires, and of the first network windows with
    wires too. Wires are of `r_wire`, ohm.
    """
    dense, largest = table["layout"] == "dense", table["target"] == table["target"].max()
    wired, window = table["r_wire"] == r_wire, table["layout"] != "sparse"
    others = largest & (~wired | (window & (table["checkpoint"] == checkpoints[0])))
    chosen = table["checkpoint"].isin(checkpoints) & (wired | (table["r_wire"] == 0)) & (dense | others)
    return table[chosen].dropna(subset=["rows"])


def rule_points(table: pd.DataFrame, images: int) -> list[Point]:
    """The points that check the rules."""
    return [_point(design, images) for design in _designs(table).to_dict("records")]


def _point(design: dict[str, Any], images: int) -> Point:
    wires = {"r_wire": design["r_wire"]} if design["r_wire"] else {}
    return make_point({name: design[name] for name in DESIGN if name != "r_wire"} | wires, images)


def checked(table: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """The rules that give a design, and its loss on simulated chips: measured, measured_low and _high, n, images.

    `within` is the share of these chips that lose no more than the target, each by itself.

    Args:
        results: of `rule_points`, as `sweep` returns them.
    """
    designs = _designs(table).to_dict("records")
    table = table.dropna(subset=["rows"]).astype(dict.fromkeys(RULE, int))
    measured, rows = fresh_losses(designs, results), []
    for rule in table.to_dict("records"):
        i, chips = measured[designs.index({name: rule[name] for name in DESIGN})]
        rule |= {"measured": i.mean, "measured_low": i.low, "measured_high": i.high}
        rows.append(rule | {"within": np.mean(chips <= rule["target"]), "n": i.n, "images": i.images})
    return pd.DataFrame(rows, columns=[*table.columns, *MEASURED])


#: What `checked` adds.
MEASURED = ("measured", "measured_low", "measured_high", "within", "n", "images")


def by_design(designs: Sequence[dict], results: pd.DataFrame) -> list[np.ndarray]:
    """Of each design, (seeds, images) right and wrong.

    Args:
        results: of the designs' points, as `sweep` returns them.
    """
    chips = len(results) // max(len(designs), 1)
    return [hits_of(results.iloc[first : first + chips]) for first in range(0, len(results), max(chips, 1))]


def fresh_losses(designs: Sequence[dict], results: pd.DataFrame) -> list[tuple[Interval, np.ndarray]]:
    """Of each design its mean loss on the chips that check it, and (chips,) that of each of them.

    Args:
        results: of the designs' points, as `sweep` returns them.
    """
    found = []
    for design, hits in zip(designs, by_design(designs, results), strict=True):
        exact = float_hits(design["checkpoint"], hits.shape[1])
        found.append((difference_interval(exact, hits), exact.mean() - hits.mean(1)))
    return found


def rule_claims(found: pd.DataFrame) -> list[Claim]:
    """That designs by the rules lose no more than they say, from `checked`: one for each rule."""
    claims = []
    for rule in found.to_dict("records"):
        i = Interval(rule["measured"], rule["measured_low"], rule["measured_high"], rule["n"], rule["images"])
        wires = f", wires of {rule['r_wire']:g} ohm" if rule["r_wire"] else ""
        what = f"{rule['layout']}, {rule['rows']} rows, {rule['adc_bits']} ADC bits"
        statement = f"the formula's design for under {points_text(rule['target'])} ({what}) loses no more"
        where = f"{label(rule['checkpoint'])}, {rule['device']}{wires}"
        claims.append(below(f"{where}: {statement}", i, rule["target"]))
    return claims


def points_text(loss: float) -> str:
    """A fraction of all images in words."""
    return f"{100 * loss:g} point" + ("" if loss == 0.01 else "s")


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


# Sensitivity

#: What varies, and how figures call it.
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


def sensitivity_parts(
    checkpoints: Sequence[str], layouts: Sequence[str], n: int, images: int
) -> list[tuple[list[Point], list[int]]]:
    """Points and the device seed of each chip that the indices need; each with its own, as the chip is a factor too."""
    parts: dict[int, list[Point]] = {}
    for checkpoint, layout in itertools.product(checkpoints, layouts):
        for chip, point in _sampled(checkpoint, layout, n, images):
            parts.setdefault(chip, []).append(point)
    return [(points, [chip]) for chip, points in sorted(parts.items())]


def _sampled(checkpoint: str, layout: str, n: int, images: int) -> list[tuple[int, Point]]:
    found = []
    for row in sensitivity.design(CHOICES, n):
        chip = row.pop("chip")
        found.append((chip, make_point({"checkpoint": checkpoint, "layout": layout, "device": DEVICE, **row}, images)))
    return found


def sensitivities(
    results: pd.DataFrame, checkpoints: Sequence[str], layouts: Sequence[str], n: int, images: int
) -> pd.DataFrame:
    """Indices of the accuracy for each network and layout: see `sensitivity.indices`; sd is in fractions."""
    names = ["checkpoint", "layout", *(name for name in FACTORS if name != "chip"), "seed"]
    results = complete(results, *names[1:-1])
    known = dict(zip(results[names].itertuples(index=False, name=None), results["accuracy"], strict=True))
    parts = []
    for checkpoint, layout in itertools.product(checkpoints, layouts):
        sampled = _sampled(checkpoint, layout, n, images)
        values = [known[*((FROZEN | point)[name] for name in names[:-1]), chip] for chip, point in sampled]
        table = sensitivity.indices(CHOICES, values)
        parts.append(table.assign(checkpoint=checkpoint, layout=layout, sd=np.std(values), images=images))
    return pd.concat(parts, ignore_index=True)


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
        part = table[(table["checkpoint"] == checkpoint) & (table["layout"] == layout)]
        for kind, shift, color, text in (
            ("first", -0.18, "0.25", "alone"),
            ("total", 0.18, "0.75", "with interactions"),
        ):
            rows = part[part["kind"] == kind].set_index("factor").loc[names]
            bars = [rows["index"] - rows["low"], rows["high"] - rows["index"]]
            place = np.arange(len(names)) + shift
            axis.barh(place, rows["index"], 0.34, xerr=bars, color=color, label=text, error_kw={"linewidth": 0.8})
        pairs = resolved_pairs(part)
        texts = [
            f"{FACTORS[p.factor][1]} × {FACTORS[p.other][1]}: {p.index:.2f}" for p in pairs.itertuples(index=False)
        ]
        axis.set_title(f"{label(checkpoint)}, {layout}\nsd {100 * part['sd'].iloc[0]:.1f} points")
        axis.set_xlabel("\n".join(["share of variance", *(texts or ["no pair resolved"])]))
        axis.axvline(0, color="0.4", linewidth=0.8)
    first = np.atleast_1d(axes)[0]
    first.set_yticks(range(len(names)), [FACTORS[name][1] for name in names])
    first.invert_yaxis()
    figure.legend(*first.get_legend_handles_labels(), loc="lower left", frameon=False, fontsize="small", ncol=2)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure

"""The designer's table: for each network, device and loss the largest tile that the formula allows, and its check."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from memlib.costs.technology import TECHNOLOGIES
from memlib.evidence.claims import Claim, Statement, below
from memlib.evidence.intervals import Interval, difference_interval
from memlib.exploration import loss_formula
from memlib.studies.designs import costs, device_of, make_point
from memlib.studies.s09_design_space.formula_fits import cell_error, float_hits, share
from memlib.studies.trained_networks import (
    hits_of,
    label,
    network_of,
)
from memlib.sweeps.points import Point

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
        lost = share(row["checkpoint"], row["layout"], device_of(row["device"]), rows, row["r_wire"])
        design = pd.DataFrame([{**row, "rows": rows, "adc_bits": bits, "wire_share": lost}])
        loss = float(f.loss(design)[0])
        if loss <= row["threshold"]:
            low, high = np.percentile(f.losses(design)[:, 0], [2.5, 97.5])
            found = {"rows": rows, "adc_bits": bits, "wire_share": lost, "loss": loss, "low": low, "high": high}
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


#: The claims that the README shows, and the figures that it links beside them.
IN_README = {"rule/resnet20-0.5/cmo_hfox_1_day/dense/wires_1/5_points": "09_design_space_formula"}


def rule_claims(found: pd.DataFrame) -> list[Claim]:
    """That designs by the rules lose no more than they say, from `checked`: one for each rule."""
    claims = []
    for rule in found.to_dict("records"):
        i = Interval(rule["measured"], rule["measured_low"], rule["measured_high"], rule["n"], rule["images"])
        wires = f", wires of {rule['r_wire']:g} ohm" if rule["r_wire"] else ""
        what = f"{rule['layout']}, {rule['rows']} rows, {rule['adc_bits']} ADC bits"
        text = f"the formula's design for under {points_text(rule['target'])} ({what}) loses no more"
        where = f"{label(rule['checkpoint'])}, {rule['device']}{wires}"
        kind = f"{network_of(rule['checkpoint'])}/{rule['device']}/{rule['layout']}".replace(", ", "_").replace(
            " ", "_"
        )
        key = f"rule/{kind}/wires_{rule['r_wire']:g}/{100 * rule['target']:g}_points"
        about = Statement(key, f"{where}: {text}", "formula", IN_README.get(key, ""))
        claims.append(below(about, i, rule["target"]))
    return claims


def points_text(loss: float) -> str:
    """A fraction of all images in words."""
    return f"{100 * loss:g} point" + ("" if loss == 0.01 else "s")

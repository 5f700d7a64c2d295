"""The designer's table: for each network, device and loss the largest tile that the formula allows, and its check."""

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from memlib.costs.technology import TECHNOLOGIES
from memlib.evidence.claims import Claim, Statement, below
from memlib.evidence.intervals import Interval, difference_interval
from memlib.exploration import loss_formula
from memlib.studies.run import Run
from memlib.studies.s09_design_space.formula_fits import cell_error, fits, float_hits, predictions, share
from memlib.studies.shared.designs import costs, device_of, make_point
from memlib.studies.shared.trained_networks import hits_of, label, network_of
from memlib.studies.study import Sweep
from memlib.sweeps.points import Point

#: So many of so many held-out designs with neighbouring predictions must have kept to a target.
KEPT, NEIGHBOURS = 9, 10
#: Bits of the ADCs that rules may give.
ADC_BITS = range(3, 9)
#: Fields that a rule gives, and all that make a design.
RULE = ("rows", "adc_bits")
DESIGN = ("checkpoint", "device", "r_wire", "layout", *RULE)
#: The first of the chips that check designs, which are others than those that they were found on.
FRESH_CHIPS = 100


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


def rules(run: Run) -> pd.DataFrame:
    """For each network, device, wire, layout and loss: the largest tile, its smallest ADC, and their cost.

    Held-out designs say how far predictions are to be relied on; see `threshold`. Losses are means over chips.

    Returns:
        A row each: checkpoint, device, severity, r_wire, layout, target, threshold; rows and adc_bits (none if no
        prediction is as low as the threshold), share of the current lost to wires, predicted loss with low and high (of
        the coefficients alone), and energy (J, without what the arrays draw), latency (s) and area (m2) of each
        technology.
    """
    p, rows, limits = run.p, [], dict(tuple(run.once(predictions).groupby("checkpoint")))
    for (checkpoint, f), device in itertools.product(run.once(fits).items(), p.devices):
        common = {"checkpoint": checkpoint, "device": device, "severity": cell_error(checkpoint, device_of(device))}
        for ohms, layout, target in itertools.product(p.r_wire, f.layouts, p.targets):
            row = common | {"r_wire": ohms, "layout": layout, "target": target}
            row |= {"threshold": threshold(limits[checkpoint], target)}
            rows.append(row | _largest_tile(f, row, p.tile_rows))
    return pd.DataFrame(rows)


def _largest_tile(f: loss_formula.Formula, row: dict[str, Any], tile_rows: Sequence[int]) -> dict[str, Any]:
    for rows, bits in itertools.product(sorted(tile_rows, reverse=True), ADC_BITS):
        lost = share(row["checkpoint"], row["layout"], device_of(row["device"]), rows, row["r_wire"])
        design = pd.DataFrame([{**row, "rows": rows, "adc_bits": bits, "wire_share": lost}])
        loss = float(f.loss(design)[0])
        if loss <= row["threshold"]:
            low, high = np.percentile(f.losses(design)[:, 0], [2.5, 97.5])
            rule = {"rows": rows, "adc_bits": bits, "wire_share": lost, "loss": loss, "low": low, "high": high}
            point = _point({name: (row | rule)[name] for name in DESIGN}, 1)
            for technology in TECHNOLOGIES:
                rule |= {f"{technology}_{name}": value for name, value in costs(point, technology).items()}
            return rule
    return {}


def _designs(table: pd.DataFrame) -> pd.DataFrame:
    """The different designs that rules give."""
    designs = table.dropna(subset=["rows"])[list(DESIGN)].drop_duplicates()
    return designs.astype(dict.fromkeys(RULE, int))


def claimed(table: pd.DataFrame, checkpoints: Sequence[str], r_wire: float) -> pd.DataFrame:
    """The rules that are checked, as chips of other layouts than the dense take long, and with wires minutes each.

    All of the dense layout; of others those for the largest loss, without wires, and of the first network windows with
    wires too. Wires are of `r_wire`, ohm.
    """
    dense, largest = table["layout"] == "dense", table["target"] == table["target"].max()
    wired, window = table["r_wire"] == r_wire, table["layout"] != "sparse"
    others = largest & (~wired | (window & (table["checkpoint"] == checkpoints[0])))
    checked_wires = wired | (table["r_wire"] == 0)
    return table[table["checkpoint"].isin(checkpoints) & checked_wires & (dense | others)].dropna(subset=["rows"])


def rule_points(table: pd.DataFrame, images: int) -> list[Point]:
    """The points that check the rules."""
    return [_point(design, images) for design in _designs(table).to_dict("records")]


def _point(design: dict[str, Any], images: int) -> Point:
    wires = {"r_wire": design["r_wire"]} if design["r_wire"] else {}
    return make_point({name: design[name] for name in DESIGN if name != "r_wire"} | wires, images)


def fresh_chips(p: SimpleNamespace) -> range:
    """Seeds of the chips that check designs."""
    return range(FRESH_CHIPS, FRESH_CHIPS + p.claim_seeds)


def checked_rules(run: Run) -> pd.DataFrame:
    """The rules that are `claimed`, `checked` on fresh chips."""
    rules_to_check = claimed(run.once(rules), run.p.claim_checkpoints, run.p.claim_r_wire)
    points = rule_points(rules_to_check, run.p.claim_images)
    return checked(rules_to_check, run.evaluate(Sweep(points, fresh_chips(run.p))))


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


#: Columns that `checked` adds.
MEASURED = ("measured", "measured_low", "measured_high", "within", "n", "images")


def by_design(designs: Sequence[dict], results: pd.DataFrame) -> list[np.ndarray]:
    """(seeds, images) right or wrong, for each design.

    Args:
        results: of the designs' points, as `sweep` returns them.
    """
    chips = len(results) // max(len(designs), 1)
    return [hits_of(results.iloc[first : first + chips]) for first in range(0, len(results), max(chips, 1))]


def fresh_losses(designs: Sequence[dict], results: pd.DataFrame) -> list[tuple[Interval, np.ndarray]]:
    """The mean loss of each design on the chips that check it, and (chips,) the loss of each chip.

    Args:
        results: of the designs' points, as `sweep` returns them.
    """
    losses = []
    for design, hits in zip(designs, by_design(designs, results), strict=True):
        exact = float_hits(design["checkpoint"], hits.shape[1])
        losses.append((difference_interval(exact, hits), exact.mean() - hits.mean(1)))
    return losses


#: The claims that the README shows, and the figures that it links beside them.
IN_README = {"rule/resnet20-0.5/cmo_hfox_1_day/dense/wires_1/5_points": "09_design_space_formula"}


def rule_claims(run: Run) -> list[Claim]:
    """The claims that designs by the rules lose no more than they say, one for each rule."""
    claims = []
    for rule in run.once(checked_rules).to_dict("records"):
        i = Interval(rule["measured"], rule["measured_low"], rule["measured_high"], rule["n"], rule["images"])
        wires = f", wires of {rule['r_wire']:g} ohm" if rule["r_wire"] else ""
        design = f"{rule['layout']}, {rule['rows']} rows, {rule['adc_bits']} ADC bits"
        text = f"the formula's design for under {points_text(rule['target'])} ({design}) loses no more"
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

"""Extra loss of networks over ordinary ones with as many parameters, or with the same accuracy."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from memlib.evidence.claims import Claim, Statement, beyond
from memlib.evidence.comparisons import Chips, Comparison
from memlib.studies.drawing import dodges, panels, shared_legend, where
from memlib.studies.run import Run
from memlib.studies.s07_capacity.connectivities import (
    FAMILIES,
    HRS,
    Pair,
    families_of,
    lost,
    pairs_of,
    parameters,
    slug,
    unused_of,
)  # fmt: skip
from memlib.studies.s07_capacity.layouts import layout_comparisons
from memlib.studies.shared.effects import PLAIN, RECALIBRATIONS, Setting, add_note, settings
from memlib.studies.shared.trained_networks import label, over_trainings

#: The claims that the README shows, and the figures that it links beside them.
IN_README = {
    "parameters/grouped/resnet20_grouped-1": "07_capacity_differences",
    "parameters/separable/resnet20_separable-1.4": "07_capacity_differences",
    "parameters/grouped_formed/resnet20_grouped-1": "07_capacity_differences",
    "parameters/weights_pruned/resnet20-weights0.75": "07_capacity_differences",
    "width/ordinary": "07_capacity",
    "width/grouped": "07_capacity",
}


@dataclass(frozen=True)
class PairComparison(Comparison):
    """A claim about a pair."""

    pair: Pair
    setting: Setting

    @property
    def control(self) -> bool:
        """Whether it says how far to trust the others, rather than anything by itself."""
        return self.pair.equal == "accuracy" and self.pair.family == "ordinary"


def comparisons(p: SimpleNamespace) -> list[Comparison]:
    """The claims, in every setting, and controls.

    In the first one, connectivities of equal parameters are also compared with conductances scaled to the largest
    weight of each column rather than of the layer.
    """
    compared: list[Comparison] = []
    for setting in settings(p.claim_recalibrations, p.claim_ranges):
        compared += layout_comparisons(p, setting)
        for pair in pairs_of(p):
            compared.append(pair_comparison(pair, p, setting))
            if setting == PLAIN and pair.equal == "parameters" and not pair.family.endswith("pruned"):
                compared.append(pair_comparison(pair, p, setting, w_max="column"))
        compared += _width_claims(p, setting)
    compared = [over_trainings(comparison, p.training_seeds) for comparison in compared]
    return sorted(compared, key=lambda comparison: comparison.statement.text)


def pair_comparison(pair: Pair, p: SimpleNamespace, setting: Setting, **more: Any) -> PairComparison:
    """The claim that a pair's network loses more."""
    theirs = ((-share, lost(p, other, setting, **more)) for share, other in pair.others)
    terms = (1.0, lost(p, pair.checkpoint, setting, **unused_of(pair.family), **more)), *theirs
    scaled = ", scaled by column" if more else ""
    key = f"{pair.id}{'/by_column' if more else ''}{setting.id}"
    text = f"programming error {p.claim_severity:g}, dense, {pair.text}{scaled}{setting}"
    subject = "noise, pruning" if pair.family.endswith("pruned") else "noise, connectivity"
    return PairComparison(Statement(key, text, subject, IN_README.get(key, "")), terms, pair, setting)


def margins(compared: Sequence[Comparison], chips: Chips) -> dict[Setting, float]:
    """By how many points a network may differ from ordinary ones of its accuracy for no reason but the comparison.

    A loss is no straight line over accuracy, as the comparison takes it for, which shows in the controls: the margin of
    a setting is their largest difference, up or down, with all that chance adds to it.
    """
    largest: dict[Setting, float] = {}
    for comparison in compared:
        if isinstance(comparison, PairComparison) and comparison.control:
            effect = abs(comparison.claim(chips).effect)
            largest[comparison.setting] = max(effect, largest.get(comparison.setting, 0.0))
    return largest


def decided(comparison: Comparison, chips: Chips, margin: dict[Setting, float]) -> Claim:
    """The claim; at equal accuracy, only what lies beyond the margin of its setting counts."""
    claim = comparison.claim(chips)
    if not isinstance(comparison, PairComparison) or comparison.pair.equal != "accuracy":
        return claim
    return beyond(claim, margin.get(comparison.setting, 0.0))


def claims(run: Run) -> list[Claim]:
    """All comparisons except the controls, decided."""
    return decide(comparisons(run.p), run.chips("claims"))


def decide(compared: Sequence[Comparison], chips: Chips) -> list[Claim]:
    """Comparisons except the controls, decided; the controls say how far to trust the others."""
    margin = margins(compared, chips)
    return [decided(c, chips, margin) for c in compared if not (isinstance(c, PairComparison) and c.control)]


def _width_claims(p: SimpleNamespace, setting: Setting) -> list[Comparison]:
    """The narrowest of each family against the widest."""
    compared, error = [], f"programming error {p.claim_severity:g}"
    for family, checkpoints in families_of(p).items():
        if family.endswith("pruned") or len(checkpoints) < 2:
            continue
        ends = (end(checkpoints, key=parameters) for end in (min, max))
        narrow, wide = (lost(p, checkpoint, setting, **unused_of(family)) for checkpoint in ends)
        key = f"width/{slug(family)}{setting.id}"
        text = f"{error}, dense, width: {family}: the narrowest network loses more than the widest{setting}"
        about = Statement(key, text, "noise, capacity", IN_README.get(key, ""))
        compared.append(Comparison(about, ((1.0, narrow), (-1.0, wide))))
    return compared


def differences(run: Run) -> pd.DataFrame:
    """A row per pair and setting: how much more its network loses, and whether that is no more than a bound."""
    p, chips, rows = run.p, run.chips("claims"), []
    at = settings(p.claim_recalibrations, p.claim_ranges)
    compared = [
        over_trainings(pair_comparison(pair, p, setting), p.training_seeds) for setting in at for pair in pairs_of(p)
    ]
    margin = margins(compared, chips)
    for comparison in compared:
        claim, pair = decided(comparison, chips, margin), comparison.pair
        labels: dict[str, Any] = {"equal": pair.equal, "family": pair.family, "checkpoint": pair.checkpoint}
        labels |= {**asdict(comparison.setting), "control": comparison.control}
        verdict = {name: getattr(claim, name) for name in ("effect", "low", "high", "verdict", "n", "images")}
        rows.append(labels | verdict | {"at chance": claim.at_chance})
    return pd.DataFrame(rows)


def plot_differences(frame: pd.DataFrame, claim_severity: float, origin: str) -> Figure:
    """Left at equal parameters, right at equal accuracy: how many more points each network loses, in every setting."""
    at = frame[["recalibration", "adc_calibration"]].drop_duplicates().to_dict("records")
    kinds = {kind: f"equal {kind}" for kind in ("parameters", "accuracy") if kind in set(frame["equal"])}
    drawn, families = dict.fromkeys(zip(frame["family"], frame["checkpoint"], strict=True)), list(FAMILIES)
    names = sorted(drawn, key=lambda name: families.index(name[0]))
    x = f"points lost at a programming error of {claim_severity:g},\nmore than ordinary networks"
    grid = panels({"": ""}, kinds, (4.2, 0.3 * len(names)), (2.4, 1.6), x)
    for _, kind, axis in grid:
        axis.set_xscale("symlog", linthresh=1)  # most are about a point, some half of all
        group = where(frame, equal=kind)
        for setting, dodge in zip(at, dodges(len(at), 0.18), strict=True):
            _forest(axis, where(group, **setting), names, dodge, setting)
        axis.axvline(0, color="0.4", linewidth=0.8)
        _margins(axis, group[group["control"]])
    first = grid.axes[0, 0]
    first.set_yticks(range(len(names)), [_network(*name) for name in names], fontsize="small")
    first.set_ylim(len(names) - 0.5, -0.5)
    first.xaxis.set_major_locator(FixedLocator([-100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100]))
    first.xaxis.set_major_formatter("{x:g}")
    first.xaxis.set_minor_locator(NullLocator())
    shared_legend(first)
    dotted = "; dotted: the largest of ordinary networks" if frame["control"].any() else ""
    note = f"\nbars: 95 % intervals; crosses: bounds (at chance); linear from -1 to 1{dotted}"
    add_note(grid.figure, frame, origin, note)
    grid.figure.tight_layout(rect=(0, 0.4 / grid.figure.get_size_inches()[1], 1, 0.95))
    return grid.figure


def _margins(axis: Axes, controls: pd.DataFrame) -> None:
    """Dotted lines at the largest difference of controls, for each setting."""
    for (recalibration, _), group in controls.groupby(["recalibration", "adc_calibration"]):
        color = sns.color_palette("colorblind")[list(RECALIBRATIONS).index(str(recalibration))]
        for x in (-1, 1):
            axis.axvline(x * group["effect"].abs().max(), color=color, linewidth=0.9, linestyle=":")


def _network(family: str, checkpoint: str) -> str:
    return label(checkpoint).removeprefix("ResNet-20, ") + (HRS if family.endswith(HRS) else "")


def _forest(
    axis: Axes, group: pd.DataFrame, names: list[tuple[str, str]], dodge: float, setting: dict[str, str]
) -> None:
    """One setting's differences, a row per network, a little above or below the others'."""
    color = sns.color_palette("colorblind")[list(RECALIBRATIONS).index(setting["recalibration"])]
    look: dict[str, Any] = {"color": color, "linestyle": "", "capsize": 1.5, "elinewidth": 0.8, "markersize": 4}
    look["markerfacecolor"] = color if setting["adc_calibration"] == "design" else "white"
    rows = [names.index(name) for name in zip(group["family"], group["checkpoint"], strict=True)]
    places = np.array(rows) + dodge
    for floored, marker in ((False, "o"), (True, "x")):
        here = (group["at chance"] == floored).to_numpy()
        shown = group[here]
        bars = (shown["effect"] - shown["low"], shown["high"] - shown["effect"])
        text = f"{RECALIBRATIONS[setting['recalibration']]}, {setting['adc_calibration']} ranges"
        axis.errorbar(shown["effect"], places[here], xerr=bars, marker=marker, **look, label=None if floored else text)

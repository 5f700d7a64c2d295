"""The case study 05_tile_size: CIFAR-10 accuracy over ADC bits, severity of a non-ideality, and tile rows."""

import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from memlib.evidence.claims import Claim, Statement, above, within
from memlib.evidence.comparisons import Chips, Comparison, Labelled, Loss
from memlib.evidence.intervals import difference_interval
from memlib.evidence.tolerances import tolerance_table
from memlib.mapping.footprints import footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.tile import Tile
from memlib.studies.drawing import Drawing, legend_beside, lines, note, panels, where
from memlib.studies.run import Run
from memlib.studies.shared.effects import BASE, chance_line, evaluate, make_point, seeds_of
from memlib.studies.shared.trained_networks import (
    INPUT_SHAPE,
    every_training,
    inputs,
    label,
    network_of,
    over_trainings,
)
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.sweeps.points import Point
from memlib.zoo.checkpoints import load_checkpoint

#: The effects of the panels, which are also names of parameters, and the titles of their legends.
TITLES = {
    "d2d": "device-to-device\nvariation (relative $\\sigma$)",
    "states": "finite conductance\nstates",
    "stuck_on": "cells stuck at LRS\n(fraction)",
    "stuck_off": "cells stuck at HRS\n(fraction)",
}


class At(NamedTuple):
    """An effect on the hardware of the study."""

    rows: int
    adc_bits: int
    effect: str = "d2d"
    severity: float = 0.2
    adc_range: str = "calibrated"

    def point(self, checkpoint: str, images: int, device: str) -> Point:
        """A network with it. Unused cells are at HRS."""
        tile: dict[str, Any] = {"rows": self.rows, "cols": self.rows, "device": device, "unused": "hrs"}
        tile |= {"adc_bits": self.adc_bits, "adc_range": self.adc_range}
        return make_point(checkpoint, images, self.effect, self.severity, **tile)


def points(p: SimpleNamespace) -> Labelled:
    """The points of the figure with their labels; severity 0 is one baseline for all effects."""
    found = []
    for effect in TITLES:
        axes = getattr(p, effect), p.checkpoints, p.tile_rows, p.adc_bits
        for severity, checkpoint, rows, bits in itertools.product(*axes):
            labels = {"checkpoint": checkpoint, "rows": rows, "adc_bits": bits, "effect": effect, "severity": severity}
            found.append((labels, At(rows, bits, effect, severity).point(checkpoint, p.images, p.device)))
    return found


def tolerances(run: Run) -> pd.DataFrame:
    """For each network, tile and graded effect, the largest severity that costs at most 1 point, with its interval.

    Severities of `states` count the other way round and are left out; so are those without a baseline 0.
    """
    levels = {effect: getattr(run.p, effect) for effect in TITLES if effect != "states"}
    graded = [effect for effect, tried in levels.items() if len(tried) > 1 and tried[0] == 0]
    finest = [(x, point) for x, point in run.labelled("figure") if x["adc_bits"] == max(run.p.adc_bits)]
    return tolerance_table(run.sweep("figure"), [(x, point) for x, point in finest if x["effect"] in graded])


def plot(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per non-ideality, a column per network and tile rows: accuracy over ADC bits, a line per severity."""
    columns = itertools.product(frame["checkpoint"].unique(), sorted(frame["rows"].unique()))
    titles = {(checkpoint, rows): f"{label(checkpoint)}\n{rows} rows" for checkpoint, rows in columns}
    grid = panels(dict.fromkeys(TITLES, "accuracy (%)"), titles, (1.55, 1.9), (2.2, 0.9), "ADC bits")
    for effect, (checkpoint, rows), axis in grid:
        part = where(frame, effect=effect, checkpoint=checkpoint, rows=rows)
        lines(axis, part, "adc_bits", "severity", dodge=0.1, markersize=3)
        chance_line(axis)
    for title, axis in zip(TITLES.values(), grid.axes[:, -1], strict=True):
        legend_beside(axis, title, 1.03)
    grid.axes[0, 0].set(ylim=(0, 102), xticks=sorted(frame["adc_bits"].unique()))
    text = f"{origin}: {frame['images'].max()} test images; {frame['n'].max()} chips where anything is random"
    note(grid.figure, f"{text}; bars: 95 % intervals; dotted: chance", 0.005)
    grid.figure.tight_layout(w_pad=0.4, h_pad=0.6, rect=(0, 0.015, 1, 1))
    return grid.figure


def footprint_table(checkpoints: Sequence[str], shapes: Sequence[Sequence[int]]) -> pd.DataFrame:
    """Tiles, cells, utilisation and conversions per inference of each network on each tile shape."""
    rows = []
    for checkpoint, (height, width) in itertools.product(checkpoints, shapes):
        table = footprint(load_checkpoint(checkpoint), INPUT_SHAPE, Hardware(tile=Tile(rows=height, cols=width)))
        total = table[["tiles", "cells_used", "cells_allocated", "conversions"]].sum()
        utilisation = total["cells_used"] / total["cells_allocated"]
        rows.append({"checkpoint": checkpoint, "tile": f"{height}x{width}", **total, "utilisation": utilisation})
    return pd.DataFrame(rows)


class NetworkClaim(NamedTuple):
    """A claim that is made of each network: how the accuracies of two points differ, first minus second."""

    id: str
    first: At
    second: At
    judge: Callable[..., Claim]
    threshold: float
    subject: str
    text: str


D2D, FEWER_ROWS = "20 % device-to-device", "tiles of 32 rows are over 1 point more accurate than tiles of 256 rows"
LRS, HRS = At(128, 8, "stuck_on", 0.01), At(128, 8, "stuck_off", 0.01)
RANGE = "with an 8-bit ADC, a calibrated range is over 1 point more accurate than the full range"
NETWORK_CLAIMS = (
    NetworkClaim("rows_at_4_bits", At(32, 4), At(256, 4), above, 0.01, "tile size",
                 f"with a 4-bit ADC, {FEWER_ROWS} ({D2D})"),
    NetworkClaim("rows_at_8_bits", At(32, 8), At(256, 8), within, 0.01, "tile size",
                 f"with an 8-bit ADC, tiles of 32 and 256 rows differ by less than 1 point ({D2D})"),
    NetworkClaim("bits_at_256_rows", At(256, 10), At(256, 8), within, 0.01, "ADC range",
                 f"at 256 rows, 8 and 10 ADC bits differ by less than 1 point ({D2D})"),
    NetworkClaim("rows_at_full_range", At(32, 8, adc_range="full"), At(256, 8, adc_range="full"), above, 0.01,
                 "ADC range", f"with an 8-bit ADC of full range, {FEWER_ROWS} ({D2D})"),
    NetworkClaim("calibrated_range", At(32, 8), At(32, 8, adc_range="full"), above, 0.01, "ADC range",
                 f"{RANGE} (32 rows, {D2D})"),
    NetworkClaim("stuck_at_lrs", HRS, LRS, above, 0.0, "faults",
                 "1 % of cells stuck at LRS costs more than 1 % stuck at HRS (128 rows, 8 bits)"),
)  # fmt: skip
#: The claims about the first network that the README shows.
IN_README = ("rows_at_4_bits", "rows_at_8_bits", "calibrated_range", "stuck_at_lrs")
#: How networks are compared: what each loses from the first to the second.
IDEAL, VARIED = At(256, 8, severity=0), At(256, 8)


def claim_points(p: SimpleNamespace) -> list[Point]:
    """The points that claims are decided on."""
    compared = [at for claim in NETWORK_CLAIMS for at in (claim.first, claim.second)]
    within = [at.point(checkpoint, p.claim_images, p.device) for checkpoint in p.checkpoints for at in compared]
    return within + [point for comparison in comparisons(p) for point in comparison.points]


def comparisons(p: SimpleNamespace) -> list[Comparison]:
    """Each network against the next: which loses more to variation, over trainings of both."""
    compared = []
    for a, b in itertools.pairwise(p.checkpoints):
        more, less = (Loss(*(at.point(c, p.claim_images, p.device) for at in (VARIED, IDEAL))) for c in (a, b))
        text = f"{label(a)} loses more accuracy than {label(b)} to 20 % device-to-device variation (256 rows, 8 bits)"
        about = Statement(f"networks/{network_of(a)}/{network_of(b)}", text, "architecture")
        compared.append(over_trainings(Comparison(about, ((1.0, more), (-1.0, less))), p.training_seeds))
    return compared


def claims(chips: Chips, p: SimpleNamespace) -> list[Claim]:
    """What the study claims, decided on `claim_points` with shared device seeds and images."""
    decided = []
    for checkpoint, (key, first, second, judge, threshold, subject, text) in itertools.product(
        p.checkpoints, NETWORK_CLAIMS
    ):
        hits = (chips.hits(at.point(checkpoint, p.claim_images, p.device)) for at in (first, second))
        shown = "05_tile_size" if checkpoint == p.checkpoints[0] and key in IN_README else ""
        about = Statement(f"{key}/{network_of(checkpoint)}", f"{label(checkpoint)}: {text}", subject, shown)
        decided.append(judge(about, difference_interval(*hits), threshold))
    decided += [comparison.claim(chips) for comparison in comparisons(p)]
    return decided


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    return {
        "figure": Sweep.labelled(points(p), seeds_of(p.device_seeds)),
        "claims": Sweep(claim_points(p), seeds_of(p.claim_seeds)),
    }


STUDY = Study(
    name="05_tile_size",
    parameters={
        "checkpoints": networks("resnet20", "vgg8"),
        "device": same("10k_100k"),
        "images": Values(1000, 100),
        "device_seeds": Values(5, 3),
        "tile_rows": Values([32, 64, 128, 256], [32, 128]),
        "adc_bits": Values([2, 4, 6, 8, 10], [2, 6, 10]),
        "d2d": Values([0.0, 0.1, 0.2, 0.3, 0.4], [0.0, 0.2, 0.4]),
        "states": Values([0, 32, 16, 8, 4], [0, 16, 4]),
        "stuck_on": Values([0.0, 0.0003, 0.001, 0.003, 0.01], [0.0, 0.001, 0.01]),
        "stuck_off": Values([0.0, 0.003, 0.01, 0.03, 0.1], [0.0, 0.01, 0.1]),
        "claim_images": Values(5000, 500),
        "claim_seeds": Values(10, 3),
        "training_seeds": Values([0, 1, 2], [0, 1]),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "05_tile_size": lambda run: run.tidy("figure"),
        "05_tile_size_tolerance": tolerances,
        "05_tile_size_footprint": lambda run: footprint_table(
            run.p.checkpoints, [*([rows, rows] for rows in run.p.tile_rows), [256, 64]]
        ),
    },
    drawings={"05_tile_size": Drawing(plot, ("05_tile_size",), ("origin",))},
    claims={"05_tile_size": lambda run: claims(run.chips("claims"), run.p)},
    inputs=lambda p: inputs(every_training(p.checkpoints, p.training_seeds)) | {"dac_bits": BASE["dac_bits"]},
)

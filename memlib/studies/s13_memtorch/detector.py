"""MemTorch's seizure case in spirit: a detector of made-up seizures on chips."""

import itertools
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor, nn

from memlib.base.checks import whole
from memlib.chip.network import design_ranges, map_network
from memlib.chip.recalibration import recalibrate
from memlib.evidence.answers import pack
from memlib.evidence.claims import Claim, Statement, above, within
from memlib.evidence.comparisons import Chips, Labelled
from memlib.evidence.intervals import crossed_interval, difference_interval
from memlib.layers.classification import correct
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import hardware_of, point_fields
from memlib.studies.drawing import dodges, errorbars, note, panels, severity_text, where
from memlib.studies.shared import effects
from memlib.studies.shared.effects import EFFECTS
from memlib.sweeps.points import Point
from memlib.tiles.input_record import Record, record_inputs
from memlib.zoo import seizures

#: What recalibrates the detector's chips; the first is nothing.
CASE_METHODS = ("none", "gain", "batch_norm")
CASE_CALIBRATION = 256
#: The effects; their severities are parameters of these names after "case_".
SWEPT = ("program_error", "d2d", "states", "stuck_on")


def case_point(windows: int, effect: str = "program_error", severity: float = 0, recalibration: str = "none") -> Point:
    """The detector on chips with one effect of the device. Raises ValueError for fewer than two windows."""
    windows = whole("windows", windows, 2)
    hardware = effects.BASE | (dict.fromkeys(EFFECTS[effect].names, severity) if severity else {})
    fields = point_fields(Hardware.of(**hardware)) | {"device_label": hardware["device"]}
    fields |= {"recalibration": recalibration} if recalibration != "none" else {}
    return {"detector": seizures.manifest()["sha256"], "images": windows, **fields}


def case_points(p: SimpleNamespace) -> Labelled:
    """Each effect over its severities, with every recalibration; severity 0 is the common baseline."""
    found = []
    for effect, method in itertools.product(SWEPT, CASE_METHODS):
        for severity in (0, *getattr(p, f"case_{effect}")):
            labels = {"effect": effect, "severity": severity, "recalibration": method}
            found.append((labels, case_point(p.case_windows, effect, severity, method)))
    return found


def evaluate_case(point: Point, seed: int) -> dict[str, Any]:
    """Accuracy of one chip, and which windows of EEG it gets right; see `case_point`."""
    fields = dict(point)
    detector, windows = fields.pop("detector"), fields.pop("images")
    method = fields.pop("recalibration", "none")
    hardware = hardware_of(fields)
    model, calibration, record, ranges = _prepared_case(detector, hardware.design())
    x, labels = _test_windows(windows)
    chip = map_network(model, hardware, record, seed, ranges=ranges)
    recalibrate(chip, model, calibration, method)
    hits = correct(chip, x, labels)
    return {"accuracy": hits.double().mean().item(), "correct": pack(hits.numpy())}


@lru_cache(maxsize=4)
def _prepared_case(detector: str, design: Hardware) -> tuple[nn.Module, Tensor, Record, dict[str, float]]:
    """What all chips share: the network, windows that calibrate, what they say, and ADC ranges."""
    model = seizures.load(detector)
    calibration, _ = seizures.windows(CASE_CALIBRATION, seizures.CALIBRATION_SEED)
    record = record_inputs(model, calibration)
    return model, calibration, record, design_ranges(model, design, record)


@lru_cache(maxsize=2)
def _test_windows(n: int) -> tuple[Tensor, Tensor]:
    return seizures.windows(n, seizures.TEST_SEED)


def case_tidy(chips: Chips, labelled: Labelled) -> pd.DataFrame:
    """Two rows per labelled point, sensitivity and false positive rate: mean over chips with its 95 % interval."""
    return pd.DataFrame(
        labels | {"measure": measure} | crossed_interval(values).columns("rate")
        for labels, point in labelled
        for measure, values in _rates(chips, point).items()
    )


def _rates(chips: Chips, point: Point) -> dict[str, np.ndarray]:
    """(seeds, windows) of those with a seizure, found or not; of the others, false alarms."""
    hits = chips.hits(point)
    found, false = seizures.rates(hits, _test_windows(hits.shape[1])[1].numpy())
    return {"sensitivity": found, "false positive rate": false}


LOOKS = {
    method: {"color": color, "marker": marker, "label": effects.RECALIBRATIONS[method]}
    for method, color, marker in zip(CASE_METHODS, sns.color_palette("colorblind"), "osD", strict=False)
}


def plot_case(frame: pd.DataFrame) -> Figure:
    """Sensitivity above, false positive rate below, a column per effect: over severities, a line per recalibration."""
    rows = {measure: f"{measure} (%)" for measure in frame["measure"].unique()}
    columns = dict.fromkeys(frame["effect"].unique(), "")
    grid = panels(rows, columns, (2.4, 2.1), (0.6, 0.9), sharex="col", sharey="row")
    for measure, effect, axis in grid:
        part = where(frame, effect=effect, measure=measure)
        for shift, (method, look) in zip(dodges(len(LOOKS), 0.08), LOOKS.items(), strict=True):
            line = where(part, recalibration=method)
            errorbars(axis, np.arange(len(line)) + shift, line, "rate", **look)
        levels = part["severity"].unique()
        axis.set_xticks(range(len(levels)), [severity_text(level) for level in levels])
    for effect, axis in zip(columns, grid.axes[-1], strict=True):
        axis.set_xlabel(f"{EFFECTS[effect].title}:\n{EFFECTS[effect].unit}")
    grid.axes[0, 0].legend(frameon=False, loc="lower left")
    grid.axes[0, 0].set_ylim(0, 102)
    windows = f"{2 * frame['images'].max()} test windows of 4 s, half with a seizure"
    text = f"made-up EEG, {windows}, {frame['n'].max()} chips where anything is random; bars: 95 % intervals"
    note(grid.figure, text)
    grid.figure.tight_layout(rect=(0, 0.03, 1, 1))
    return grid.figure


def case_claim_points(p: SimpleNamespace) -> dict[str, Point]:
    """The points that claims compare, by name."""
    windows, harsh = p.case_windows, p.case_harsh
    found = {"ideal": case_point(windows), "gentle": case_point(windows, severity=p.case_gentle)}
    return found | {method: case_point(windows, severity=harsh, recalibration=method) for method in CASE_METHODS}


def case_claims(chips: Chips, p: SimpleNamespace) -> list[Claim]:
    """What is claimed of the detector, on the same windows and device seeds."""
    rates = {name: _rates(chips, point) for name, point in case_claim_points(p).items()}
    found, false, harsh, decided = "sensitivity", "false positive rate", p.case_harsh, []
    for key, level, measure, first, second, judge, threshold, text in (
        ("gentle", p.case_gentle, found, "ideal", "gentle", within, 0.02, "sensitivity changes by less than 2 points"),
        ("harsh", harsh, false, "none", "ideal", above, 0.05, "false alarms are over 5 points more frequent"),
        ("gain/false_alarms", harsh, false, "none", "gain", above, 0, f"rescaling columns lowers the {false}"),
        ("gain/sensitivity", harsh, found, "none", "gain", above, 0, "rescaling columns lowers sensitivity too"),
        ("batch_norm", harsh, false, "none", "batch_norm", above, 0, f"recalibrating batch norm lowers the {false}"),
    ):
        sentence = f"the detector of made-up seizures, programming error {level:g}: {text}"
        difference = difference_interval(rates[first][measure], rates[second][measure])
        decided.append(judge(Statement(f"detector/{key}", sentence, "detector"), difference, threshold))
    return decided

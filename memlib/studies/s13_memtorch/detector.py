"""MemTorch's seizure case in spirit: a detector of made-up seizures on chips."""

import itertools
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor, nn

from memlib.chip.network import design_ranges, map_network
from memlib.chip.recalibration import recalibrate
from memlib.evidence.answers import pack
from memlib.evidence.claims import Claim, Statement, above, within
from memlib.evidence.comparisons import Chips, Labelled
from memlib.evidence.intervals import crossed_interval, difference_interval
from memlib.layers.classification import correct
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import hardware_of, point_fields
from memlib.studies import effects
from memlib.studies.drawing import errorbars
from memlib.studies.effects import EFFECTS
from memlib.studies.run import Run
from memlib.sweeps.points import Point
from memlib.tiles.input_record import Record, record_inputs
from memlib.zoo import seizures

#: Recalibrations of the detector's chips.
CASE_METHODS = ("none", "gain", "batch_norm")
#: Its effects; the parameters with their severities have these names after "case_".
SWEPT = ("program_error", "d2d", "states", "stuck_on")
CASE_CALIBRATION = 256


def case_point(windows: int, effect: str = "program_error", severity: float = 0, recalibration: str = "none") -> Point:
    """The detector on chips with one effect of the device."""
    hardware = effects.BASE | (dict.fromkeys(EFFECTS[effect].names, severity) if severity else {})
    fields = point_fields(Hardware.of(**hardware)) | {"device_label": hardware["device"]}
    fields |= {"recalibration": recalibration} if recalibration != "none" else {}
    return {"detector": seizures.manifest()["sha256"], "images": windows, **fields}


def case_points(p: SimpleNamespace) -> Labelled:
    """Each effect over its severities, with every recalibration; severity 0 is the common baseline."""
    labelled = []
    for effect, method in itertools.product(SWEPT, CASE_METHODS):
        for severity in (0, *getattr(p, f"case_{effect}")):
            labels = {"effect": effect, "severity": severity, "recalibration": method}
            labelled.append((labels, case_point(p.case_windows, effect, severity, method)))
    return labelled


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
    """All that chips share: the network, windows that calibrate, their record, and ADC ranges."""
    model = seizures.load(detector)
    calibration, _ = seizures.windows(CASE_CALIBRATION, seizures.CALIBRATION_SEED)
    record = record_inputs(model, calibration)
    return model, calibration, record, design_ranges(model, design, record)


@lru_cache(maxsize=2)
def _test_windows(n: int) -> tuple[Tensor, Tensor]:
    return seizures.windows(n, seizures.TEST_SEED)


def case_rates(run: Run) -> pd.DataFrame:
    """Two rows per labelled point, sensitivity and false positive rate: mean over chips with its 95 % interval."""
    chips, rows = Chips(run.sweep("case")), []
    for labels, point in case_points(run.p):
        for measure, values in _rates(chips, point).items():
            rows.append({**labels, "measure": measure, **crossed_interval(values).columns("rate")})
    return pd.DataFrame(rows)


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
    names, measures = list(frame["effect"].unique()), list(frame["measure"].unique())
    size = (2.4 * len(names) + 0.6, 2.1 * len(measures) + 0.9)
    figure, axes = plt.subplots(len(measures), len(names), figsize=size, sharex="col", sharey="row", squeeze=False)
    for (row, measure), (column, effect) in itertools.product(enumerate(measures), enumerate(names)):
        axis, group = axes[row, column], frame[(frame["effect"] == effect) & (frame["measure"] == measure)]
        levels = list(group["severity"].unique())
        for i, (method, look) in enumerate(LOOKS.items()):
            line = group[group["recalibration"] == method]
            errorbars(axis, np.arange(len(line)) + 0.08 * (i - 1), line, "rate", **look)
        axis.set_xticks(range(len(levels)), [f"{level:g}" if level else "off" for level in levels])
        if column == 0:
            axis.set_ylabel(f"{measure} (%)")
        if row == len(measures) - 1:
            axis.set_xlabel(f"{EFFECTS[effect].title}:\n{EFFECTS[effect].unit}")
    axes[0, 0].legend(frameon=False, loc="lower left")
    axes[0, 0].set_ylim(0, 102)
    n, windows = frame["n"].max(), 2 * frame["images"].max()
    note = f"made-up EEG, {windows} test windows of 4 s, half with a seizure, {n} chips where anything is random"
    figure.text(0.01, 0.006, f"{note}; bars: 95 % intervals", fontsize="small", color="0.3")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    return figure


def case_claim_points(p: SimpleNamespace) -> dict[str, Point]:
    """The points that claims compare, by name."""
    mild = {"ideal": case_point(p.case_windows), "gentle": case_point(p.case_windows, severity=p.case_gentle)}
    at = p.case_windows, "program_error", p.case_harsh
    return mild | {method: case_point(*at, recalibration=method) for method in CASE_METHODS}


def case_claims(run: Run) -> list[Claim]:
    """The claims about the detector, on the same windows and device seeds."""
    chips, points = Chips(run.sweep("case claims")), case_claim_points(run.p)
    gentle, harsh = run.p.case_gentle, run.p.case_harsh
    found, false = ({name: _rates(chips, p)[measure] for name, p in points.items()} for measure in (
        "sensitivity", "false positive rate"
    ))  # fmt: skip

    def about(key: str, level: float, text: str) -> Statement:
        """A statement about the detector at a programming error."""
        sentence = f"the detector of made-up seizures, programming error {level:g}: {text}"
        return Statement(f"detector/{key}", sentence, "detector")

    gentler = difference_interval(found["ideal"], found["gentle"])
    alarms = difference_interval(false["none"], false["ideal"])
    rescaled, sensitive = (difference_interval(rates["none"], rates["gain"]) for rates in (false, found))
    normed = difference_interval(false["none"], false["batch_norm"])
    return [
        within(about("gentle", gentle, "sensitivity changes by less than 2 points"), gentler, 0.02),
        above(about("harsh", harsh, "false alarms are over 5 points more frequent"), alarms, 0.05),
        above(about("gain/false_alarms", harsh, "rescaling columns lowers the false positive rate"), rescaled),
        above(about("gain/sensitivity", harsh, "rescaling columns lowers sensitivity too"), sensitive),
        above(about("batch_norm", harsh, "recalibrating batch norm lowers the false positive rate"), normed),
    ]

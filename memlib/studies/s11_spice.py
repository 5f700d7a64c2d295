"""The study 11_spice: fully analog inference, the circuit in ngspice beside its behavioural model."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from memlib.base.checks import fail, one_of, whole
from memlib.circuits import circuit_netlist
from memlib.circuits.circuit import Amplifier, AnalogChip, Circuit, OperatingPoints, build_chip
from memlib.circuits.circuit_model import AnalogModel
from memlib.evidence.answers import pack, unpack
from memlib.evidence.claims import Claim, below, exactly, within
from memlib.evidence.intervals import crossed_interval, difference_interval
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import FROZEN, complete, hardware_of, point_fields
from memlib.studies.drawing import Drawing, errorbars
from memlib.sweeps.points import Point, named, text_of
from memlib.zoo import digits_8x8

METHODS = ("model", "circuit", "step")
CALIBRATION_IMAGES = 256
#: Images of one point: a deck of ngspice.
BLOCK = 250
#: A step response lasts so long, s: several times what the slowest circuit here needs.
DURATION = 400e-9
#: What is varied, and the value of each where it is not. A gain of 0 stands for an infinite one, 0 bits for exact
#: inputs. Cells have about the programming error of `ihp_hfo2`, relative to g_on - g_off.
NOMINAL: dict[str, Any] = {
    "hidden": 32,
    "gain": 1e4,
    "offset": 1e-3,
    "r_out": 100.0,
    "full_scale": 0.5,
    "input_bits": 0,
    "r_wire": 0.0,
    "program_error": 0.02,
    "d2d": 0.0,
}
#: What is not, V, ohm, Hz and A.
FIXED: dict[str, Any] = {
    "device": "10k_100k",
    "v_read": 0.3,
    "rail": 1.2,
    "r_difference": 100e3,
    "bandwidth": 100e6,
    "quiescent": 50e-6,
    "calibration_images": CALIBRATION_IMAGES,
}
#: What infinite gain and the rest of an ideal op-amp are; cells are ideal too.
IDEAL = {"gain": 0.0, "offset": 0.0, "r_out": 0.0, "program_error": 0.0}
#: Margin of a loss, a fraction of all images.
MARGIN = 0.01


# Points


def make_point(method: str, first: int, images: int, **changes: Any) -> Point:
    """A network's circuit on test images.

    Args:
        method: "model", "circuit" (ngspice, operating points) or "step" (ngspice, step response of one image).
        first: number of the first image.
        changes: of `NOMINAL`.

    Raises:
        ValueError: for an unknown method or field, images that are not there, or a circuit that cannot be.
    """
    one_of("method", method, METHODS)
    for name in changes:
        one_of("field", name, NOMINAL)
    whole("first", first, 0)
    whole("images", images, 1, len(digits_8x8.images("test")[1]) - first)
    fields = NOMINAL | changes
    one_of("hidden", fields["hidden"], digits_8x8.HIDDEN)
    weights = digits_8x8.manifest()[digits_8x8.name_of(fields["hidden"])]["sha256"]
    pixels = digits_8x8.identity()
    shared = {"method": method, "weights": weights, "pixels": pixels, "first": first, "images": images}
    circuit = fields | FIXED
    device, v_read, program_error, d2d, r_wire = (
        circuit.pop(name) for name in ("device", "v_read", "program_error", "d2d", "r_wire")
    )
    cells = {"program_error": program_error, "d2d_on": d2d, "d2d_off": d2d}
    hardware = Hardware.of(device, v_read=v_read, r_row=r_wire, r_col=r_wire, **cells)
    point = shared | circuit | point_fields(hardware) | {"device_label": device}
    circuit_of(point)
    return point


def circuit_of(point: Point) -> Circuit:
    """The circuit of a point."""
    hardware = hardware_of({name: value for name, value in point.items() if name in FROZEN})
    amplifier = {name: point[name] for name in ("bandwidth", "offset", "rail", "r_out", "quiescent")}
    return Circuit(
        device=hardware.device,
        amplifier=Amplifier(gain=point["gain"] or None, **amplifier),
        v_read=hardware.tile.v_read,
        input_bits=point["input_bits"] or None,
        full_scale=point["full_scale"],
        r_difference=point["r_difference"],
        wires=hardware.tile.wires,
    )


@lru_cache
def _network(hidden: int, weights: str, pixels: str) -> nn.Sequential:
    found = digits_8x8.manifest()[digits_8x8.name_of(hidden)]["sha256"], digits_8x8.identity()
    if found != (weights, pixels):
        fail("hidden", hidden, "a network that, with its images, did not change since the sweep began; start it again")
    return digits_8x8.load(hidden)


def chip_of(point: Point, seed: int) -> tuple[AnalogChip, Tensor, Tensor]:
    """The chip of a point, its input voltages, V, and their labels."""
    network = _network(point["hidden"], point["weights"], point["pixels"])
    calibration = digits_8x8.images("train")[0][: point["calibration_images"]]
    chip = build_chip(network, circuit_of(point), calibration, seed)
    x, labels = (part[point["first"] : point["first"] + point["images"]] for part in digits_8x8.images("test"))
    return chip, chip.circuit.input_voltages(x), labels


@named("circuit")
def evaluate(point: Point, seed: int) -> dict[str, Any]:
    """What one chip does.

    Args:
        point: as `make_point` makes it.
        seed: device seed.

    Returns:
        accuracy, which images are right, and mean power, W; of the circuit also the largest difference of its output
        voltages from the model's, relative to the largest; of a step the times that `StepResponse` gives, s.

    Raises:
        ValueError: if checkpoint or images are not those of the point.
        RuntimeError: without ngspice, unless the method is "model".
    """
    chip, volts, labels = chip_of(point, seed)
    if point["method"] == "step":
        step = circuit_netlist.step_response(chip, volts[0], DURATION)
        return {"settled": step.settled(), "decided": step.decided()}
    model = found = AnalogModel(chip).operating_points(volts)
    if point["method"] == "circuit":
        found = circuit_netlist.operating_points(chip, volts)
    right = found.decisions == labels
    result = {"accuracy": right.double().mean().item(), "correct": pack(right.numpy())}
    result |= {f"power_{name}": watts.mean().item() for name, watts in found.power.items()}
    return result | ({"difference": difference(found, model)} if point["method"] == "circuit" else {})


def difference(found: OperatingPoints, model: OperatingPoints) -> float:
    """Largest difference of output voltages, relative to the largest of them."""
    return float((found.outputs - model.outputs).abs().max() / found.outputs.abs().max())


def axes(
    gains: Sequence[float],
    offsets: Sequence[float],
    full_scales: Sequence[float],
    widths: Sequence[int],
    input_bits: Sequence[int],
    r_wire: Sequence[float],
    program_error: Sequence[float],
    d2d: Sequence[float],
) -> list[tuple[str, Any]]:
    """Each field of `NOMINAL` that is varied by itself, with each of its values, ascending."""
    values = {"gain": gains, "full_scale": full_scales, "hidden": widths, "input_bits": input_bits}
    values |= {"offset": offsets, "program_error": program_error, "d2d": d2d, "r_wire": r_wire}
    return [(name, value) for name, several in values.items() for value in sorted(several, key=_rank(name))]


def _rank(effect: str) -> Callable[[Any], float]:
    """What values are sorted by: 0 bits are exact, and come last."""
    return lambda value: value or (math.inf if effect == "input_bits" else 0)


@dataclass(frozen=True)
class Case:
    """A circuit in which ngspice and the model are compared closely."""

    changes: dict[str, Any]  #: of `NOMINAL`
    images: int
    seeds: int


def cases_of(
    spice_seeds: int,
    wired_hidden: int,
    wired_images: int,
    wired_seeds: int,
    claim_images: int,
    claim_seeds: int,
    **_: Any,
) -> dict[str, Case]:
    """All of them, by name."""
    wired = {"r_wire": 1.0, "hidden": wired_hidden}
    return {
        "ideal": Case(IDEAL, claim_images, spice_seeds),
        "nominal": Case({}, claim_images, claim_seeds),
        "gain 100": Case({"gain": 100.0}, claim_images, spice_seeds),
        "clipping": Case({"full_scale": 2.0}, claim_images, spice_seeds),
        "wires": Case(wired, wired_images, wired_seeds),
        "wires, clipping": Case(wired | {"full_scale": 2.0}, wired_images, wired_seeds),
    }


def sweeps(
    images: int,
    device_seeds: int,
    spice_seeds: int,
    wired_seeds: int,
    settling_images: int,
    claim_images: int,
    claim_seeds: int,
    wired_hidden: int,
    wired_images: int,
    **design: Sequence[Any],
) -> list[tuple[list[Point], Callable[[Point], Iterable[int]]]]:
    """All points of the notebook, and how many seeds each has, from its parameters."""
    wanted = []
    for effect, value in axes(**design):
        wanted.append(("model", images, device_seeds, {effect: value}))
        if effect != "r_wire" or not value:
            wanted.append(("circuit", images, spice_seeds, {effect: value}))
        elif (wired_hidden, wired_images) == (NOMINAL["hidden"], images):
            wanted.append(("circuit", images, wired_seeds, {effect: value}))
    for case in cases_of(spice_seeds, wired_hidden, wired_images, wired_seeds, claim_images, claim_seeds).values():
        wanted += [(method, case.images, case.seeds, case.changes) for method in METHODS[:2]]
    wanted += [("model", claim_images, claim_seeds, changes) for changes in compared().values()]
    found = [
        (make_point(method, first, size, **changes), seeds)
        for method, count, seeds, changes in wanted
        for first, size in blocks(count)
    ]
    steps = itertools.product(design["widths"], range(settling_images))
    found += [(make_point("step", image, 1, hidden=width), 1) for width, image in steps]
    return [_together(found)]


def _together(found: list[tuple[Point, int]]) -> tuple[list[Point], Callable[[Point], Iterable[int]]]:
    """Each point once, with the most seeds that it is given."""
    seeds: dict[str, int] = {}
    for point, count in found:
        whole("seeds", count, 1)
        seeds[text_of(point)] = max(count, seeds.get(text_of(point), 0))
    points = {text_of(point): point for point, _ in found}
    return [*points.values()], lambda point: range(seeds[text_of(point)])


def blocks(images: int) -> list[tuple[int, int]]:
    """First image and number of each part of so many images."""
    return [(first, min(BLOCK, images - first)) for first in range(0, images, BLOCK)]


# Results


class Results:
    """The table of a sweep, by what a circuit is."""

    def __init__(self, table: pd.DataFrame) -> None:
        table = complete(table, "program_error", "d2d_on", "r_row")
        self.table = table.assign(d2d=table["d2d_on"], r_wire=table["r_row"])

    def rows(self, method: str, images: int, seeds: int, **changes: Any) -> pd.DataFrame:
        """A circuit's points, of so many seeds, on so many images, in order; fewer if they were not simulated."""
        t = self.table
        chosen = (t["method"] == method) & (t["seed"] < seeds)
        for name, value in (NOMINAL | changes).items():
            chosen &= t[name] == value
        parts = [t[chosen & (t["first"] == first) & (t["images"] == size)] for first, size in blocks(images)]
        return pd.concat(parts).sort_values(["seed", "first"])

    def hits(self, method: str, images: int, seeds: int, **changes: Any) -> np.ndarray:
        """(seeds, images) right or wrong."""
        rows = self.rows(method, images, seeds, **changes)
        by_seed = [
            np.concatenate([unpack(text, size) for text, size in zip(part["correct"], part["images"], strict=True)])
            for _, part in rows.groupby("seed")
        ]
        return np.stack(by_seed).astype(float)


def float_accuracy(hidden: int, images: int) -> float:
    """Accuracy of the network itself on the first test images."""
    x, labels = digits_8x8.images("test")
    return float((digits_8x8.load(hidden)(x[:images]).argmax(1) == labels[:images]).double().mean())


def cases(results: Results, **counts: int) -> pd.DataFrame:
    """A row per case and method: accuracy with its interval, and the largest difference of output voltages."""
    rows = []
    for (name, case), method in itertools.product(cases_of(**counts).items(), METHODS[:2]):
        i = crossed_interval(results.hits(method, case.images, case.seeds, **case.changes))
        row = {"case": name, "method": method, **i.columns()}
        found = results.rows(method, case.images, case.seeds, **case.changes)
        worst = found["difference"].max() if method == "circuit" else 0.0
        rows.append(row | {"difference": worst})
    return pd.DataFrame(rows)


def outputs(images: int) -> pd.DataFrame:
    """Output voltages, V, of one nominal chip by both methods: a row per image, digit and method."""
    chip, volts, _ = chip_of(make_point("circuit", 0, images), 0)
    found = {"model": AnalogModel(chip), "circuit": None}
    rows = []
    for method, model in found.items():
        points = model.operating_points(volts) if model else circuit_netlist.operating_points(chip, volts)
        for image, values in enumerate(points.outputs.tolist()):
            rows += [{"image": image, "digit": d, "method": method, "output": v} for d, v in enumerate(values)]
    return pd.DataFrame(rows)


def design(
    results: Results, chosen: Sequence[tuple[str, Any]], images: int, device_seeds: int, **_: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accuracy over each axis: the model's mean with its interval, and each chip's, by both methods."""
    rows, chips = [], []
    for effect, value in chosen:
        for method in METHODS[:2]:
            found = results.rows(method, images, device_seeds, **{effect: value})
            if found.empty:
                continue
            hits = results.hits(method, images, device_seeds, **{effect: value})
            labels = {"effect": effect, "value": value, "method": method}
            rows.append(labels | crossed_interval(hits).columns())
            chips += [
                labels | {"seed": seed, "accuracy": accuracy, "images": images}
                for seed, accuracy in enumerate(hits.mean(1))
            ]
    return pd.DataFrame(rows), pd.DataFrame(chips)


def disagreements(
    results: Results, chosen: Sequence[tuple[str, Any]], images: int, spice_seeds: int, **_: Any
) -> tuple[int, int]:
    """Images that only one of the methods gets right, and all that were compared: each on each shared chip of each
    varied circuit, the nominal one once.
    """
    unlike = count = 0
    for changes in {text_of(NOMINAL | dict([pair])): dict([pair]) for pair in chosen}.values():
        if any(results.rows(method, images, spice_seeds, **changes).empty for method in METHODS[:2]):
            continue
        model, circuit = (results.hits(method, images, spice_seeds, **changes) for method in METHODS[:2])
        unlike += int(np.abs(model[: len(circuit)] - circuit).sum())
        count += circuit.size
    return unlike, count


def power(results: Results, widths: Sequence[int], images: int, spice_seeds: int, **_: Any) -> pd.DataFrame:
    """A row per width, from ngspice: power, W, settling, s (means over images), energy an inference and a product, J.

    An inference takes until the outputs are settled to 1 %, and the power is that of the operating point.
    """
    rows = []
    for width in sorted(widths):
        found, steps = results.rows("circuit", images, spice_seeds, hidden=width), settling(results, [width])
        watts = {name: found[f"power_{name}"].mean() for name in ("inputs", "loads", "quiescent")}
        chip, *_rest = chip_of(make_point("model", 0, 1, hidden=width), 0)
        counts = {"hidden": width, "cells": chip.cells, "amplifiers": chip.amplifiers}
        settled, products = steps["settled"].mean(), chip.cells // 2
        energy = {"energy": sum(watts.values()) * settled, "product_energy": sum(watts.values()) * settled / products}
        rows.append(counts | watts | {"settled": settled, "decided": steps["decided"].mean()} | energy)
    return pd.DataFrame(rows)


def settling(results: Results, widths: Sequence[int]) -> pd.DataFrame:
    """Times of each step response, s."""
    t = results.table
    found = t[(t["method"] == "step") & t["hidden"].isin(widths)].rename(columns={"first": "image"})
    return found[["hidden", "image", "settled", "decided"]].sort_values(["hidden", "image"]).reset_index(drop=True)


def waveform() -> pd.DataFrame:
    """Step response of a nominal chip: a row per time, s, and digit, V."""
    chip, volts, _ = chip_of(make_point("step", 0, 1), 0)
    step = circuit_netlist.step_response(chip, volts[0], DURATION / 2, 100)
    parts = [pd.DataFrame({"time": step.times, "digit": d, "output": step.outputs[:, d]}) for d in range(10)]
    return pd.concat(parts, ignore_index=True)


# Claims


def compared() -> dict[str, dict[str, Any]]:
    """Circuits whose accuracy claims compare with the nominal one, by what is said of them."""
    return {
        "an open-loop gain of 1,000 instead of 10,000 costs at most 1 point": {"gain": 1e3},
        "an open-loop gain of 100 instead of 10,000 costs at most 1 point": {"gain": 100.0},
        "offsets of 4 mV instead of 1 mV cost at most 1 point": {"offset": 4e-3},
        "inputs of 3 bits instead of exact ones cost at most 1 point": {"input_bits": 3},
        "this network of 16 instead of that of 32 hidden neurons costs at most 1 point": {"hidden": 16},
        "amplifiers set to a twentieth of their supplies instead of half cost at most 1 point": {"full_scale": 0.05},
    }


def claims(results: Results, **counts: int) -> list[Claim]:
    """Whether ngspice and the model agree, and what the parts of the circuit cost, on shared chips and images."""
    found, chosen = [], cases_of(**counts)
    for name, case in chosen.items():
        pair = [results.hits(method, case.images, case.seeds, **case.changes) for method in ("circuit", "model")]
        statement = f"{name}: accuracy in ngspice is within 1 point of the behavioural model's"
        found.append(within(statement, difference_interval(*pair), MARGIN))
    ideal = chosen["ideal"]
    largest = results.rows("circuit", ideal.images, ideal.seeds, **ideal.changes)["difference"].max()
    statement = "ideal op-amps: outputs in ngspice differ by at most 1e-6 of the largest from the behavioural model's"
    found.append(replace(exactly(statement, largest, largest <= 1e-6), n=ideal.seeds, images=ideal.images))
    n = counts["claim_images"], counts["claim_seeds"]
    nominal = results.hits("model", *n)
    for statement, changes in compared().items():
        interval = difference_interval(nominal, results.hits("model", *n, **changes))
        found.append(below(statement, interval, MARGIN))
    return found


def inputs() -> dict[str, Any]:
    """Fixed values, and checksums of weights and images, for the provenance file."""
    weights = {name: entry["sha256"] for name, entry in digits_8x8.manifest().items()}
    origin = "scikit-learn's digits at 8x8 pixels"
    return {
        "nominal": NOMINAL,
        "fixed": FIXED,
        "weights": weights,
        "pixels": digits_8x8.identity(),
        "origin": origin,
    }


# Figures

LOOKS = {"model": ("o", "behavioural model"), "circuit": ("s", "ngspice")}
#: Title and unit of each axis, and factor to that unit.
EFFECTS = {
    "gain": ("open-loop gain", "", 1),
    "full_scale": ("full scale of the\namplifiers (of the supply)", "", 1),
    "hidden": ("hidden neurons", "", 1),
    "input_bits": ("bits of the inputs", "", 1),
    "offset": ("op-amp offset, sigma", "mV", 1e3),
    "program_error": ("programming error\n(sigma by range)", "", 1),
    "d2d": ("device-to-device\n(relative sigma)", "", 1),
    "r_wire": ("wires", "Ω per segment", 1),
}


def plot(cases: pd.DataFrame, outputs: pd.DataFrame, wired_hidden: int) -> Figure:
    """Outputs of one chip by both methods; in each case, their largest difference, and both accuracies."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.2, 3.0), width_ratios=(1, 1, 1.2))
    wide = outputs.pivot(index=["image", "digit"], columns="method", values="output") * 1e3
    left.plot(wide["model"], wide["circuit"], ".", markersize=2.5, color=_color(0))
    left.axline((0, 0), slope=1, color="0.5", linewidth=0.7)
    left.set(xlabel="behavioural model (mV)", ylabel="ngspice (mV)", title="outputs, nominal chip")
    names = list(dict.fromkeys(cases["case"]))
    worst = cases[cases["method"] == "circuit"].set_index("case")["difference"]
    middle.plot(range(len(names)), worst[names], "D", markersize=4, color=_color(3))
    middle.axhline(1e-6, color="0.5", linewidth=0.7, linestyle=":")
    middle.set(yscale="log", ylabel="largest difference\n(of the largest output)", title="ngspice less model")
    _accuracies(right, cases, names)
    for axis in (middle, right):
        axis.set_xticks(range(len(names)), [name.replace(", ", "\n") for name in names], rotation=30)
        axis.margins(x=0.1)
    note = f"{_case_note(cases)}\n64-32-10 neurons; with wires (1 Ω a segment) 64-{wired_hidden}-10"
    figure.text(0.01, 0.005, note, fontsize="small", color="0.3")
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return figure


def _accuracies(axis: Axes, cases: pd.DataFrame, names: Sequence[str]) -> None:
    for shift, (method, (marker, label)) in zip((-0.1, 0.1), LOOKS.items(), strict=True):
        part = cases[cases["method"] == method].set_index("case").loc[names]
        look = {"marker": marker, "linestyle": "", "color": _color(shift > 0), "label": label}
        errorbars(axis, np.arange(len(names)) + shift, part, **look)
    axis.set(ylabel="accuracy (%)", ylim=(0, 102), title="bars: 95 % intervals")
    axis.legend(frameon=False, loc="lower left")


def _color(number: int) -> Any:
    return sns.color_palette("colorblind")[int(number)]


def _case_note(cases: pd.DataFrame) -> str:
    parts = []
    for (n, images), group in cases.groupby(["n", "images"], sort=False):
        names = " / ".join(name.replace(", ", " and ") for name in dict.fromkeys(group["case"]))
        parts.append(f"{n} {'chip' if n == 1 else 'chips'}, {images} images: {names}")
    return "; ".join(parts)


def plot_design(summary: pd.DataFrame, chips: pd.DataFrame) -> Figure:
    """A panel per axis: accuracy of the model (line, with intervals, and a dot per chip) and of ngspice (circles)."""
    effects = list(dict.fromkeys(summary["effect"]))
    columns = (len(effects) + 1) // 2
    figure, axes = plt.subplots(2, columns, figsize=(2.15 * columns + 0.6, 4.8), sharey=True, squeeze=False)
    for effect, axis in zip(effects, axes.flat, strict=False):
        _design_panel(axis, summary[summary["effect"] == effect], chips[chips["effect"] == effect])
    for axis in axes.flat[len(effects) :]:
        axis.remove()
    for axis in axes[:, 0]:
        axis.set(ylabel="accuracy (%)", ylim=(0, 102))
    axes[0, 0].legend(frameon=False, loc="lower right")
    n = summary[summary["method"] == "model"]["n"].max()
    note = f"{summary['images'].max()} test images, {n} chips; bars: 95 % intervals; dotted: nominal value"
    figure.text(0.01, 0.005, note, fontsize="small", color="0.3")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    return figure


#: Of single chips.
CHIP_LOOKS: dict[str, dict[str, Any]] = {
    "model": {"marker": ".", "markersize": 3, "color": _color(0), "label": "model, a chip"},
    "circuit": {
        "marker": "o", "markersize": 5, "color": _color(1), "markerfacecolor": "none",
        "label": "ngspice, the same chip",
    },
}  # fmt: skip


def _design_panel(axis: Axes, summary: pd.DataFrame, chips: pd.DataFrame) -> None:
    effect = summary["effect"].iloc[0]
    title, unit, factor = EFFECTS[effect]
    values = sorted(summary["value"].unique(), key=_rank(effect))
    line = summary[summary["method"] == "model"]
    errorbars(axis, line["value"].map(values.index), line, color=_color(0), label="model, mean")
    for method, style in CHIP_LOOKS.items():
        part = chips[chips["method"] == method]
        axis.plot(part["value"].map(values.index), 100 * part["accuracy"], linestyle="", **style)
    if NOMINAL[effect] in values:
        axis.axvline(values.index(NOMINAL[effect]), color="0.6", linewidth=0.8, linestyle=":")
    names = ["exact" if effect == "input_bits" and not value else f"{value * factor:g}" for value in values]
    axis.set_xticks(range(len(values)), names, rotation=45 if len("".join(names)) > 18 else 0)
    axis.set_xlabel(f"{title} ({unit})" if unit else title)


def plot_settling(waveform: pd.DataFrame, settling: pd.DataFrame, power: pd.DataFrame) -> Figure:
    """Outputs over time; when they are settled and decided, and what the circuit takes, over its width."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.2, 2.9), width_ratios=(1.3, 1, 1))
    _waves(left, waveform)
    _times(middle, settling)
    _bars(right, power)
    note = (
        f"{len(settling) // settling['hidden'].nunique()} images a width; op-amps: {FIXED['bandwidth'] / 1e6:g} MHz, "
    )
    note += f"{FIXED['quiescent'] * 1e6:g} µA idle, supplies of ±{FIXED['rail']:g} V"
    figure.text(0.01, 0.005, note, fontsize="small", color="0.3")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    return figure


def _waves(axis: Axes, waveform: pd.DataFrame) -> None:
    winner = waveform.groupby("digit")["output"].last().idxmax()
    for digit, part in waveform.groupby("digit"):
        best = digit == winner
        look = {"color": _color(3) if best else "0.6", "linewidth": 1.4 if best else 0.8, "zorder": 2 + best}
        axis.plot(part["time"] * 1e9, part["output"] * 1e3, label=f"digit {digit}" if best else None, **look)
    axis.plot([], [], color="0.6", linewidth=0.8, label="others")
    axis.set(xlabel="time after the inputs' step (ns)", ylabel="output (mV)", title="one image, nominal chip")
    axis.set_ylim(top=1.55 * 1e3 * waveform["output"].max())
    axis.legend(frameon=False, ncol=2, loc="upper right")


def _times(axis: Axes, settling: pd.DataFrame) -> None:
    widths = sorted(settling["hidden"].unique())
    looks = (("settled", "o", "settled to 1 %"), ("decided", "s", "decided"))
    for shift, color, (name, marker, label) in zip((-0.08, 0.08), (0, 1), looks, strict=True):
        x = settling["hidden"].map(widths.index) + shift
        axis.plot(x, settling[name] * 1e9, marker, color=_color(color), markersize=3.5, alpha=0.7, label=label)
    axis.set(ylabel="time (ns)", xlabel="hidden neurons", title="each image, one chip")
    axis.set_ylim(0, 1.35e9 * settling["settled"].max())
    axis.legend(frameon=False, ncol=2, loc="upper center", columnspacing=1)
    axis.set_xticks(range(len(widths)), [f"{width}" for width in widths])
    axis.margins(x=0.25)


def _bars(axis: Axes, power: pd.DataFrame) -> None:
    bottom = np.zeros(len(power))
    parts = (("inputs", "inputs"), ("loads", "amplifiers, loads"), ("quiescent", "amplifiers, idle"))
    for color, (name, label) in zip((0, 1, 7), parts, strict=True):
        axis.bar(range(len(power)), power[name] * 1e3, bottom=bottom, color=_color(color), width=0.6, label=label)
        bottom = bottom + power[name].to_numpy() * 1e3
    axis.set(ylabel="power (mW)", xlabel="hidden neurons", title="operating point", ylim=(0, 1.45 * bottom.max()))
    axis.legend(frameon=False, loc="upper left")
    axis.set_xticks(range(len(power)), [f"{width}" for width in power["hidden"]])


_SETTLING = ("11_spice_waveform", "11_spice_settling", "11_spice_power")
FIGURES = {
    "11_spice": Drawing(plot, ("11_spice", "11_spice_outputs"), ("wired_hidden",)),
    "11_spice_design": Drawing(plot_design, ("11_spice_design", "11_spice_design_chips")),
    "11_spice_settling": Drawing(plot_settling, _SETTLING),
}

"""ngspice beside the behavioural model, on the same chips and images."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.circuits import circuit_netlist
from memlib.circuits.circuit_model import AnalogModel
from memlib.evidence.intervals import crossed_interval
from memlib.studies.drawing import errorbars
from memlib.studies.s11_spice.circuits import METHODS, NOMINAL, chip_of, make_point
from memlib.studies.s11_spice.results import Results, varied
from memlib.sweeps.points import text_of

#: An ideal op-amp, whose gain is infinite, and ideal cells.
IDEAL = {"gain": 0.0, "offset": 0.0, "r_out": 0.0, "program_error": 0.0}
COLORS = sns.color_palette("colorblind")
LOOKS = {"model": ("o", "behavioural model"), "circuit": ("s", "ngspice")}


@dataclass(frozen=True)
class Case:
    """A circuit on which ngspice and the model are compared."""

    changes: dict[str, Any]  #: of `NOMINAL`
    images: int
    seeds: int


def cases_of(p: SimpleNamespace) -> dict[str, Case]:
    """All of them, by name."""
    wired = {"r_wire": 1.0, "hidden": p.wired_hidden}
    return {
        "ideal": Case(IDEAL, p.claim_images, p.spice_seeds),
        "nominal": Case({}, p.claim_images, p.claim_seeds),
        "gain 100": Case({"gain": 100.0}, p.claim_images, p.spice_seeds),
        "clipping": Case({"full_scale": 2.0}, p.claim_images, p.spice_seeds),
        "wires": Case(wired, p.wired_images, p.wired_seeds),
        "wires, clipping": Case(wired | {"full_scale": 2.0}, p.wired_images, p.wired_seeds),
    }


def cases(results: Results, p: SimpleNamespace) -> pd.DataFrame:
    """A row per case and method: accuracy with its interval, and the largest difference of output voltages."""
    rows = []
    for (name, case), method in itertools.product(cases_of(p).items(), METHODS[:2]):
        at = method, case.images, case.seeds
        worst = results.rows(*at, **case.changes)["difference"].max() if method == "circuit" else 0.0
        i = crossed_interval(results.hits(*at, **case.changes))
        rows.append({"case": name, "method": method, **i.columns(), "difference": worst})
    return pd.DataFrame(rows)


def outputs(images: int) -> pd.DataFrame:
    """Output voltages, V, of one nominal chip by both methods: a row per image, digit and method."""
    chip, volts, _ = chip_of(make_point("circuit", 0, images), 0)
    solved = {
        "model": AnalogModel(chip).operating_points(volts),
        "circuit": circuit_netlist.operating_points(chip, volts),
    }
    rows = []
    for method, points in solved.items():
        for image, values in enumerate(points.outputs.tolist()):
            rows += [{"image": image, "digit": d, "method": method, "output": v} for d, v in enumerate(values)]
    return pd.DataFrame(rows)


def disagreements(results: Results, p: SimpleNamespace) -> tuple[int, int]:
    """Images that only one of the methods gets right, and all that were compared.

    Compared are the images of each shared chip of each varied circuit, and of the nominal one once.
    """
    unlike = count = 0
    for changes in {text_of(NOMINAL | dict([pair])): dict([pair]) for pair in varied(p)}.values():
        if any(results.rows(method, p.images, p.spice_seeds, **changes).empty for method in METHODS[:2]):
            continue
        model, circuit = (results.hits(method, p.images, p.spice_seeds, **changes) for method in METHODS[:2])
        unlike += int(np.abs(model[: len(circuit)] - circuit).sum())
        count += circuit.size
    return unlike, count


def plot_agreement(cases: pd.DataFrame, outputs: pd.DataFrame, wired_hidden: int) -> Figure:
    """Outputs of one chip by both methods, and their largest difference and both accuracies in each case."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.2, 3.0), width_ratios=(1, 1, 1.2))
    wide = outputs.pivot(index=["image", "digit"], columns="method", values="output") * 1e3
    left.plot(wide["model"], wide["circuit"], ".", markersize=2.5, color=COLORS[0])
    left.axline((0, 0), slope=1, color="0.5", linewidth=0.7)
    left.set(xlabel="behavioural model (mV)", ylabel="ngspice (mV)", title="outputs, nominal chip")
    names = list(dict.fromkeys(cases["case"]))
    worst = cases[cases["method"] == "circuit"].set_index("case")["difference"]
    middle.plot(range(len(names)), worst[names], "D", markersize=4, color=COLORS[3])
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
        group = cases[cases["method"] == method].set_index("case").loc[names]
        look = {"marker": marker, "linestyle": "", "color": COLORS[shift > 0], "label": label}
        errorbars(axis, np.arange(len(names)) + shift, group, **look)
    axis.set(ylabel="accuracy (%)", ylim=(0, 102), title="bars: 95 % intervals")
    axis.legend(frameon=False, loc="lower left")


def _case_note(cases: pd.DataFrame) -> str:
    parts = []
    for (n, images), group in cases.groupby(["n", "images"], sort=False):
        names = " / ".join(name.replace(", ", " and ") for name in dict.fromkeys(group["case"]))
        parts.append(f"{n} {'chip' if n == 1 else 'chips'}, {images} images: {names}")
    return "; ".join(parts)

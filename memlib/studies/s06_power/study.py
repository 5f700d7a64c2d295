"""The study 06_power: energy, latency and area of dense, window and sparse layouts, by component and technology."""

from types import SimpleNamespace

import pandas as pd

from memlib.evidence.claims import Claim, Statement, below_times, exactly
from memlib.studies.drawing import Drawing
from memlib.studies.s06_power.array_power import BEST, D2D, evaluate, points
from memlib.studies.s06_power.components import by_component, plot_components
from memlib.studies.s06_power.machines import NAMES, Machine, comparison, machines, whole
from memlib.studies.s06_power.trade_offs import curves, plot_trade_offs
from memlib.studies.shared.effects import seeds_of
from memlib.studies.shared.trained_networks import inputs, label, network_of
from memlib.studies.study import Study, Sweep, Values, networks, same

#: Layouts that claims compare.
CLAIM_LAYOUTS = ("dense", BEST, "sparse", "sparse, unformed")
SPARSE = "the sparse layout, packed for the fewest tiles,"
#: Claims that the first layout needs less energy than the second, by id. Powers at equal speed have the same ratio, as
#: nothing leaks.
ENERGY_CLAIMS = {
    "sparse": ("sparse", "dense", f"{SPARSE} needs less energy than the dense one"),
    "unformed": (
        "sparse, unformed",
        "dense",
        f"{SPARSE} with unused cells unformed needs less energy than the dense one",
    ),
    "windows": (BEST, "dense", "the best windows need less energy than the dense layout"),
    "sparse_to_windows": ("sparse", BEST, f"{SPARSE} needs less energy than the best windows"),
}


def claims(results: pd.DataFrame) -> list[Claim]:
    """The claims about sparse, windows and dense, decided on `CLAIM_LAYOUTS`."""
    decided = []
    for checkpoint in dict.fromkeys(results["checkpoint"]):
        layouts = {layout: Machine.of(results, checkpoint, layout) for layout in CLAIM_LAYOUTS}
        decided += _circuit_claims(layouts["dense"], layouts["sparse"])
        for technology in NAMES:
            decided += _energy_claims(layouts, technology)
            decided += _copies_claims(layouts["dense"], layouts["sparse"], technology)
    return decided


def _circuit_claims(dense: Machine, sparse: Machine) -> list[Claim]:
    """The claims about how often circuits are used, which is counted, and about the arrays' power."""
    network, name = network_of(dense.checkpoint), label(dense.checkpoint)
    uses = sparse.footprint() / dense.footprint()
    decided = []
    for circuit, column in (("DAC", "row_activations"), ("ADC", "conversions")):
        text = f"{name}: {SPARSE} uses {circuit}s less often than the dense one"
        statement = Statement(f"uses/{circuit.lower()}/{network}", text, "power")
        decided.append(exactly(statement, float(uses[column]), uses[column] < 1))
    text = f"{name}: {SPARSE} needs less energy in its arrays than the dense one"
    ratio = sparse.interval(sparse.block_powers / dense.block_powers)
    return [*decided, below_times(Statement(f"energy/arrays/{network}", text, "power"), ratio)]


def _energy_claims(layouts: dict[str, Machine], technology: str) -> list[Claim]:
    decided = []
    for key, (first, second, text) in ENERGY_CLAIMS.items():
        a, b = layouts[first], layouts[second]
        shown = "06_power" if key == "sparse" else ""
        statement = _statement(f"energy/{key}", a.checkpoint, technology, text, "power", shown)
        decided.append(below_times(statement, a.interval(a.energies(technology) / b.energies(technology))))
    return decided


def _copies_claims(dense: Machine, sparse: Machine, technology: str) -> list[Claim]:
    """About the dense layout with copies; layers are pipelined and converters serial."""
    goal = whole(sparse.cost(technology))
    speed = dense.with_copies(technology, area=goal["area"])["interval"] / goal["interval"]
    area = goal["area"] / dense.with_copies(technology, interval=goal["interval"])["area"]
    fast = f"at equal area, {SPARSE} is faster than the dense one with copies"
    small = f"at equal speed, {SPARSE} is smaller than the dense one with copies"
    about = sparse.checkpoint, technology
    return [
        exactly(_statement("equal_area", *about, fast, "speed"), speed, speed > 1),
        exactly(_statement("equal_speed", *about, small, "area"), area, area < 1),
    ]


def _statement(key: str, checkpoint: str, technology: str, text: str, subject: str, headline: str = "") -> Statement:
    text = f"{label(checkpoint)}, {NAMES[technology]}: {text}"
    return Statement(f"{key}/{technology}/{network_of(checkpoint)}", text, subject, headline)


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    at = p.device, p.rows, p.bits
    return {
        "figure": Sweep(points(p.checkpoints, p.layouts, p.images, *at), seeds_of(p.device_seeds)),
        "claims": Sweep(points(p.checkpoints, CLAIM_LAYOUTS, p.claim_images, *at), seeds_of(p.claim_seeds)),
    }


STUDY = Study(
    name="06_power",
    parameters={
        "checkpoints": networks("resnet20", "vgg8"),
        "layouts": Values(
            ["dense", "2x2", "best windows", "4x4", "sparse", "8x8", "sparse, unformed"],
            ["dense", "best windows", "sparse", "sparse, unformed"],
        ),
        "device": same("10k_100k"),
        "rows": same(128),
        "bits": same(8),
        "images": Values(1000, 100),
        "device_seeds": Values(5, 3),
        "claim_images": Values(5000, 100),  # the smoke preset's claims take the figure's chips
        "claim_seeds": Values(10, 3),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "06_power": lambda run: by_component(run.sweep("figure")),
        "06_power_machines": lambda run: machines(run.sweep("figure")),
        "06_power_trade": lambda run: curves(run.sweep("figure")),
        "06_power_comparison": lambda run: comparison(run.sweep("figure")),
    },
    drawings={
        "06_power": Drawing(plot_components, ("06_power",)),
        "06_power_trade": Drawing(plot_trade_offs, ("06_power_machines", "06_power_trade")),
    },
    claims={"06_power": lambda run: claims(run.sweep("claims"))},
    inputs=lambda p: inputs(p.checkpoints) | {"d2d": D2D},
)

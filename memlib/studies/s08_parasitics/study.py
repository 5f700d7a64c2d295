"""The study 08_parasitics: what resistive wires do to accuracy, and how well their currents are computed."""

from types import SimpleNamespace

import pandas as pd

from memlib.evidence.claims import Claim, Statement, above
from memlib.evidence.comparisons import Comparison
from memlib.studies.drawing import Drawing
from memlib.studies.run import Run
from memlib.studies.s08_parasitics import accuracy, agreement, arrays
from memlib.studies.s08_parasitics.accuracy import points
from memlib.studies.shared.effects import Setting, evaluate, seeds_of
from memlib.studies.shared.trained_networks import convolutions, inputs, label, network_of, origin
from memlib.studies.study import Study, Sweep, Values, networks, same

#: Device, recalibration and tile size of the claims in the README.
IN_README = (("10k_100k", "none", 64), ("10k_100k", "none", 128), ("10k_100k", "gain", 128))


def claims(run: Run) -> list[Claim]:
    """The claims about wires on each tile size, on shared device seeds and images."""
    decided = []
    for x, loss in accuracy.losses(run.labelled("claims")):
        checkpoint, recalibration, device, size = (x[n] for n in ("checkpoint", "recalibration", "device", "tile_size"))
        setting = Setting(recalibration)
        key = f"wires/{network_of(checkpoint)}/{device}/{size}x{size}{setting.id}"
        text = f"wires of {x['r_wire']:g} ohm a segment cost over 1 point of accuracy on {size}x{size} tiles"
        headline = "08_parasitics" if (device, recalibration, size) in IN_README else ""
        about = Statement(key, f"{label(checkpoint)}, {device}: {text}{setting}", "wires", headline)
        decided.append(above(about, run.chips("claims").lost(loss), 0.01))
    return decided


def layout_claims(run: Run) -> list[Claim]:
    """The claims about wires in the sparse layout and the dense one, on the largest tiles."""
    p, decided, size = run.p, [], max(run.p.sparse_tile_sizes)
    lost = [(x, loss) for x, loss in accuracy.losses(run.labelled("layouts")) if x["tile_size"] == size]
    dense, sparse = ({x["r_wire"]: loss for x, loss in lost if x["sparse_layers"] == n} for n in (0, p.sparse_layers))
    layers = f"{p.sparse_layers} of {len(convolutions(p.sparse_checkpoint))} convolutions in the sparse layout"
    for ohm in dense:
        text = f"wires of {ohm:g} ohm a segment cost more with {layers} than with none ({size}x{size} tiles)"
        key = f"layout/{network_of(p.sparse_checkpoint)}/{p.sparse_device}/{ohm:g}_ohm"
        name = f"{accuracy.network_on_data(p.sparse_checkpoint)}, {p.sparse_device}"
        about = Statement(key, f"{name}: {text}", "wires, layout")
        extra = Comparison(about, ((1.0, sparse[ohm]), (-1.0, dense[ohm])))
        decided.append(above(about, extra.interval(run.chips("layouts"))))
    return decided


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    ways = {"recalibrations": p.recalibrations}
    figure = points(p.checkpoints, p.images, p.devices, p.tile_sizes, p.r_wire, **ways)
    at = p.devices, p.claim_tile_sizes, (0.0, p.claim_r_wire)
    sparse = [p.sparse_device], p.sparse_tile_sizes, p.sparse_r_wire, (0, p.sparse_layers)
    return {
        "figure": Sweep.labelled(figure, seeds_of(p.device_seeds)),
        "claims": Sweep.labelled(points(p.claim_checkpoints, p.claim_images, *at, **ways), seeds_of(p.claim_seeds)),
        "layouts": Sweep.labelled(points([p.sparse_checkpoint], p.sparse_images, *sparse), seeds_of(p.sparse_seeds)),
    }


def _tolerances(run: Run, sweep: str) -> pd.DataFrame:
    return accuracy.tolerances(run.chips(sweep), run.labelled(sweep))


STUDY = Study(
    name="08_parasitics",
    parameters={
        "checkpoints": networks("resnet20", "vgg8", smoke=("resnet20",)),
        "devices": Values(["10k_100k", "cmo_hfox", "ihp_hfo2", "neurram"], ["10k_100k", "ihp_hfo2"]),
        "tile_sizes": Values([32, 128, 64], [32, 64]),
        "r_wire": Values([0.0, 0.5, 2.0, 1.0, 4.0], [0.0, 2.0]),
        "recalibrations": same(["none", "gain"]),
        "images": Values(1000, 100),
        "device_seeds": same(2),
        "claim_checkpoints": networks("resnet20"),
        "claim_tile_sizes": Values([64, 32, 128], [64]),
        "claim_r_wire": same(1.0),
        "claim_images": Values(5000, 200),
        "claim_seeds": Values(10, 3),
        "sparse_checkpoint": same("resnet20-digits"),
        "sparse_device": same("10k_100k"),
        "sparse_layers": Values(19, 1),
        "sparse_tile_sizes": same([32]),
        "sparse_r_wire": Values([0.0, 2.0, 4.0, 8.0], [0.0, 4.0]),
        "sparse_images": Values(500, 50),
        "sparse_seeds": Values(3, 2),
        "arrays": Values(10, 3),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "08_parasitics": lambda run: run.tidy("figure"),
        "08_parasitics_tolerance": lambda run: _tolerances(run, "claims"),
        "08_parasitics_tolerance_exploratory": lambda run: _tolerances(run, "figure"),
        "08_parasitics_layouts": lambda run: run.tidy("layouts"),
        "08_parasitics_errors": lambda run: arrays.output_errors(run.p.devices, run.p.tile_sizes, run.p.arrays),
        "08_parasitics_sinh": lambda run: arrays.sinh_errors(run.p.devices[0], run.p.arrays),
        "08_parasitics_noise": lambda run: arrays.noise_ratios(run.p.devices[0], run.p.arrays),
        "08_parasitics_differences": lambda run: agreement.differences(run.once(agreement.agreement_of)),
        "08_parasitics_agreement": lambda run: agreement.currents(run.once(agreement.agreement_of)),
        "08_parasitics_spice": lambda run: agreement.currents(run.once(agreement.agreement_of), "ngspice current"),
    },
    programs={"08_parasitics_spice": "ngspice"},
    drawings={
        "08_parasitics": Drawing(accuracy.plot_accuracy, ("08_parasitics",), ("origin",)),
        "08_parasitics_layouts": Drawing(accuracy.plot_layouts, ("08_parasitics_layouts",)),
        "08_parasitics_errors": Drawing(
            arrays.plot_errors, ("08_parasitics_errors", "08_parasitics_sinh", "08_parasitics_noise")
        ),
        "08_parasitics_agreement": Drawing(agreement.plot_agreement, ("08_parasitics_differences",)),
    },
    claims={"08_parasitics": claims, "08_parasitics_layouts": layout_claims},
    inputs=lambda p: (
        inputs([*p.checkpoints, *p.claim_checkpoints, p.sparse_checkpoint])
        | {
            "origin": origin(p.checkpoints),
            "sparse_origin": origin([p.sparse_checkpoint]),
            "program_error": accuracy.PROGRAM_ERROR,
            "resistances": {name: vars(wires) for name, wires in agreement.RESISTANCES.items()},
        }
    ),
)

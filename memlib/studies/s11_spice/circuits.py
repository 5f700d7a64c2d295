"""Points of the study: the circuit of a network as it is designed, by its model or in ngspice, on test images."""

from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from memlib.base.checks import fail, one_of, whole
from memlib.circuits import circuit_netlist
from memlib.circuits.circuit import Amplifier, AnalogChip, Circuit, OperatingPoints, build_chip
from memlib.circuits.circuit_model import AnalogModel
from memlib.evidence.answers import pack
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import FROZEN, hardware_of, point_fields
from memlib.sweeps.points import Point, named
from memlib.zoo import digits_8x8

METHODS = ("model", "circuit", "step")
CALIBRATION_IMAGES = 256
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
#: The same in all circuits, V, ohm, Hz and A.
FIXED: dict[str, Any] = {
    "device": "10k_100k",
    "v_read": 0.3,
    "rail": 1.2,
    "r_difference": 100e3,
    "bandwidth": 100e6,
    "quiescent": 50e-6,
    "calibration_images": CALIBRATION_IMAGES,
}


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
    first = whole("first", first, 0)
    images = whole("images", images, 1, len(digits_8x8.images("test")[1]) - first)
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
    current = digits_8x8.manifest()[digits_8x8.name_of(hidden)]["sha256"], digits_8x8.identity()
    if current != (weights, pixels):
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
    """The results of one chip.

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
    model = solved = AnalogModel(chip).operating_points(volts)
    if point["method"] == "circuit":
        solved = circuit_netlist.operating_points(chip, volts)
    right = solved.decisions == labels
    result = {"accuracy": right.double().mean().item(), "correct": pack(right.numpy())}
    result |= {f"power_{name}": watts.mean().item() for name, watts in solved.power.items()}
    return result | ({"difference": difference(solved, model)} if point["method"] == "circuit" else {})


def difference(found: OperatingPoints, model: OperatingPoints) -> float:
    """Largest difference of output voltages, relative to the largest of them."""
    return float((found.outputs - model.outputs).abs().max() / found.outputs.abs().max())

"""Chips of trained networks under one effect at a time: what the studies of noise, capacity and training share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import fail, one_of, whole
from memlib.cells.device import Device
from memlib.cells.device_presets import PRESETS
from memlib.chip.recalibration import METHODS
from memlib.evidence.comparisons import Loss
from memlib.layers.mappable import matrix_layers
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import FROZEN, hardware_of, point_fields
from memlib.studies.drawing import note
from memlib.studies.shared.trained_networks import answers, by_layer, shared_fields, split
from memlib.sweeps.points import Point, named
from memlib.zoo.checkpoints import load_checkpoint

#: The hardware that effects are added to: an ideal device, 8-bit converters, and only cells that hold a weight.
BASE: dict[str, Any] = {
    "device": "10k_100k",
    "rows": 128,
    "cols": 128,
    "dac_bits": 8,
    "adc_bits": 8,
    "unused": "unformed",
}
#: The recalibrations of chips in words.
RECALIBRATIONS = {"none": "no recalibration", "gain": "columns rescaled", "batch_norm": "batch norm recalibrated"}
#: Accuracy of guessing, among the ten classes of both data sets.
CHANCE = 0.1
#: Resistances of wires take the sparse layout minutes a chip, see 08_parasitics.
DENSE_ONLY = ("wires",)


@dataclass(frozen=True)
class Effect:
    """An effect, and the fields that its severity sets."""

    title: str
    unit: str  #: of the severity, for axes
    names: tuple[str, ...]  #: fields of device or tile that are set to the severity
    constants: dict[str, float] = field(default_factory=dict)  #: fields that go with it
    of_unused_cells: bool = False  #: whether it makes the cells of a pair that holds no weight, both at HRS, differ


def _published(preset: str, *names: str) -> dict[str, float]:
    """Measured values of a device, by field."""
    return {name: PRESETS[preset][name] for name in names}


EFFECTS: dict[str, Effect] = {
    "program_error": Effect("programming error", "sigma by range", ("program_error",), of_unused_cells=True),
    "d2d": Effect("device-to-device variation", "relative sigma", ("d2d_on", "d2d_off"), of_unused_cells=True),
    "states": Effect("finite conductance states", "states", ("states",)),
    "stuck_on": Effect("stuck at LRS", "fraction of cells", ("stuck_on",), of_unused_cells=True),
    "stuck_off": Effect("stuck at HRS", "fraction of cells", ("stuck_off",)),
    "unformed": Effect("not formed", "fraction of cells", ("unformed",), of_unused_cells=True),
    "read_noise": Effect("read noise", "relative sigma", ("read_noise",), of_unused_cells=True),
    "retention": Effect(
        "retention (neurram)", "s", ("retention_time",), _published("neurram", "retention_spread"), of_unused_cells=True
    ),
    "endurance": Effect(
        "endurance (hfalo)",
        "cycles",
        ("endurance_cycles",),
        _published("hfalo", "endurance_onset", "endurance_on", "endurance_off"),
    ),
    "iv": Effect("sinh I-V", "v0 (V)", ("v0",)),
    "transistors": Effect("transistors", "ohm", ("r_transistor",)),
    "wires": Effect("wires", "ohm a segment", ("r_row", "r_col")),
    "dac_bits": Effect("DAC", "bits", ("dac_bits",)),
    "adc_bits": Effect("ADC", "bits", ("adc_bits",)),
    "adc_errors": Effect("ADC gain and offset", "relative sigma", ("adc_gain_error", "adc_offset_error")),
}


@named("accuracy")
def evaluate(point: Point, seed: int) -> dict[str, Any]:
    """Accuracy of one chip, and which images it gets right.

    Args:
        point: as `make_point` makes it; other fields of `trained_networks.by_layer` may be there, too.
        seed: device seed.

    Raises:
        ValueError: for another field, or if checkpoint or images are not those of the point.
    """
    shared, others = split(point)
    recalibration, own_images = others.pop("recalibration", "none"), others.pop("own_images", False)
    return answers(shared, by_layer(shared[0], others), seed, recalibration, own_images)


def make_point(
    checkpoint: str,
    images: int,
    effect: str = "program_error",
    severity: float = 0,
    recalibration: str = "none",
    own_images: bool = False,
    layer: str | None = None,
    **choices: Any,
) -> Point:
    """One network on one hardware; an effect of severity 0 is off and leaves no trace, nor does any other default.

    Args:
        recalibration: see `memlib.recalibrate`.
        own_images: whether every chip is recalibrated on images of its own; see `trained_networks.mapped`.
        layer: the one layer that has the effect, which must be of the device; None: all have.
        choices: device (a preset's name), layout (a text), and further fields of `Hardware.of`.

    Raises:
        ValueError: if no such hardware can be.
    """
    one_of("effect", effect, EFFECTS)
    one_of("recalibration", recalibration, METHODS)
    added = EFFECTS[effect]
    switched = dict.fromkeys(added.names, severity) | added.constants if severity else {}
    hardware = {**BASE, **switched, **choices}
    fields = point_fields(Hardware.of(**hardware)) | {"device_label": hardware["device"]}
    switches: dict[str, Any] = {}
    if recalibration != "none":
        switches["recalibration"] = recalibration
        if own_images:
            switches["own_images"] = True
    if layer:
        _check_layer(layer, checkpoint, added)
        switches["layer"] = layer
    return {**shared_fields(checkpoint, images), **fields, **switches}


def _check_layer(layer: str, checkpoint: str, effect: Effect) -> None:
    one_of("layer", layer, matrix_layers(load_checkpoint(checkpoint)))
    if not all(hasattr(Device, name) for name in effect.names):
        fail("layer", layer, f"None for {effect.title}, which is no effect of the device")


def seeds_of(n: int) -> Callable[[Point], range]:
    """Device seeds of a point: n of them, but one where chips do not differ.

    They differ by their hardware, or by what they are recalibrated on.

    Raises:
        ValueError: if n is below 2, which gives no interval over chips.
    """
    whole("device_seeds", n, 2)

    def seeds(point: Point) -> range:
        """All, or the first."""
        hardware = hardware_of({name: value for name, value in point.items() if name in FROZEN})
        return range(n if "own_images" in point or hardware.varies else 1)

    return seeds


def add_note(figure: Figure, frame: pd.DataFrame, origin: str, more: str) -> None:
    """Write below a figure where its images come from, and how many of everything there are."""
    chips = f", {frame['n'].max()} chips where anything is random" if frame["n"].max() > 1 else ""
    note(figure, f"{origin}: {frame['images'].max()} test images{chips}; {more}")


def chance_line(axis: Axes) -> None:
    """Draw the accuracy of guessing."""
    axis.axhline(100 * CHANCE, color="0.6", linewidth=0.7, linestyle=":")


@dataclass(frozen=True)
class Setting:
    """How chips are set up after programming."""

    recalibration: str = "none"  #: see `memlib.recalibrate`
    adc_calibration: str = "design"  #: see `Tile.adc_calibration`

    def __str__(self) -> str:
        """The words that statements add, such as " (batch norm recalibrated, ADC ranges of the chip)"."""
        parts = [RECALIBRATIONS[self.recalibration]] if self.recalibration != "none" else []
        parts += ["ADC ranges of the chip"] if self.adc_calibration == "chip" else []
        return f" ({', '.join(parts)})" if parts else ""

    @property
    def id(self) -> str:
        """The suffix of ids of claims, such as "/batch_norm/chip"."""
        parts = [self.recalibration] if self.recalibration != "none" else []
        parts += [self.adc_calibration] if self.adc_calibration != "design" else []
        return "".join(f"/{part}" for part in parts)


def settings(recalibrations: Sequence[str], ranges: Sequence[str]) -> list[Setting]:
    """All combinations."""
    return [Setting(recalibration, calibration) for recalibration in recalibrations for calibration in ranges]


PLAIN = Setting()


def loss_of(checkpoint: str, images: int, effect: str, severity: float, setting: Setting = PLAIN, **more: Any) -> Loss:
    """The loss of a network by an effect in a setting. Each recalibrated chip uses images of its own.

    Args:
        more: see `make_point`.
    """
    if setting.adc_calibration != "design":
        more["adc_calibration"] = setting.adc_calibration
    how: dict[str, Any] = {"recalibration": setting.recalibration, "own_images": True}
    return Loss(*(make_point(checkpoint, images, effect, level, **how, **more) for level in (severity, 0)))

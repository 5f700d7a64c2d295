"""Chips of trained networks under one effect at a time: what the studies of noise, capacity and training share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import fail, one_of, whole
from memlib.cells.device import Device
from memlib.cells.device_presets import PRESETS
from memlib.chip.recalibration import METHODS
from memlib.evidence.answers import unpack
from memlib.evidence.claims import Claim, Statement, above
from memlib.evidence.intervals import Interval, crossed_interval
from memlib.layers.mappable import matrix_layers
from memlib.mapping.hardware import Hardware
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.trained_networks import answers, shared_fields, split
from memlib.sweeps.points import Point
from memlib.zoo.checkpoints import load_checkpoint

#: The hardware that effects are added to: an ideal device, 8-bit converters, and no cells but those that hold a weight.
BASE = {"device": "10k_100k", "rows": 128, "cols": 128, "dac_bits": 8, "adc_bits": 8, "unused": "unformed"}
#: What a chip may be recalibrated by, in words.
RECALIBRATIONS = {"none": "no recalibration", "gain": "columns rescaled", "batch_norm": "batch norm recalibrated"}
#: Accuracy of guessing, among the ten classes of both data sets; below twice that a network counts as lost.
CHANCE = 0.1
FLOOR = 2 * CHANCE
#: Fields of a point that say what its hardware is.
HARDWARE = {"device"}.union(f.name for kind in (Device, Tile, Mapping) for f in fields(kind))
#: Resistances of wires take the sparse layout minutes a chip, see 08_parasitics.
DENSE_ONLY = ("wires",)


@dataclass(frozen=True)
class Effect:
    """What a severity sets."""

    title: str
    unit: str  #: of the severity, for axes
    names: tuple[str, ...]  #: fields of device or tile that are set to the severity
    constants: dict[str, float] = field(default_factory=dict)  #: fields that go with it
    of_unused_cells: bool = False  #: whether it makes the cells of a pair that holds no weight, both at HRS, differ


def _published(preset: str, *names: str) -> dict[str, float]:
    """What was measured of a device, by field."""
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


def evaluate(point: Point, seed: int) -> dict[str, Any]:
    """Accuracy of one chip, and which images it gets right.

    Args:
        point: as `make_point` makes it.
        seed: device seed.

    Raises:
        ValueError: if checkpoint or images are not those of the point.
    """
    shared, others = split(point)
    recalibration, own_images = others.pop("recalibration", "none"), others.pop("own_images", False)
    layer = others.pop("layer", None)
    hardware = hardware_of(**others)
    by_layer = {"*": hardware}
    if layer:
        by_layer = {"*": hardware.replace(device=hardware.device.ideal()), layer: hardware}
    return answers(shared, by_layer, seed, recalibration, own_images)


def hardware_of(device: str, **choices: Any) -> Hardware:
    """From a device preset's name and fields of device, tile and mapping."""
    changes, tile, mapping = (
        {f.name: choices.pop(f.name) for f in fields(kind) if f.name in choices} for kind in (Device, Tile, Mapping)
    )
    for name in choices:
        fail("field", name, "a field of Device, Tile or Mapping")
    return Hardware(Device.preset(device).replace(**changes), Tile(**tile), Mapping(**mapping))


def make_point(
    checkpoint: str,
    images: int,
    effect: str = "program_error",
    severity: float = 0,
    layout: str = "dense",
    recalibration: str = "none",
    own_images: bool = False,
    layer: str | None = None,
    **choices: Any,
) -> Point:
    """One network on one hardware; an effect of severity 0 is off and leaves no trace, nor does any other default.

    Args:
        recalibration: see `memlib.recalibrate`.
        own_images: whether every chip is recalibrated on images of its own; see `trained.mapped`.
        layer: the one layer that has the effect, which must be of the device; None: all have.
        choices: further fields of device, tile or mapping.

    Raises:
        ValueError: if no such hardware can be.
    """
    one_of("effect", effect, EFFECTS)
    one_of("recalibration", recalibration, METHODS)
    chosen = EFFECTS[effect]
    switched = dict.fromkeys(chosen.names, severity) | chosen.constants if severity else {}
    hardware: dict[str, Any] = {**BASE, **switched, **choices}
    if layout != "dense":
        hardware["layout"] = layout
    hardware_of(**hardware)
    switches: dict[str, Any] = {}
    if recalibration != "none":
        switches["recalibration"] = recalibration
        if own_images:
            switches["own_images"] = True
    if layer:
        _check_layer(layer, checkpoint, chosen)
        switches["layer"] = layer
    return {**shared_fields(checkpoint, images), **hardware, **switches}


def _check_layer(layer: str, checkpoint: str, effect: Effect) -> None:
    one_of("layer", layer, matrix_layers(load_checkpoint(checkpoint)))
    if not all(hasattr(Device, name) for name in effect.names):
        fail("layer", layer, f"None for {effect.title}, which is no effect of the device")


def seeds_of(n: int) -> Callable[[Point], range]:
    """Device seeds of a point: n of them, but one where chips do not differ.

    They differ by their hardware, or by what they are recalibrated on.

    Raises:
        ValueError: if n is below 2, of which no interval over chips can be made.
    """
    whole("device_seeds", n, 2)

    def seeds(point: Point) -> range:
        """All, or the first."""
        hardware = hardware_of(**{name: value for name, value in point.items() if name in HARDWARE})
        return range(n if "own_images" in point or hardware.varies else 1)

    return seeds


class Chips:
    """The results of a sweep, by point."""

    def __init__(self, results: pd.DataFrame) -> None:
        names = list(results)[: list(results).index("seed")]
        self._hits: dict[frozenset, np.ndarray] = {}
        for _, group in results.groupby(names, dropna=False, sort=False):
            group = group.sort_values("seed")
            hits = [unpack(text, n) for text, n in zip(group["correct"], group["images"], strict=True)]
            self._hits[_key(group.iloc[0][names].dropna().to_dict())] = np.stack(hits).astype(float)

    def hits(self, point: Point) -> np.ndarray:
        """(seeds, images) 1.0 or 0.0 for right or wrong; one row where chips do not differ.

        Raises:
            KeyError: if the sweep had no such point.
        """
        return self._hits[_key(point)]

    def loss(self, loss: "Loss") -> np.ndarray:
        """(seeds, images) what each image lost: -1, 0 or 1."""
        return self.hits(loss.baseline) - self.hits(loss.point)

    def lost(self, loss: "Loss") -> Interval:
        """The mean of `loss` with its 95 % interval."""
        return crossed_interval(self.loss(loss), low=-1, extra=1)


def _key(point: Point) -> frozenset:
    return frozenset(point.items())


Labelled = Sequence[tuple[dict[str, Any], Point]]


def tidy(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """A row per labelled point: its labels, and mean accuracy over chips with its 95 % interval."""
    chips = Chips(results)
    return pd.DataFrame([labels | crossed_interval(chips.hits(point)).columns() for labels, point in labelled])


def add_note(figure: Figure, frame: pd.DataFrame, origin: str, more: str) -> None:
    """Write below a figure where its images come from, and how many of everything there are."""
    chips = f", {frame['n'].max()} chips where anything is random" if frame["n"].max() > 1 else ""
    note = f"{origin}: {frame['images'].max()} test images{chips}; {more}"
    figure.text(0.01, 0.006, note, fontsize="small", color="0.3")


def chance_line(axis: Axes) -> None:
    """Draw the accuracy of guessing."""
    axis.axhline(100 * CHANCE, color="0.6", linewidth=0.7, linestyle=":")


@dataclass(frozen=True)
class Setting:
    """How chips are set up after programming."""

    recalibration: str = "none"  #: see `memlib.recalibrate`
    adc_calibration: str = "design"  #: see `Tile.adc_calibration`

    def __str__(self) -> str:
        """What statements add, such as " (batch norm recalibrated, ADC ranges of the chip)"."""
        parts = [RECALIBRATIONS[self.recalibration]] if self.recalibration != "none" else []
        parts += ["ADC ranges of the chip"] if self.adc_calibration == "chip" else []
        return f" ({', '.join(parts)})" if parts else ""

    @property
    def id(self) -> str:
        """What ids of claims add, such as "/batch_norm/chip"."""
        parts = [self.recalibration] if self.recalibration != "none" else []
        parts += [self.adc_calibration] if self.adc_calibration != "design" else []
        return "".join(f"/{part}" for part in parts)


def settings(recalibrations: Sequence[str], ranges: Sequence[str]) -> list[Setting]:
    """All combinations."""
    return [Setting(recalibration, calibration) for recalibration in recalibrations for calibration in ranges]


PLAIN = Setting()


@dataclass(frozen=True)
class Loss:
    """What an effect costs a network on some hardware, in a setting."""

    point: Point
    baseline: Point  #: the same without the effect

    @classmethod
    def of(
        cls, checkpoint: str, images: int, effect: str, severity: float, setting: Setting = PLAIN, **more: Any
    ) -> "Loss":
        """See `make_point`, which takes `more`; every chip that is recalibrated is so on images of its own."""
        if setting.adc_calibration != "design":
            more["adc_calibration"] = setting.adc_calibration

        def point(level: float) -> Point:
            """At a severity."""
            how = setting.recalibration
            return make_point(checkpoint, images, effect, level, recalibration=how, own_images=True, **more)

        return cls(point(severity), point(0))


@dataclass(frozen=True)
class Comparison:
    """The claim that a weighted sum of losses is above 0, decided on the same device seeds and images."""

    statement: Statement
    terms: tuple[tuple[float, Loss], ...]  #: weight and loss

    @property
    def points(self) -> list[Point]:
        """All that it needs."""
        return [point for _, loss in self.terms for point in (loss.baseline, loss.point)]

    def claim(self, chips: Chips) -> Claim:
        """The claim, decided on the results of a sweep.

        A network at chance cannot lose any more, so its loss is too small: a sum that adds it is too low, and one that
        subtracts it too high. A verdict that a larger loss could turn around is undecided.
        """
        claim = above(self.statement, self.interval(chips))
        floored = [weight for weight, loss in self.terms if chips.hits(loss.point).mean() < FLOOR]
        hidden = {"confirmed": min(floored, default=0) < 0, "refuted": max(floored, default=0) > 0}
        verdict = "undecided" if hidden.get(claim.verdict) else claim.verdict
        return replace(claim, verdict=verdict, at_chance=bool(floored))

    def interval(self, chips: Chips) -> Interval:
        """Of the sum, over device seeds and images."""
        bound = sum(abs(weight) for weight, _ in self.terms)
        total = sum((weight * chips.loss(loss) for weight, loss in self.terms), np.zeros(1))
        return crossed_interval(total / bound, low=-1, extra=1).scaled(bound)

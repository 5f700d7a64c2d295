"""A study: all that one notebook asks, in one object.

Its parameters at both presets, its points, tables, drawings and claims are named here once. A notebook, the command
line and the redrawing of figures all take them from here (`memlib.studies.run.Run`, `memlib.studies.registry.STUDIES`).
"""

from collections.abc import Callable, Iterable, Mapping as MappingType, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from memlib.evidence.claims import Claim
from memlib.evidence.comparisons import Comparison, Labelled
from memlib.sweeps.points import Evaluate, Point
from memlib.zoo.checkpoints import CheckpointError

if TYPE_CHECKING:
    from memlib.studies.drawing import Drawing

PRESETS = ("smoke", "paper")
#: The data set of each preset's networks, by which checkpoints are named.
DATA = {"smoke": "digits", "paper": "cifar10"}
#: Of every point, or of each.
Seeds = Iterable[int] | Callable[[Point], Iterable[int]]

#: What making points raises for parameters of which none can be made.
WRONG = (ValueError, TypeError, LookupError, CheckpointError)


class Values(NamedTuple):
    """A parameter's value at each preset."""

    paper: Any
    smoke: Any


def same(value: Any) -> Values:
    """A parameter with one value at both presets."""
    return Values(value, value)


def networks(*names: str, smoke: Sequence[str] | None = None) -> Values:
    """Checkpoints of these networks: trained on CIFAR-10, and on digits.

    Args:
        names: without the data set, such as "resnet20-0.5".
        smoke: those of the smoke preset; None: the same networks.
    """
    small = names if smoke is None else smoke
    return Values([f"{name}-{DATA['paper']}" for name in names], [f"{name}-{DATA['smoke']}" for name in small])


@dataclass(frozen=True)
class Sweep:
    """Points that are evaluated together, and their device seeds."""

    points: Sequence[Point]
    seeds: Seeds
    labels: Sequence[dict[str, Any]] = ()  #: of each point, for tables
    comparisons: Sequence[Comparison] = ()  #: that the points are for

    @classmethod
    def labelled(cls, labelled: Labelled, seeds: Seeds) -> "Sweep":
        """The points of a table."""
        return cls([point for _, point in labelled], seeds, labels=[labels for labels, _ in labelled])

    @classmethod
    def compared(cls, comparisons: Sequence[Comparison], seeds: Seeds) -> "Sweep":
        """The points of claims."""
        return cls([point for c in comparisons for point in c.points], seeds, comparisons=comparisons)


@dataclass(frozen=True)
class Study:
    """All that one notebook asks, and how it is answered."""

    name: str  #: of the notebook, such as "05_tile_size"
    parameters: dict[str, Values]  #: in the order of the notebook's parameters cell
    #: How each table is made from a `memlib.studies.run.Run`; keys are names of csv files.
    tables: dict[str, Callable[[Any], pd.DataFrame]]
    drawings: dict[str, "Drawing"]  #: by the name of the figure
    digits: int | None = None  #: significant digits of all tables, fewer than usual where processors differ in the last
    #: Tables that need a program beyond the locked packages, and which: without it they are left out.
    programs: dict[str, str] = field(default_factory=dict)
    light: tuple[str, ...] = ()  #: presets whose points take less time than worker processes take to start
    claims: dict[str, Callable[[Any], list[Claim]]] = field(default_factory=dict)  #: by the figure that carries them
    evaluate: Evaluate | None = None  #: of one point; None: nothing is swept
    #: From parameters to the points that do not depend on results, by name.
    sweeps: Callable[[SimpleNamespace], dict[str, Sweep]] = lambda p: {}
    #: Raises a ValueError for parameters that are wrong though points can be made of them.
    requires: Callable[[SimpleNamespace], Any] = lambda p: None
    #: From parameters to what else decides the figures, for their provenance: checksums, constants.
    inputs: Callable[[SimpleNamespace], dict[str, Any]] = lambda p: {}

    def preset(self, preset: str) -> dict[str, Any]:
        """The parameters of a preset, "smoke" or "paper"."""
        return {name: getattr(values, preset) for name, values in self.parameters.items()}

    def namespace(self, parameters: MappingType[str, Any]) -> SimpleNamespace:
        """The study's parameters as attributes, of a dict that may hold more."""
        return SimpleNamespace(**{name: parameters[name] for name in self.parameters})

    def check(self, parameters: MappingType[str, Any], given: Iterable[str] = ()) -> None:
        """Refuse parameters that make no points, or of which a study knows by itself that they are wrong.

        Args:
            parameters: all of the study's.
            given: those that a user changed. The error names the one that is wrong.

        Raises:
            ValueError: if they cannot be.
        """
        try:
            self._try(parameters)
        except WRONG as error:
            name, why = self._culprit(parameters, given), str(error)
            if name and not why.startswith(f"{name}="):
                why = f"{name}={parameters[name]!r}: {why}"
            raise ValueError(f"{self.name}: {why}") from error

    def _try(self, parameters: MappingType[str, Any]) -> None:
        p = self.namespace(parameters)
        self.requires(p)
        self.sweeps(p)

    def _culprit(self, parameters: MappingType[str, Any], given: Iterable[str]) -> str | None:
        """The given parameter that is wrong by itself, beside the smoke preset's others; else the last one given."""
        last = None
        for last in given:
            try:
                self._try(self.preset("smoke") | {last: parameters[last]})
            except WRONG:
                return last
        return last

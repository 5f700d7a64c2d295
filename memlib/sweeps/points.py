"""Points of a sweep: frozen configurations with a content hash over everything that decides their result."""

import hashlib
import importlib
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Mapping as MappingType, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from memlib.base.checks import fail, whole

Point = dict[str, Any]
Evaluate = Callable[[Point, int], dict[str, Any]]
Axes = MappingType[str, Sequence[Any]] | Sequence[Point]

#: Part of every point's key; "analog" stands for chip and hardware too. From the first release on, raise a module's
#: number when its results change, and only then. Modules that are not listed (placement, programming, conduction,
#: parasitics, reads, ranges, load, cost) count as 1, since a new entry would change every key.
PHYSICS = {
    "streams": 1,
    "device": 1,
    "mapping": 1,
    "tile": 1,
    "layers": 1,
    "calibration": 1,
    "analog": 1,
    "accuracy": 1,
    "data": 1,
    "networks": 1,
}


def dumps(value: Any) -> str:
    """Canonical JSON; NumPy's scalars become Python's.

    Raises:
        TypeError: for a value that JSON does not know.
        ValueError: for a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, default=_plain, allow_nan=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(
        f"{value!r} of type {type(value).__name__}: must be a number, a text, a bool, None, or lists of these"
    )


def grid(axes: MappingType[str, Sequence[Any]]) -> list[Point]:
    """All combinations of the axes' values, the last axis fastest.

    Raises:
        ValueError: for an axis that is not a list of at least one value.
    """
    for name, values in axes.items():
        if not isinstance(values, Iterable) or isinstance(values, (str, MappingType)) or not len(values):
            fail(f"axes[{name!r}]", values, "a list of at least one value")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


@dataclass(frozen=True)
class Task:
    """A point at one device seed. The point is kept as text, so that nothing can change it after it was hashed."""

    evaluate: str  #: "module.function"
    text: str  #: the point, canonical JSON
    seed: int

    @property
    def point(self) -> Point:
        """The point's fields."""
        return json.loads(self.text)

    @cached_property
    def key(self) -> str:
        """SHA-256 of what decides the result. A field that is None counts as left out, 8.0 as 8."""
        content = {
            "evaluate": self.evaluate,
            "point": {name: _whole_floats(value) for name, value in self.point.items() if value is not None},
            "seed": self.seed,
            "physics": PHYSICS,
        }
        return hashlib.sha256(dumps(content).encode()).hexdigest()


def _whole_floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole_floats(item) for item in value]
    if isinstance(value, dict):
        return {name: _whole_floats(item) for name, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def name_of(evaluate: Evaluate) -> str:
    """The "module.function" by which every worker can import `evaluate`.

    Raises:
        ValueError: if no other process could import it.
    """
    name = f"{getattr(evaluate, '__module__', None)}.{getattr(evaluate, '__qualname__', None)}"
    if not callable(evaluate) or "<" in name or name.startswith(("__main__.", "None.")) or name.endswith(".None"):
        fail(
            "evaluate", evaluate, "a function of a module (not of a notebook or script), so that workers can import it"
        )
    return name


def import_function(name: str) -> Callable[..., Any]:
    """The function that "module.function" or "module:function" names.

    Raises:
        ValueError: if there is no such module or function.
    """
    module, _, function = name.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"evaluate={name!r}: must be an importable 'module:function' ({error})") from error


def code_of(name: str) -> str:
    """SHA-256 of the file of the module in "module.function", as it is now; of nothing, if there is no file.

    Raises:
        ValueError: if there is no such module or function.
    """
    import_function(name)
    file = getattr(sys.modules[name.rpartition(".")[0]], "__file__", None)
    return hashlib.sha256(Path(file).read_bytes() if file else b"").hexdigest()


def tasks(points: Iterable[Point], evaluate: Evaluate, seeds: Callable[[Point], Iterable[int]]) -> dict[str, Task]:
    """Every point at each of its seeds, by key, in the order given; equal ones once.

    Raises:
        ValueError: for a field that is not JSON, a number that is not finite, or a seed that is not a whole number.
    """
    name = name_of(evaluate)
    found: dict[str, Task] = {}
    for point in points:
        text = text_of(point)
        for seed in seeds(point):
            whole("seed", seed, 0)
            task = Task(name, text, int(seed))
            found.setdefault(task.key, task)
    return found


def text_of(point: Point) -> str:
    """A point as canonical JSON.

    Raises:
        ValueError: for a field that is not JSON, or a number that is not finite.
    """
    if not isinstance(point, dict) or not all(isinstance(name, str) for name in point):
        fail("point", point, "a dict whose keys are texts")
    for name in ("seed", "error", "evaluate"):
        if name in point:
            fail("point", point, f"without a field {name!r}, which is a column of every store")
    for name, value in point.items():
        try:
            dumps(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"point[{name!r}]: {error}") from error
    return dumps(point)

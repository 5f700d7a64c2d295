"""Points of a sweep: frozen configurations with a content hash over everything that decides their result.

Fields whose names end in "_label", such as "device_label", are shown in tables and decide nothing: they say what a
study calls a point whose other fields say what it is.
"""

import hashlib
import importlib
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping as MappingType
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from memlib.base.canonical import deciding, dumps, dumps_field
from memlib.base.checks import fail, whole
from memlib.sweeps.physics import physics_of

Point = dict[str, Any]
Evaluate = Callable[[Point, int], dict[str, Any]]
Axes = MappingType[str, Iterable[Any]] | Iterable[Point]
Function = TypeVar("Function", bound=Callable[..., Any])

#: What a name of a function looks like: no path, which would change with the function's place.
NAME = r"[a-z][a-z0-9_ ]*"


def grid(axes: MappingType[str, Iterable[Any]]) -> list[Point]:
    """All combinations of the axes' values, the last axis fastest. Raises ValueError for what is no list of values."""
    lists = {name: _listed(name, values) for name, values in axes.items()}
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def _listed(name: str, values: Any) -> list[Any]:
    """An axis's values, also of an iterator."""
    no_list = not isinstance(values, Iterable) or isinstance(values, str | bytes | MappingType)
    found = [] if no_list or getattr(values, "ndim", 1) == 0 else list(values)
    return found or fail(f"axes[{name!r}]", values, "a list of at least one value")


@dataclass(frozen=True)
class Task:
    """A point at one device seed. The point is kept as text, so that nothing can change it after it was hashed."""

    evaluate: str  #: the name of the function, see `named`
    text: str  #: the point, canonical JSON
    seed: int
    function: str = field(default="", compare=False)  #: "module.function", to import it; unknown of what a store holds

    @property
    def point(self) -> Point:
        """The point's fields."""
        return json.loads(self.text)

    @cached_property
    def physics(self) -> dict[str, int]:
        """The numbers of what acts in the point, see `sweeps.physics`."""
        return physics_of(deciding(self.point))

    @cached_property
    def key(self) -> str:
        """SHA-256 of what decides the result. A field that is None counts as left out, 8.0 as 8; labels do not."""
        content = {"evaluate": self.evaluate, "point": deciding(self.point), "seed": self.seed, "physics": self.physics}
        return hashlib.sha256(dumps(content).encode()).hexdigest()


def named(name: str) -> Callable[[Function], Function]:
    """Name a function of a sweep, so that its results are found again wherever it moves.

    Raises ValueError for anything but lower-case letters, digits, spaces and underscores, a letter first.
    """
    if not re.fullmatch(NAME, name):
        fail("name", name, "lower-case letters, digits, spaces and underscores, a letter first")

    def mark(function: Function) -> Function:
        function.sweep_name = name  # type: ignore[attr-defined]
        return function

    return mark


def path_of(evaluate: Evaluate) -> str:
    """The "module.function" by which workers can import `evaluate`. Raises ValueError if no other process could."""
    path = f"{getattr(evaluate, '__module__', None)}.{getattr(evaluate, '__qualname__', None)}"
    if not callable(evaluate) or "<" in path or path.startswith(("__main__.", "None.")) or path.endswith(".None"):
        fail("evaluate", evaluate, "a function of a module, not of a notebook or script: workers import it")
    return path


def import_function(name: str) -> Callable[..., Any]:
    """The function that "module.function" or "module:function" names. Raises ValueError if there is none."""
    module, _, function = name.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"evaluate={name!r}: must be an importable 'module:function' ({error})") from error


def code_of(name: str) -> str:
    """SHA-256 of the file of the module in "module.function", as it is now; of nothing, if there is no file.

    Raises ValueError if there is no such module or function.
    """
    import_function(name)
    file = getattr(sys.modules[name.rpartition(".")[0]], "__file__", None)
    return hashlib.sha256(Path(file).read_bytes() if file else b"").hexdigest()


def tasks(points: Iterable[Point], evaluate: Evaluate, seeds: Callable[[Point], Iterable[int]]) -> dict[str, Task]:
    """Every point at each of its seeds, by key, in the order given; equal ones once, with the labels of the first.

    Raises ValueError for a field that is not JSON, a number that is not finite, or a seed that is not a whole number.
    """
    path = path_of(evaluate)
    name = getattr(evaluate, "sweep_name", path)
    by_key: dict[str, Task] = {}
    for point in points:
        text = text_of(point)
        for seed in seeds(point):
            task = Task(name, text, whole("seed", seed, 0), path)
            by_key.setdefault(task.key, task)
    return by_key


def text_of(point: Point) -> str:
    """A point as canonical JSON. Raises ValueError for a field that is not JSON, or a number that is not finite."""
    if not isinstance(point, dict) or not all(isinstance(name, str) for name in point):
        fail("point", point, "a dict whose keys are texts")
    for name in ("seed", "error", "evaluate"):
        if name in point:
            fail("point", point, f"without a field {name!r}, which is a column of every store")
    for name, value in point.items():
        dumps_field(f"point[{name!r}]", value)
    return dumps(point)

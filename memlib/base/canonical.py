"""One text for one content: canonical JSON, and the fields of a point that decide its result."""

import json
from collections.abc import Mapping as MappingType
from typing import Any

LABEL = "_label"  #: how the names of labels end: fields of a point that tables show, and that decide nothing


def dumps_field(name: str, value: Any) -> str:
    """Canonical JSON of a field. Raises ValueError that names it, for a value that JSON does not know or a NaN."""
    try:
        return dumps(value)
    except (TypeError, ValueError) as error:
        shape = getattr(value, "shape", ())
        what = f"an array of shape {tuple(shape)}" if shape else repr(value)
        what = what if len(what) <= 100 else f"{what[:100]}..."  # of many lines, perhaps
        allowed = "a finite number, a text, True, False, None, or a list of these"
        raise ValueError(f"{name}={' '.join(what.split())}: must be {allowed}") from error


def dumps(value: Any) -> str:
    """Canonical JSON; NumPy's scalars become Python's.

    Raises TypeError for a value that JSON does not know, and ValueError for a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, default=_plain, allow_nan=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "item") and not value.ndim:
        return value.item()
    raise TypeError(f"{value!r} of type {type(value).__name__}: must be a number, a text, a bool, None, or a list")


def deciding(point: MappingType[str, Any]) -> dict[str, Any]:
    """The fields of a point that decide its result: no label, and none that is None; 8.0 is 8."""
    return {name: _whole_floats(v) for name, v in point.items() if v is not None and not name.endswith(LABEL)}


def _whole_floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole_floats(item) for item in value]
    if isinstance(value, dict):
        return {name: _whole_floats(item) for name, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value

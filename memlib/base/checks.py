"""Checks of user input: every error names the field, the value and what is allowed.

Only the checks of tensors import torch, which takes a second: command lines and sweeps that do without start at once.
"""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, NoReturn

#: Far enough from the ends of float64 that squares, and products of a few such numbers, stay in it.
SMALLEST, LARGEST = 1e-60, 1e60
LARGEST_WHOLE = 2**63 - 1  #: what SQLite and torch take for a whole number


def fail(field: str, value: Any, allowed: str) -> NoReturn:
    """Raise the ValueError that all checks share."""
    raise ValueError(f"{field}={value!r}: must be {allowed}")


def is_number(value: Any) -> bool:
    """True for a finite int or float that is not a bool, nor too large for float64."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def one_of(field: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise unless `value` is one of `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        fail(field, value, "one of " + ", ".join(map(repr, allowed)))


def positive(field: str, value: Any, none: bool = False) -> None:
    """Raise unless `value` is a finite number above 0, from `SMALLEST` to `LARGEST`, or None where `none` allows it."""
    if none and value is None:
        return
    if not is_number(value) or value <= 0:
        fail(field, value, "a finite number above 0")
    in_range(field, value, SMALLEST, LARGEST)


def in_range(field: str, value: Any, low: float, high: float, what: str = "a number") -> None:
    """Raise unless `value` is a number in [low, high]."""
    if not is_number(value) or not low <= float(value) <= high:
        fail(field, value, f"{what} from {low:g} to {high:g}" if high < float("inf") else f"{what}, at least {low:g}")


def rows_of(field: str, value: Any, columns: int | None = None, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise unless `value` is a tensor (images, columns), not empty, of finite numbers in [low, high]."""
    from torch import Tensor

    if not isinstance(value, Tensor):
        fail(field, value, "a tensor")
    if value.dim() != 2 or not value.numel() or columns not in (None, value.shape[1]):
        fail(f"{field}.shape", tuple(value.shape), f"(images, {'inputs' if columns is None else columns})")
    wrong = value[~(value.isfinite() & (value >= low) & (value <= high))]
    if wrong.numel():
        bounds = "" if low == -high == -float("inf") else f", from {low:g} to {high:g}"
        fail(field, wrong[0].item(), f"finite{bounds}, everywhere")


def images_of(field: str, value: Any) -> None:
    """Raise unless `value` is a tensor of at least one image."""
    from torch import Tensor

    if not isinstance(value, Tensor) or value.dim() < 2 or not len(value):
        what = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        fail(field, what, "a tensor of at least one image, (n, *input shape)")


def yes_or_no(field: str, value: Any) -> None:
    """Raise unless `value` is True or False."""
    if not isinstance(value, bool):
        fail(field, value, "True or False")


def whole(field: str, value: Any, low: int, high: int | None = None, none: bool = False) -> Any:
    """Raise unless `value` is a whole number in [low, high], or None where `none` allows it; the number as an int.

    To calculate with NumPy's would overflow: 200 * 200 is 64 in uint8.
    """
    if none and value is None:
        return None
    found = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if high is None and found is not None and found > LARGEST_WHOLE:
        high = LARGEST_WHOLE
    if found is None or found < low or (high is not None and found > high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        fail(field, value, f"a whole number {bounds}" + (", or None for off" if none else ""))
    return found

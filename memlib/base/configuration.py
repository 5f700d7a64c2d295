"""Frozen configuration: dataclasses whose every wrong field or value raises at once."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

import numpy as np

T = TypeVar("T", bound="Config")


@dataclass_transform(frozen_default=True)
def config(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass whose constructor names an unknown field and lists the allowed ones (TypeError).

    NumPy's numbers, texts and bools become Python's, also in tuples and lists: those of 8 bits would overflow later.
    """
    cls = dataclasses.dataclass(frozen=True, repr=False)(cls)
    create = cls.__init__

    @functools.wraps(create)
    def checked(self: T, *args: Any, **kwargs: Any) -> None:
        names = [field.name for field in dataclasses.fields(cls)]
        for name in kwargs:
            if name not in names:
                raise TypeError(f"{cls.__name__}({name}={kwargs[name]!r}): unknown field; allowed: {', '.join(names)}")
        create(self, *map(_plain, args), **{name: _plain(value) for name, value in kwargs.items()})

    cls.__init__ = checked  # type: ignore[assignment, method-assign]
    return cls


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        return type(value)(map(_plain, value))
    return value


class Config:
    """The base of all configurations: changed copies, and a short repr."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def check(self, rule: Callable[..., None], *names: str, **limits: Any) -> None:
        """Check these fields by a rule of `memlib.base.checks`, with its further arguments."""
        for name in names:
            rule(name, getattr(self, name), **limits)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked like a new one."""
        return dataclasses.replace(self, **changes)

    def __repr__(self) -> str:
        """The call that makes it, without the fields at their default."""
        fields = [(field, getattr(self, field.name)) for field in dataclasses.fields(self)]
        changed = [f"{f.name}={value!r}" for f, value in fields if getattr(value, "ndim", 0) or value != f.default]
        return f"{type(self).__name__}({', '.join(changed)})"

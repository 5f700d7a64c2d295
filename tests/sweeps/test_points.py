"""Points: what their text and key say, and functions by their names."""

import json
import random
import sys
from collections.abc import Callable

import numpy as np
import pytest
import sweep_functions
from hypothesis import given, strategies as st

from memlib.sweeps.points import Task, import_function, text_of


def test_functions_by_name():
    """As "module:function" or "module.function"."""
    assert import_function("sweep_functions:digest") is sys.modules["sweep_functions"].digest
    assert import_function("sweep_functions.digest") is sweep_functions.digest
    for name in ("sweep_functions:nothing", "no_such_module:f", "alone"):
        with pytest.raises(ValueError, match=f"evaluate='{name}': must be an importable 'module:function'"):
            import_function(name)


numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.none() | st.booleans() | numbers | st.text(max_size=5)
names = st.text(min_size=1, max_size=5).filter(lambda name: name not in ("seed", "error", "evaluate"))
points = st.dictionaries(names, plain | st.lists(plain, max_size=3), max_size=5)


def as_numpy(value):
    kinds: dict[type, Callable] = {int: np.int64, float: np.float64, bool: np.bool_}
    return kinds[type(value)](value) if type(value) in kinds else value


@given(points, st.randoms(use_true_random=False))
def test_a_point_is_its_content(point, rng: random.Random):
    """Its text says it exactly; its key depends neither on the order of fields nor on the type of a number."""
    text = text_of(point)
    assert json.loads(text) == point
    assert text_of(json.loads(text)) == text
    key = Task("a.b", text, 0).key
    fields = list(point.items())
    rng.shuffle(fields)
    whole = {name: float(v) if type(v) is int else v for name, v in fields}
    for same in (dict(fields), whole, {name: as_numpy(v) for name, v in fields}, {**point, "left out": None}):
        assert Task("a.b", text_of(same), 0).key == key
    changed = point | {"one more": 1}
    assert len({key, Task("a.b", text_of(changed), 0).key, Task("a.c", text, 0).key, Task("a.b", text, 1).key}) == 4

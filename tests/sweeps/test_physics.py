"""Numbers of physics: which keys they change, and which fields switch them."""

from sweep_functions import record

from memlib.mapping.point_fields import FROZEN
from memlib.sweeps import physics
from memlib.sweeps.points import tasks


def key_of(evaluate, point, seed):
    (key,) = tasks([point], evaluate, lambda _: [seed])
    return key


def test_raised_physics_makes_new_points_where_it_acts(monkeypatch):
    """The base number is in every key; an effect's where one of its fields is in the point, and is not None."""
    points = [{"a": 1}, {"a": 1, "v0": None}, {"a": 1, "v0": 0.5}, {"a": 1, "d2d_off": 0.1}]
    before = [key_of(record, point, 0) for point in points]
    monkeypatch.setitem(physics.EFFECTS, "iv", (2, ("v0",)))
    after = [key_of(record, point, 0) for point in points]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False, True]
    monkeypatch.setattr(physics, "BASE", 2)
    assert not {key_of(record, point, 0) for point in points} & {*before, *after}


def test_effects_are_switched_by_fields_of_hardware_or_of_a_study():
    """Each field switches one effect, and a misspelled one would switch nothing."""
    fields = [field for _, names in physics.EFFECTS.values() for field in names]
    assert len({*fields}) == len(fields)
    assert {*fields} - {*FROZEN} == {"windows", "sparse_layers", "recalibration", "r_difference"}

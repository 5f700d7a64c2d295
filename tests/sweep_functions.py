"""What the tests of sweeps evaluate; in a module of its own, so that worker processes can import it."""

import functools
import hashlib
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch

from memlib.evidence.answers import pack
from memlib.sweeps.points import named

AXES = {"a": [1, 2, 3], "b": [10, 20]}


def axes(tmp_path, **changes):
    return AXES | {"log": [str(tmp_path / "log")]} | {name: [value] for name, value in changes.items()}


def evaluations(tmp_path):
    """Point and seed of every evaluation."""
    return [line.rsplit(maxsplit=1)[0] for line in (tmp_path / "log").read_text().splitlines()]


def record(point, seed):
    """A line in the file `log` per evaluation, so that tests can count them; fails, sleeps or kills as told."""
    with Path(point["log"]).open("a") as log:
        log.write(f"{point['a']} {point['b']} {seed} {os.getpid()}\n")
    if point["a"] == point.get("bad"):
        raise ZeroDivisionError("on purpose")
    if f"{point['a']} {point['b']} {seed}" == point.get("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    if point["a"] == point.get("stubborn") and not Path(point["log"] + ".mended").exists():
        raise OSError("not mended yet")
    time.sleep(point.get("sleep", 0))
    return {"sum": point["a"] + point["b"] + seed}


def digest(point, seed):
    """Slow, and different for every point and seed."""
    time.sleep(point["sleep"])
    text = f"{point['a']} {seed}"
    return {"number": int(hashlib.sha256(text.encode()).hexdigest()[:12], 16), "half": point["a"] / 2}


@functools.lru_cache(maxsize=1)
def _shared(log, a):
    with Path(log).open("a") as file:
        file.write(f"{a}\n")
    return a


def sharing(point, seed):
    """A line in `log` only where the work that seeds share is done."""
    return {"sum": _shared(point["log"], point["a"]) + seed}


@named("somewhere")
def here(point, seed):
    """What `sharing` does, under a name."""
    return sharing(point, seed)


@named("somewhere")
def there(point, seed):
    """The same function after it was moved."""
    return sharing(point, seed)


def wrong(point, seed):
    arrays = {"array": {"x": np.arange(30)}, "one": {"x": np.ones(1)}, "tensor": {"x": torch.ones(2)}}
    others = {"object": {"x": object()}, "nan": {"x": math.nan}, "nested": {"x": [1, math.inf]}, "number": {3: 1.0}}
    return ({"list": [1], "clash": {"a": 1}} | arrays | others)[point["kind"]] if point["kind"] else None


def answers(point, seed):
    """Two right answers and a wrong one, or three right ones where `a` is None."""
    hits = [True, point["a"] is None, True]
    return {"accuracy": sum(hits) / 3, "correct": pack(hits), "listed": (1, None), "small": np.float16(0.5)}


def seldom(point, seed):
    """A number at some seeds only."""
    return {"number": seed or None}


def noisy(point, seed):
    """A number whose spread over seeds is the point's."""
    digest = hashlib.sha256(f"{point['spread']} {seed}".encode()).digest()
    return {"value": point["spread"] * (int.from_bytes(digest[:4], "big") / 2**32 - 0.5)}

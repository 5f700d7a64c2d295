"""What the tests of sweeps evaluate; in a module of its own, so that worker processes can import it."""

import functools
import hashlib
import os
import signal
import time
from pathlib import Path

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
    return {"list": [1], "clash": {"a": 1}, "object": {"x": object()}}[point["kind"]] if point["kind"] else None


def noisy(point, seed):
    """A number whose spread over seeds is the point's."""
    digest = hashlib.sha256(f"{point['spread']} {seed}".encode()).digest()
    return {"value": point["spread"] * (int.from_bytes(digest[:4], "big") / 2**32 - 0.5)}

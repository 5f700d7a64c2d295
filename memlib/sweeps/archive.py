"""Archives: all finished points of a store in one compressed text file, to share, and to go on from elsewhere.

A line per point and seed, JSON, in the order of the points' keys: the same results are the same bytes, checked by gzip.
Each line states the numbers of the physics that computed it (`sweeps.physics`).
"""

import gzip
import json
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from memlib.base.canonical import dumps
from memlib.base.checks import whole
from memlib.base.files import replacing
from memlib.sweeps.points import Task
from memlib.sweeps.store import Outcome, Store

GZIP = b"\x1f\x8b"
FIELDS = ("evaluate", "physics", "point", "seed", "result")


def pack(store: str | Path, archive: str | Path) -> int:
    """Write the finished points of a store to an archive, and return their number; failed ones stay behind.

    An archive, such as "points.jsonl.gz", is replaced if it is there. Raises FileNotFoundError if there is no such
    store, ValueError if another file is in the place of the archive, and StoreError if the store is damaged.
    """
    if not Path(store).exists():
        raise FileNotFoundError(f"{store}: there is no such file")
    target = Path(archive)
    if target.exists() and target.read_bytes()[:2] != GZIP:
        raise ValueError(f"{target}: is there already, and no archive; give another name")
    with Store(store) as kept:
        rows = kept.finished()
    text = "".join(f"{_line(*row)}\n" for row in rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as part:
        part.write_bytes(gzip.compress(text.encode(), mtime=0))
    return len(rows)


def _line(evaluate: str, physics: str, point: str, seed: int, result: str) -> str:
    values = (evaluate, json.loads(physics), json.loads(point), seed, json.loads(result))
    return dumps(dict(zip(FIELDS, values, strict=True)))


@dataclass(frozen=True)
class Unpacked:
    """What became of an archive's points."""

    new: int  #: added to the store
    known: int  #: there already; their results stay
    outdated: Counter[str] = field(default_factory=Counter)  #: left out, by the numbers of physics that differ


def unpack(archive: str | Path, store: str | Path) -> Unpacked:
    """Add the points of an archive to a store, except those that other physics computed.

    The points are believed: what an archive says was evaluated is not evaluated again. Raises OSError if the archive
    cannot be read, and ValueError if it is damaged, of memlib 0.1, or no archive; nothing is added then, and StoreError
    if the store cannot be written.
    """
    lines = _lines(Path(archive))
    try:
        outcomes = [(_outcome(line), line["physics"]) for line in lines]
        differing = Counter(_difference(stated, o.task.physics) for o, stated in outcomes if stated != o.task.physics)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(archive, error) from error
    current = [outcome for outcome, stated in outcomes if stated == outcome.task.physics]
    keys = {outcome.task.key for outcome in current}
    with Store(store) as kept, kept.writing():
        known, _ = kept.get(keys)
        kept.put(current)
    return Unpacked(len(keys) - len(known), len(known), differing)


def _lines(archive: Path) -> list[dict]:
    try:
        content = archive.read_bytes()
        if not content:
            raise EOFError("empty")
        lines = [json.loads(line) for line in gzip.decompress(content).decode().splitlines()]
    except (gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise _damaged(archive, error) from error
    if any(isinstance(line, dict) and {*FIELDS} - {*line} == {"physics"} for line in lines):
        raise ValueError(f"{archive}: of memlib 0.1, whose points had other fields; it cannot be used any more")
    return lines


def _damaged(archive: str | Path, error: Exception) -> ValueError:
    return ValueError(f"{archive}: damaged, or no archive of points ({error})")


def _outcome(content: dict) -> Outcome:
    evaluate, physics, point, seed, result = (content[name] for name in FIELDS)
    seed = whole("seed", seed, 0)
    if not isinstance(evaluate, str) or not all(isinstance(part, dict) for part in (physics, point, result)):
        raise TypeError("a line must hold a function's name, numbers of physics, a point, a seed and a result")
    return Outcome(Task(evaluate, dumps(point), seed), dumps(result), None, 0.0)


def _difference(stated: dict[str, int], current: dict[str, int]) -> str:
    """Such as "program_error 1, now 2"."""
    differing = sorted(name for name in {*stated, *current} if stated.get(name) != current.get(name))
    return "; ".join(f"{name} {stated.get(name, 'none')}, now {current.get(name, 'none')}" for name in differing)

"""Archives: all finished points of a store in one compressed text file, to share, and to go on from elsewhere.

A line per point and seed, JSON, in the order of the points' keys: the same results are the same bytes, checked by gzip.
"""

import gzip
import json
import zlib
from pathlib import Path

from memlib.base.checks import whole
from memlib.base.files import replacing
from memlib.sweeps.points import Task, dumps
from memlib.sweeps.store import Outcome, Store

GZIP = b"\x1f\x8b"
FIELDS = ("evaluate", "point", "seed", "result")


def pack(store: str | Path, archive: str | Path) -> int:
    """Write the finished points of a store to an archive, and return their number; failed ones stay behind.

    Args:
        store: an existing file.
        archive: such as "points.jsonl.gz"; replaced if it is there, and an archive.

    Raises:
        FileNotFoundError: if there is no such store.
        ValueError: if there is another file in the place of the archive.
        StoreError: if the store is damaged.
    """
    if not Path(store).exists():
        raise FileNotFoundError(f"{store}: there is no such file")
    target = Path(archive)
    if target.exists() and target.read_bytes()[:2] != GZIP:
        raise ValueError(f"{target}: is there already, and no archive; give another name")
    with Store(store) as kept:
        outcomes = kept.outcomes()
    text = "".join(f"{_line(outcome)}\n" for outcome in outcomes)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as part:
        part.write_bytes(gzip.compress(text.encode(), mtime=0))
    return len(outcomes)


def _line(outcome: Outcome) -> str:
    assert outcome.result is not None  # of a finished point
    task = outcome.task
    values = (task.evaluate, task.point, task.seed, json.loads(outcome.result))
    return dumps(dict(zip(FIELDS, values, strict=True)))


def unpack(archive: str | Path, store: str | Path) -> int:
    """Add the points of an archive to a store, and return how many it had not; results that are there already stay.

    The points are believed: what an archive says was evaluated is not evaluated again.

    Raises:
        OSError: if the archive cannot be read.
        ValueError: if it is damaged, or no archive; nothing is added then.
        StoreError: if the store cannot be written.
    """
    try:
        content = Path(archive).read_bytes()
        if not content:
            raise EOFError("empty")
        lines = gzip.decompress(content).decode().splitlines()
        outcomes = [_outcome(json.loads(line)) for line in lines]
    except (gzip.BadGzipFile, zlib.error, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{archive}: damaged, or no archive of points ({error})") from error
    keys = [outcome.task.key for outcome in outcomes]
    with Store(store) as kept, kept.writing():
        known, _ = kept.get(keys)
        kept.put(outcomes)
    return len({*keys} - {*known})


def _outcome(content: dict) -> Outcome:
    evaluate, point, seed, result = (content[name] for name in FIELDS)
    whole("seed", seed, 0)
    if not isinstance(evaluate, str) or not isinstance(point, dict) or not isinstance(result, dict):
        raise TypeError("a line must hold a function's name, a point, a seed and a result")
    return Outcome(Task(evaluate, dumps(point), seed), dumps(result), None, 0.0)

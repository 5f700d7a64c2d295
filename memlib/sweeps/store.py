"""The store: all points of a sweep in one SQLite file, finished or failed.

A point is written in a transaction of its own, or of the few that arrived with it, and is on disk (fsync) when the call
returns: a killed run, a full disk or a crash of the machine loses nothing finished. There may be any number of readers,
and one writer, which holds a lock file beside the store. The journal is SQLite's rollback journal, not its write-ahead
log: that keeps one file, can be read from a read-only folder, and needs no memory that hosts share.
"""

import contextlib
import json
import os
import platform
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pandas as pd
from filelock import FileLock, Timeout
from pandas.api.types import is_numeric_dtype

from memlib.base.canonical import dumps
from memlib.sweeps.points import Task

APPLICATION_ID = 0x6D656D6C  # "meml": marks our files in SQLite's header
SCHEMA_VERSION = 3  # 2: memlib 0.1
SCHEMA = """
CREATE TABLE results (
    key TEXT PRIMARY KEY,
    evaluate TEXT,            -- the function's name
    physics TEXT NOT NULL,    -- JSON: the numbers of what acts in the point
    point TEXT NOT NULL,      -- JSON
    seed INTEGER NOT NULL,
    result TEXT,              -- JSON; NULL if the point failed
    error TEXT,               -- its traceback; NULL if the point is finished
    seconds REAL,
    finished REAL             -- seconds since 1970
) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    evaluate TEXT NOT NULL,
    process TEXT NOT NULL,    -- number and host
    started REAL NOT NULL,
    planned INTEGER NOT NULL, -- points to evaluate
    ended REAL                -- NULL if running, or killed
);
"""
ADVICE = "name another file, or move this one away"
PUT = """
INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
    result = excluded.result, error = excluded.error, seconds = excluded.seconds, finished = excluded.finished
    WHERE result IS NULL
"""
LOCK_SECONDS = 2  #: how long a writer waits for the lock: a look at it by `status` disturbs nobody
#: How long the writer waits for a reader that is in the middle of a query, and the reverse.
BUSY_SECONDS = 600
QUERY_KEYS = 500  #: keys looked up in one query


class StoreError(RuntimeError):
    """A store that cannot be used; the message says what to do. The file is left as it was."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task: its result or its error."""

    task: Task
    result: str | None  #: JSON; None if it failed
    error: str | None  #: traceback; None if it did not fail
    seconds: float


class Store:
    """Results by key. Opens `path`; a file that is not there, or has no tables, is an empty store; a writer makes it.

    Raises StoreError if the file is damaged, of another program or version, or cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._connection: sqlite3.Connection | None = None
        with self._errors("cannot be used as a store"), contextlib.ExitStack() as opened:
            if self.path.exists():
                opened.callback(self.close)
                self._connect("rw")
                if self._version():  # else there are no tables yet: its first writer may just be making them
                    opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._connection:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the store's one writer while inside. Raises StoreError if another process is, or it cannot be written."""
        with contextlib.ExitStack() as stack:
            with self._errors("cannot be written", "choose a file in a folder that can be written"):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(self._lock())
                if not self._connection:
                    self._connect("rwc")
                damage = self._execute("PRAGMA quick_check(1)").fetchone()[0]
                if damage != "ok":
                    raise StoreError(f"{self.path}: damaged ({' '.join(damage.split())}); {ADVICE}")
                self._create()
            yield

    @contextlib.contextmanager
    def run(self, evaluate: str, planned: int) -> Iterator[None]:
        """Note for `status` that a sweep runs while inside, and how many points it is going to evaluate."""
        process = f"process {os.getpid()} on {platform.node()}"
        with self._errors("cannot be written", "finished points are kept; mend this and run again"):
            query = "INSERT INTO runs (evaluate, process, started, planned) VALUES (?, ?, ?, ?)"
            run = self._execute(query, (evaluate, process, time.time(), planned)).lastrowid
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):  # what ended the run matters more than this note of it
                self._execute("UPDATE runs SET ended = ? WHERE id = ?", (time.time(), run))

    def put(self, outcomes: Iterable[Outcome]) -> None:
        """Keep what became of tasks, in one transaction; it is on disk when this returns. A finished result stays.

        Raises StoreError if they cannot be written; none of them is then.
        """
        rows = [
            (t.key, t.evaluate, dumps(t.physics), t.text, t.seed, o.result, o.error, o.seconds, time.time())
            for o in outcomes
            for t in (o.task,)
        ]
        advice = "finished points are kept; mend this and run again"
        with self._errors("results could not be written", advice), self._database:  # commits, or takes all back
            self._execute("BEGIN IMMEDIATE")
            self._database.executemany(PUT, rows)

    def get(self, keys: Iterable[str]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Results and errors, by key, of those `keys` that are there. Raises StoreError if the file is damaged."""
        results: dict[str, dict[str, Any]] = {}
        errors: dict[str, str] = {}
        if not self._connection:
            return results, errors
        keys = list(keys)
        with self._errors("damaged"):
            for start in range(0, len(keys), QUERY_KEYS):
                some = keys[start : start + QUERY_KEYS]
                marks = ", ".join("?" * len(some))
                rows = self._execute(f"SELECT key, result, error FROM results WHERE key IN ({marks})", some).fetchall()
                results |= {key: json.loads(result) for key, result, error in rows if error is None}
                errors |= {key: error for key, _, error in rows if error is not None}
        return results, errors

    def finished(self) -> list[tuple[str, str, str, int, str]]:
        """All that is finished, in the order of the keys: function's name, physics, point, seed and result.

        Raises StoreError if the file is damaged.
        """
        query = "SELECT evaluate, physics, point, seed, result FROM results WHERE error IS NULL ORDER BY key"
        with self._errors("damaged"):
            return self._execute(query).fetchall() if self._connection else []

    def table(self, failed: bool = False) -> pd.DataFrame:
        """A row per finished point and seed, sorted: `evaluate`, the point's fields, `seed`, the result's fields.

        Or the `failed` ones, with `error`, a traceback. Raises StoreError if the file is damaged.
        """
        state = "result IS NULL" if failed else "error IS NULL"
        query = f"SELECT evaluate, seed, point, coalesce(result, error) FROM results WHERE {state}"
        with self._errors("damaged"):
            rows = self._execute(query).fetchall() if self._connection else []
            points = [json.loads(row[2]) for row in rows]
            outcomes = [{"error": row[3]} if failed else json.loads(row[3]) for row in rows]
        evaluate, seeds = ([row[i] for row in rows] for i in range(2))
        parts = [pd.DataFrame(columns) for columns in ({"evaluate": evaluate}, points, {"seed": seeds}, outcomes)]
        order = [name for part in parts[:3] for name in part]
        numbers_or_texts = {"key": lambda column: column if is_numeric_dtype(column) else column.map(str)}
        return pd.concat(parts, axis=1).sort_values(order, ignore_index=True, **numbers_or_texts)

    def status(self) -> dict[str, Any]:
        """How many points are `finished` and `failed`; and the last run's `state` and what was noted of it.

        The state is "running", "ended", "stopped" (by an error or Ctrl-C), "killed", "running or killed" if the lock
        file cannot be opened, or "none". Raises StoreError if the file is damaged.
        """
        found: dict[str, Any] = {"finished": 0, "failed": 0, "state": "none"}
        if not self._connection:
            return found
        with self._errors("damaged"):
            counts = "SELECT count(result), count(error) FROM results"
            found["finished"], found["failed"] = self._execute(counts).fetchone()
            last = "SELECT process, started, planned, ended FROM runs ORDER BY id DESC LIMIT 1"
            if run := self._execute(last).fetchone():
                found |= dict(zip(("process", "started", "planned", "ended"), run, strict=True))
                since = "SELECT count(*) FROM results WHERE finished >= ?"
                found["done"] = self._execute(since, (found["started"],)).fetchone()[0]
                complete = "ended" if found["done"] >= found["planned"] else "stopped"
                found["state"] = complete if found["ended"] else self._running_or_killed()
        return found

    def _connect(self, mode: str) -> None:
        uri = f"file:{quote(str(self.path.absolute()))}?mode={mode}"
        # autocommit: every transaction is one that is written here
        self._connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        self._execute("PRAGMA synchronous = EXTRA")  # a crash of the machine must not bring the journal back

    @property
    def _database(self) -> sqlite3.Connection:
        assert self._connection is not None  # callers see to that
        return self._connection

    def _execute(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._database.execute(query, values)

    def _version(self) -> int:
        """The schema's version, 0 of an empty file."""
        queries = "SELECT count(*) FROM sqlite_master", "PRAGMA application_id", "PRAGMA user_version"
        tables, mark, version = (self._execute(query).fetchone()[0] for query in queries)
        if not tables and not mark:
            return 0
        if mark == APPLICATION_ID and version < SCHEMA_VERSION:
            raise StoreError(f"{self.path}: of memlib 0.1, whose points had other fields; {ADVICE}")
        if mark != APPLICATION_ID or version != SCHEMA_VERSION:
            raise StoreError(f"{self.path}: not a memlib store of version {SCHEMA_VERSION}; {ADVICE}")
        return version

    def _create(self) -> None:
        """Make the tables of an empty file, in one transaction; the caller holds the lock."""
        if self._version():
            return
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
        with self._database:  # takes everything back after an error
            self._database.executescript(f"BEGIN IMMEDIATE; {SCHEMA} {marks} COMMIT;")

    def _file_lock(self) -> FileLock:
        # no fallback to a file whose mere existence is the lock: it would outlive a killed writer
        return FileLock(self.path.with_name(self.path.name + ".lock"), fallback_to_soft=False)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """The writer's lock: one of the operating system, which frees it when its holder dies."""
        try:
            held = self._file_lock().acquire(timeout=LOCK_SECONDS)
        except Timeout:
            writer = "another process"
            with contextlib.suppress(sqlite3.Error, TypeError):  # no run was noted yet
                [writer] = self._execute("SELECT process FROM runs ORDER BY id DESC LIMIT 1").fetchone()
            message = f"{self.path}: {writer} is writing to it; wait for its end, or name another file"
            raise StoreError(message) from None
        with held:
            yield

    def _running_or_killed(self) -> str:
        try:
            with self._file_lock().acquire(timeout=0):
                return "killed"
        except Timeout:
            return "running"
        except OSError:
            return "running or killed"

    @contextlib.contextmanager
    def _errors(self, what: str, advice: str = ADVICE) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError, NotImplementedError) as error:
            raise StoreError(f"{self.path}: {what} ({error}); {advice}") from error

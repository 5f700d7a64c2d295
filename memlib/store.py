"""Finished points in one SQLite file: a transaction per point, so that a killed run loses nothing finished."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

APPLICATION_ID = 0x6D656D6C  # "meml": marks our files in SQLite's header
SCHEMA_VERSION = 1
ADVICE = "name another file, or move this one away; its points will be computed again"


class StoreError(RuntimeError):
    """A store that cannot be used; the message says what to do. The file is left as it was."""


def dumps(value: Any) -> str:
    """Canonical JSON; NumPy's scalars become Python's."""
    return json.dumps(value, sort_keys=True, default=lambda scalar: scalar.item())


class Store:
    """Results by key. Opens or creates `path`.

    Raises:
        StoreError: if the file is damaged, of another program, of another version, or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(self.path, timeout=60)
            tables = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            mark = self.connection.execute("PRAGMA application_id").fetchone()[0]
            version = self.connection.execute("PRAGMA user_version").fetchone()[0]
            if not tables and not mark:
                self._create()
            elif mark != APPLICATION_ID or version != SCHEMA_VERSION:
                raise StoreError(f"{self.path}: not a memlib store of version {SCHEMA_VERSION}; {ADVICE}")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: cannot be used as a store ({error}); {ADVICE}") from error

    def _create(self) -> None:
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.execute(
                "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, point TEXT NOT NULL, result TEXT NOT NULL)"
            )
            self.connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def get(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The results among `keys` that are there."""
        found = {}
        try:
            for key in keys:
                row = self.connection.execute("SELECT result FROM results WHERE key = ?", (key,)).fetchone()
                if row:
                    found[key] = json.loads(row[0])
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(f"{self.path}: damaged ({error}); {ADVICE}") from error
        return found

    def put(self, key: str, point: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep one result; it is on disk when this returns. A result already there stays."""
        try:
            with self.connection:
                row = (key, dumps(point), dumps(result))
                self.connection.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?)", row)
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: a result could not be written ({error}); finished points are kept"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

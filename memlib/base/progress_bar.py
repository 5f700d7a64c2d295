"""Progress bars with the time left, for the terminal, for a notebook, and for a notebook that the runner executes."""

import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm as terminal_tqdm
from tqdm.auto import tqdm


@lru_cache
def _shared(path: str) -> TextIO:
    return Path(path).open("a")


def progress(items: Iterable[Any] | None = None, total: int | None = None, label: str = "", unit: str = "") -> tqdm:
    """A progress bar over `items`, or of `total` steps; it goes to the file that MEMLIB_PROGRESS names, if it is set.

    The runner shows that file. So a bar is seen while a notebook runs, and leaves nothing in its output.
    """
    target = os.environ.get("MEMLIB_PROGRESS")
    options = {"total": total, "desc": label or None, "unit": f" {unit}" if unit else "it", "mininterval": 1}
    if target:
        return terminal_tqdm(items, file=_shared(target), ascii=True, **options)
    return tqdm(items, **options)


def note(text: str) -> None:
    """Say something beside the bar, on stderr or in the file that MEMLIB_PROGRESS names."""
    target = os.environ.get("MEMLIB_PROGRESS")
    terminal_tqdm.write(text, file=_shared(target) if target else sys.stderr)

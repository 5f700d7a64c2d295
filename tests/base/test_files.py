"""Files that are written whole or not at all."""

from pathlib import Path

import pytest

from memlib.base.files import replacing, write_whole


def interrupted(path: Path) -> None:
    with replacing(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_whole(tmp_path / "a.txt", "old")
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "a.txt")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]

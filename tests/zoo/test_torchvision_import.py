"""torchvision beside a build of torch that does not fit; in new processes, as an import happens once in each."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from memlib.zoo import torchvision_import

# what torch and torchvision do at the import of torchvision 0.28, without the seconds that they take
TORCH = """
class Operators: pass
class Library:
    def __init__(self, namespace, kind): pass
    def define(self, schema): setattr(ops.torchvision, schema.split("(")[0], schema)
class library: Library = Library
class ops: torchvision = Operators()
"""
TORCHVISION = "from torchvision import _meta_registrations"
META = """
import torch
for name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, name):
        raise RuntimeError(f"operator torchvision::{name} does not exist")
"""


def output(python: str | Path, *arguments: str, **environment: str) -> str:
    """What a new process prints, errors included."""
    command = [str(python), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=True).stdout


@pytest.mark.slow
def test_first_line_of_a_user():
    """The import works in this environment before anything of memlib is imported."""
    code = "from torchvision.models import resnet18; print(sum(p.numel() for p in resnet18().parameters()))"
    assert output(sys.executable, "-c", code) == "11689512\n"


def test_repair(tmp_path):
    """An environment whose torchvision lacks the operators is repaired once, and its start imports no torch."""
    venv.create(tmp_path / "environment")
    python = tmp_path / "environment/bin/python"
    (tmp_path / "torchvision").mkdir()
    sources = {"torch": TORCH, "torchvision/__init__": TORCHVISION, "torchvision/_meta_registrations": META}
    for file, source in sources.items():
        (tmp_path / f"{file}.py").write_text(source)
    search = {"PYTHONPATH": str(tmp_path)}
    assert "memlib_torchvision.pth lets it be imported" in output(python, torchvision_import.__file__, **search)
    assert output(python, torchvision_import.__file__, **search) == "torchvision can be imported.\n"
    assert output(python, "-c", "import sys; print('torch' in sys.modules)", **search) == "False\n"

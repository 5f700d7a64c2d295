"""Makes `import torchvision` work beside a build of torch that torchvision's compiled operators do not fit.

A CPU build of torch cannot load the operators of a CUDA build of torchvision. The import then fails with "operator
torchvision::nms does not exist", although models, transforms and data sets use no such operator. Declared operators
are enough for the import. They compute nothing: boxes cannot be filtered and regions cannot be pooled in this state.

`python -m memlib.zoo.torchvision_import` repairs a whole environment, where it needs repair, for all its programs. It
copies this file into the environment beside a .pth file, which Python reads at every start. So this file imports
nothing but `sys` until torchvision is imported. To undo it, delete both files.
"""

import sys

NAME = "memlib_torchvision"  # of the two files in an environment
SIGN = "operator torchvision::nms does not exist"


class DeclaresOperators:
    """A finder that finds nothing, and declares missing operators just before torchvision describes them."""

    libraries: list[object] = []  # noqa: RUF012 - declarations last as long as these objects, for all finders

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Called by Python for each module that it imports; torchvision has tried to load its operators by then."""
        if name != "torchvision._meta_registrations":
            return
        import torch

        if not hasattr(torch.ops.torchvision, "nms"):
            library = torch.library.Library("torchvision", "FRAGMENT")
            for operator in ("nms", "qnms"):
                library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            self.libraries.append(library)


def make_importable() -> None:
    """Let this process import torchvision; call it before the first import. It costs nothing where none is needed."""
    if not any(type(finder).__name__ == DeclaresOperators.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, DeclaresOperators())


def _import_error() -> str:
    """The error of a new process of this environment that imports torchvision; empty where that works."""
    import subprocess

    run = subprocess.run([sys.executable, "-c", "import torchvision"], stderr=subprocess.PIPE, text=True)
    return run.stderr.strip() if run.returncode else ""


def repair_environment() -> str:
    """Let every process of this environment import torchvision; say what was done. Raises SystemExit where it fails."""
    import py_compile
    import shutil
    import sysconfig
    from pathlib import Path

    if not (error := _import_error()):
        return "torchvision can be imported."
    if SIGN in error:
        folder = Path(sysconfig.get_path("purelib"))
        shutil.copyfile(__file__, folder / f"{NAME}.py")
        py_compile.compile(str(folder / f"{NAME}.py"))  # 0.1 ms at every start of Python instead of 1.2
        (folder / f"{NAME}.pth").write_text(f"import {NAME}; {NAME}.make_importable()\n")
        if not (error := _import_error()):
            return f"torchvision's operators do not fit this build of torch: {folder / NAME}.pth lets it be imported."
    raise SystemExit(f"torchvision cannot be imported: {error.splitlines()[-1]}")


if __name__ == "__main__":
    print(repair_environment())

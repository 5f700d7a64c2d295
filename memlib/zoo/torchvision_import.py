"""torchvision, also where its compiled operators do not fit the installed build of torch."""

import importlib
import sys
from types import ModuleType

import torch

_libraries: list[torch.library.Library] = []  # declarations live as long as these


def torchvision_module(name: str) -> ModuleType:
    """Import a module of torchvision, such as "datasets", which takes a second or two the first time.

    A CPU build of torch beside the usual torchvision fails with "operator torchvision::nms does not exist"; then the
    operators that the import expects are declared first. Nothing here calls them.
    """
    try:
        return importlib.import_module(f"torchvision.{name}")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _libraries.append(library)
        for loaded in [loaded for loaded in sys.modules if loaded.startswith("torchvision")]:
            del sys.modules[loaded]
        return importlib.import_module(f"torchvision.{name}")

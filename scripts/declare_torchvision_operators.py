"""Declares torchvision's compiled operators, which its wheel for CUDA cannot load beside a torch without.

``make_test_host.py`` copies this file into the test host's environment as sitecustomize.py in that case. What
the host needs of torchvision is written in Python, and imports once the operators have a declaration.
"""

import sys
from importlib.abc import MetaPathFinder


class DeclareOperators(MetaPathFinder):
    """Acts at the first import of torchvision, so that programs without it start as fast as ever."""

    def find_spec(self, name, path, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            # The declarations go with the library object.
            torch.torchvision_operators = library
        return None


sys.meta_path.insert(0, DeclareOperators())

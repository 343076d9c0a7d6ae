"""What sessions in a process of tests import, once for all of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType


class Imported:
    """Modules that a session in this process imported, to be kept when `pytester` forgets them.

    Args:
        own: folders of tests, whose modules are forgotten.
    """

    def __init__(self, *own: Path) -> None:
        self._own = tuple(f"{folder}{os.sep}" for folder in own)
        self._modules: dict[str, ModuleType] = {}

    def pytest_unconfigure(self) -> None:
        """At a session's end, and of a test's: remembers what is there."""
        self._modules |= sys.modules

    def restore(self) -> None:
        """Puts back all but what lies in a test's own folders. What has no file is a part of the
        native module above it, which makes it once (`torch._C._distributed`).
        """
        gone = self._modules.keys() - sys.modules.keys()  # few; this runs twice a session
        for name in sorted(gone):  # what is above comes first
            file = getattr(self._modules[name], "__file__", None)
            native = not file and name.rpartition(".")[0] in sys.modules
            if native or (file and not file.startswith(self._own)):
                sys.modules[name] = self._modules[name]
        self._modules = {}

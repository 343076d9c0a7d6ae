"""Another version of the project's code, beside the working tree."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_INSTALLED = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class CodeTree:
    """The files of a commit in a folder of their own.

    Attributes:
        top: the folder, which stands for the repository's top.
        working: the repository's top folder, with the working tree.
        commit: the commit's name, for people.
        revision: its full name.
    """

    top: Path
    working: Path
    commit: str
    revision: str = ""

    def owns(self, path: str | Path) -> bool:
        """Whether a file of the working tree is part of the project; environments in it are not."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.working) or real.is_relative_to(self.top):
            return False
        return _INSTALLED.isdisjoint(real.relative_to(self.working).parts)

    def here(self, path: str | Path) -> Path:
        """The place in this version of a file or folder of the working tree."""
        return self.top / Path(os.path.realpath(path)).relative_to(self.working)

    def there(self, path: Path) -> Path:
        """The place in the working tree of a file or folder of this version."""
        return self.working / path.relative_to(self.top)

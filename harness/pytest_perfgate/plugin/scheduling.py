"""How perf tests are spread with pytest-xdist: not at all, so that nothing measures beside them, or
suite by suite over workers that each have a share of the host.
"""

from __future__ import annotations

from pathlib import Path

from xdist.scheduler import LoadFileScheduling, LoadGroupScheduling, LoadScopeScheduling

from pytest_perfgate.records.settings import SUITE_FILE

_UNITS = {
    "loadscope": LoadScopeScheduling,
    "loadfile": LoadFileScheduling,
    "loadgroup": LoadGroupScheduling,
}


class OneWorkerScheduling(LoadScopeScheduling):  # type: ignore[misc] # the library ships no types
    """Tests of modules beside a suite file are one unit of work. Other tests keep the units of the
    user's `--dist`: `loadscope`, `loadfile`, `loadgroup`, else each test is its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        folder = self._suite(nodeid)
        return self._other(nodeid) if folder is None else "perfgate"

    def _other(self, nodeid: str) -> str:
        """The unit of a test that is not of a suite."""
        kind = _UNITS.get(self.config.getoption("dist"))
        return nodeid if kind is None else str(kind._split_scope(self, nodeid))

    def _suite(self, nodeid: str) -> Path | None:
        """The folder of the suite that a test is of."""
        folder: Path = (self.config.rootpath / nodeid.partition("::")[0]).parent
        return folder if (folder / SUITE_FILE).is_file() else None


class SpreadScheduling(OneWorkerScheduling):
    """Tests of a suite are one unit of work; others are as of `OneWorkerScheduling`."""

    def _split_scope(self, nodeid: str) -> str:
        folder = self._suite(nodeid)
        return self._other(nodeid) if folder is None else f"perfgate {folder}"

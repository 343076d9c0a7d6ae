"""How perf tests are spread with pytest-xdist: not at all, so that nothing measures beside them."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from harness.settings import SUITE_FILE


class OneWorkerScheduling(LoadScopeScheduling):  # type: ignore[misc] # the library ships no types
    """Tests of modules beside a suite file are one unit of work; every other test is its own."""

    def _split_scope(self, nodeid: str) -> str:
        module = self.config.rootpath / nodeid.partition("::")[0]
        if (module.parent / SUITE_FILE).is_file():
            return "perfgate"
        return nodeid

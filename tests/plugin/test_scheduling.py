"""Under pytest-xdist perf tests are one unit of work; others keep the units of `--dist`."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pytest_perfgate.plugin.scheduling import OneWorkerScheduling, SpreadScheduling

OWN = {
    "load": "own/test_a.py::TestA::test_b@group",
    "loadscope": "own/test_a.py::TestA",
    "loadfile": "own/test_a.py",
    "loadgroup": "group",
}


@pytest.mark.parametrize("dist", OWN)
@pytest.mark.parametrize("kind", [OneWorkerScheduling, SpreadScheduling])
def test_units_of_work(pytester: pytest.Pytester, kind: type, dist: str) -> None:
    """`--dist loadfile` keeps a module's fixture on one worker, with `--perf` too."""
    pytester.mkdir("suite").joinpath("recipes.toml").touch()
    scheduling = kind.__new__(kind)  # its constructor wants workers
    scheduling.config = SimpleNamespace(rootpath=pytester.path, getoption={"dist": dist}.get)
    assert scheduling._split_scope("own/test_a.py::TestA::test_b@group") == OWN[dist]
    assert scheduling._split_scope("suite/test_s.py::test_budget[a-map]").startswith("perfgate")

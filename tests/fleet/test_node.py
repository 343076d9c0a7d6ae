"""What a node compares before it runs a order."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_perfgate
from pytest_perfgate.fleet.messages import TOKEN, JobOrder
from pytest_perfgate.fleet.node import Facts, NodeJob, absent, difference, facts


def test_a_node_of_another_version_is_refused_by_number() -> None:
    """The version comes first: nothing else of another version is comparable."""
    here = facts()
    older = Facts(version="0.0.1", machine="another", packages={})
    assert difference(here, here) == ""
    own = pytest_perfgate.__version__
    assert difference(here, older) == f"it has pytest-perfgate 0.0.1, and this session is of {own}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"packages": {"onnx": "1.2"}}, "it has onnx 1.2, and this host 1.1"),
        ({"packages": {}}, "it has onnx none, and this host 1.1"),
        ({"packages": {"onnx": "1.1", "torch": "2"}}, "it has torch 2, and this host none"),
        ({"machine": "epyc-2"}, "its fingerprint is epyc-2, and this host's epyc-1"),
    ],
)
def test_a_node_of_another_environment_is_refused(change: dict[str, str], reason: str) -> None:
    """Its artifacts and its scores would be those of another machine, or of other packages."""
    expected = Facts(version="1", machine="epyc-1", packages={"onnx": "1.1"})
    assert difference(expected, Facts(**{**expected, **change})) == reason


@pytest.fixture
def on_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process of Ray, on the node `n1`."""
    context = SimpleNamespace(get_node_id=lambda: "n1")
    played = SimpleNamespace(get_runtime_context=lambda: context)
    monkeypatch.setitem(sys.modules, "ray", played)  # type: ignore[arg-type]


@pytest.mark.usefixtures("on_a_node")
def test_an_order_of_another_version_is_not_read() -> None:
    """It may have another form: the version is compared before, and nothing is started."""
    before = threading.active_count()
    newer = facts()
    newer["version"] = "99.0"
    started = NodeJob().start(newer, b"a line that no version can read", None)
    assert (started["node"], threading.active_count()) == ("n1", before)
    assert started["unfit"].endswith(", and this session is of 99.0")


def test_a_job_that_nobody_listens_to_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute on a node of a cluster, whose session's host may be gone; never on the host of
    the session, whose end is the end of its jobs.
    """
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    job = NodeJob()
    now = time.monotonic()
    for patience, passed in ((math.inf, 1e9), (60.0, 59.0), (60.0, 61.0)):
        job._patience = patience
        monkeypatch.setattr(time, "monotonic", lambda passed=passed: now + passed)
        job._end_unheard()
        assert codes == ([1] if (patience, passed) == (60.0, 61.0) else [])


def test_a_node_that_does_not_see_the_session_s_files_is_refused(tmp_path: Path) -> None:
    """The cache by a number that only this session has put there, the suite file by its digest."""
    logs, suite = tmp_path / "logs", tmp_path / "recipes.toml"
    logs.mkdir()
    suite.write_text("[suite]")
    order = JobOrder(
        number=1,
        name="int8",
        line="",
        root=tmp_path,
        env={},
        silence=1.0,
        python="",
        cores=1,
        gpu=False,
        logs=logs / "0001",
        token="1234",  # noqa: S106 - no secret
        files={str(suite): hashlib.sha256(b"[suite]").hexdigest()},
    )
    assert absent(order) == f"it does not see this session's cache, at {logs}"
    (logs / TOKEN).write_text("4321")
    assert absent(order) == f"it does not see this session's cache, at {logs}"
    (logs / TOKEN).write_text("1234")
    assert absent(order) == ""
    suite.write_text("[suite] ")
    assert absent(order) == f"its {suite} is another than this host's"
    gone = replace(order, files={"/nowhere/recipes.toml": ""})
    assert absent(gone) == "it does not see /nowhere/recipes.toml"

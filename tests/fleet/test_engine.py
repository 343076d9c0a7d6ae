"""What the engine does with nodes that differ and with jobs that are lost; Ray itself is played."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_perfgate.fleet.engine import TRIES, Engine
from pytest_perfgate.fleet.messages import (
    REPORTS,
    Broken,
    Finished,
    Heard,
    JobOrder,
    Note,
    Opening,
    Report,
)

CLUSTER = "ray://head:10001"


class ActorLost(Exception):
    """As Ray raises it for an actor whose process has ended."""


class ActorRaised(Exception):
    """As Ray raises it for a method that raised."""


@dataclass
class Cluster:
    """Plays Ray: answers of actors are scripted for each node, and options are kept.

    Attributes:
        resources: of each node by its id.
        scripts: by a node's id, the answers of the actors on it, one after the other.
        options: of each actor that was placed.
    """

    resources: dict[str, dict[str, float]]
    scripts: dict[str, list[Any]]
    options: list[dict[str, Any]] = field(default_factory=list)
    exceptions = SimpleNamespace(RayActorError=ActorLost, RayTaskError=ActorRaised)

    def init(self, **_: Any) -> None:
        """It is there already."""

    def nodes(self) -> list[dict[str, Any]]:
        """All are alive."""
        return [
            {"NodeID": node, "Alive": True, "Resources": has}
            for node, has in self.resources.items()
        ]

    def remote(self, _: type) -> Any:
        """A class whose actors are placed by options."""
        return SimpleNamespace(options=self._placed)

    def _placed(self, **options: Any) -> Any:
        self.options.append(options)
        (selector,) = options.get("label_selector", {"": "!in()"}).values()
        refused = selector.removeprefix("!in(").removesuffix(")").split(",")
        node = next(
            node for node, has in self.resources.items() if has.get("CPU") and node not in refused
        )
        call = SimpleNamespace(remote=lambda *_: (node, len(self.options), object()))
        return SimpleNamespace(remote=lambda: SimpleNamespace(start=call, read=call))

    def wait(self, calls: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        """The first is ready."""
        return calls[:1], calls[1:]

    def get(self, call: Any) -> Any:
        """The next answer of the node's script."""
        answer = self.scripts[call[0]].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, _: Any) -> None:
        """Nothing runs."""

    def shutdown(self) -> None:
        """Nothing is open."""


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Report]]:
    """Runs one job on a cluster, until its end; returns the reports."""

    def run(cluster: Cluster, *, gpu: bool = False, cores: int = 1) -> list[Report]:
        monkeypatch.setitem(sys.modules, "ray", cluster)  # type: ignore[arg-type]
        reports: list[Report] = []
        order = JobOrder(
            number=7,
            name="int8",
            line="",
            root=tmp_path,
            env={},
            silence=1.0,
            python="",
            cores=cores,
            gpu=gpu,
            logs=tmp_path,
            token="",
        )
        with Engine(Opening(CLUSTER, 1, tmp_path), reports.append) as engine:
            engine.add(order)
            for _ in range(20):
                if not engine.busy:
                    break
                engine.step(0.0)
            assert not engine.busy
        return reports

    return run


def begun(node: str, unfit: str = "") -> dict[str, str]:
    """The answer of an actor that starts a job."""
    return {"node": node, "host": f"host-{node}", "unfit": unfit}


def said(*reports: Report) -> list[bytes]:
    """The answer of an actor with news."""
    return [REPORTS.encode(report) for report in reports]


DONE = Finished(7)
PROGRESS = Heard(7, "host-a", 'WorkProgress {"done": 1, "total": 2, "note": "accuracy"}')
ANSWER = Heard(7, "host-a", 'Failed {"problem": "no"}')


def test_a_job_that_is_lost_goes_to_another_node(play: Callable[..., list[Report]]) -> None:
    """What it had done was progress; the end is reported once."""
    lost = [begun("a"), said(PROGRESS), ActorLost("node a died")]
    cluster = Cluster(
        {"a": {"CPU": 2.0}, "b": {"CPU": 2.0}}, {"a": lost, "b": [begun("b"), said(DONE)]}
    )
    reports = play(cluster)
    note = Note("int8 was started again: the process that ran it was lost")
    assert reports == [PROGRESS, note, DONE]
    assert "label_selector" not in cluster.options[0]
    assert cluster.options[1]["label_selector"] == {"ray.io/node-id": "!in(a)"}
    assert all(options["max_restarts"] == 0 for options in cluster.options)


def test_a_job_is_not_started_without_end(play: Callable[..., list[Report]]) -> None:
    """On the only node it is tried again, and then it is an error with Ray's own words."""
    cluster = Cluster({"a": {"CPU": 2.0}}, {"a": [begun("a"), ActorLost("out of memory")] * TRIES})
    *notes, end = play(cluster)
    assert len(notes) == TRIES - 1
    assert isinstance(end, Finished)
    assert (end.problem, end.last_words) == (
        "the process that ran it was lost 3 times",
        "out of memory",
    )
    assert end.next_step


def test_a_job_that_has_answered_is_not_started_again(play: Callable[..., list[Report]]) -> None:
    """Its process was lost after the result: nothing is missing, and nothing is done twice."""
    script = [begun("a"), said(ANSWER), ActorLost("gone")]
    cluster = Cluster({"a": {"CPU": 2.0}}, {"a": script})
    assert play(cluster) == [ANSWER, DONE]
    assert len(cluster.options) == 1


def test_a_node_that_differs_runs_nothing(play: Callable[..., list[Report]]) -> None:
    """Others run its jobs, and it is named with the reason."""
    older = "it has pytest-perfgate 0.0.1, and this session is of 0.1.0"
    scripts = {"a": [begun("a", older)], "b": [begun("b"), said(DONE)]}
    cluster = Cluster({"a": {"CPU": 2.0}, "b": {"CPU": 2.0}}, scripts)
    assert play(cluster) == [Note(f"a node of the fleet was not used: host-a: {older}"), DONE]
    assert cluster.options[1]["label_selector"] == {"ray.io/node-id": "!in(a)"}


def test_without_a_node_that_fits_the_fleet_is_broken(play: Callable[..., list[Report]]) -> None:
    """A head that runs no jobs is no such node; the reason is each node's."""
    cluster = Cluster({"head": {}, "a": {"CPU": 2.0}}, {"a": [begun("a", "it has onnx 1")]})
    *_, end = play(cluster)
    assert isinstance(end, Broken)
    assert end.problem == "no node can run this session's jobs: host-a: it has onnx 1"
    assert end.next_step


def test_a_node_whose_code_raises_ends_the_job_with_its_words(
    play: Callable[..., list[Report]],
) -> None:
    """As of a version without this method."""
    script = [ActorRaised("Traceback\nAttributeError: no start")]
    (end,) = play(Cluster({"a": {"CPU": 2.0}}, {"a": script}))
    assert isinstance(end, Finished)
    assert end.problem == "a node could not run it: AttributeError: no start"


def test_what_a_job_needs_of_a_node_is_asked_for(play: Callable[..., list[Report]]) -> None:
    """Cores, at most those of the largest node, as this host would use all of its own; a GPU for a
    runtime on one. Without a GPU in the cluster the recipe is an error, and waits for none.
    """
    script = [begun("a"), said(DONE)]
    cluster = Cluster({"a": {"CPU": 4.0, "GPU": 1.0}}, {"a": script * 2})
    play(cluster, cores=2)
    play(cluster, cores=8, gpu=True)
    assert [(one["num_cpus"], one["num_gpus"]) for one in cluster.options] == [(2, 0), (4, 1)]
    (end,) = play(Cluster({"a": {"CPU": 4.0}}, {}), gpu=True)
    assert isinstance(end, Finished)
    assert end.problem == "no node of the cluster has a GPU"

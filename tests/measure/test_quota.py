"""Work beside a launch, and builds at once, within the CPU quota of a container."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.measure import bench, preparation
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.preparation import Jobs, Preparation
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.measure.worker_pool import Job, Pool
from pytest_perfgate.measure.workplace import ThisHost
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.suite.reading import read
from pytest_perfgate.tasks.kept_pixels import VARIABLE
from pytest_perfgate.worker.protocol import GrowthJob

SUITE = """\
[suite]
task = "detection"
model = "model:build"
threads = 2
[suite.data]
validation = "model:data"
[[recipe]]
name = "plain"
runtime = "torch"
"""


@pytest.mark.parametrize(
    ("cores", "busy", "room"), [([0, 1], 2, True), ([0, 1], 1, False), ([0], 1, False)]
)
def test_the_next_launch_loads_ahead_only_where_there_is_time_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: list[int], busy: int, room: bool
) -> None:
    """A quota of one core would stop the launch that measures while the other one loads."""
    monkeypatch.setattr(bench, "usable_cores", lambda: cores)
    monkeypatch.setattr(bench, "busy_cores", lambda: busy)
    monkeypatch.setattr(
        bench, "measuring_places", lambda numbers, _: [(number,) for number in numbers]
    )
    with Bench([], for_command(tmp_path, "pytest"), print) as started:
        assert started._has_room_ahead() is room


@pytest.mark.parametrize(("busy", "size"), [(8, 4), (3, 1), (1, 1)])
def test_as_many_recipes_are_built_at_once_as_the_quota_has_cores_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int, size: int
) -> None:
    """Each with the suite's threads; one at least. They share a folder of decoded images, which is
    gone before anything is measured, as the place rests by then where they were built.
    """
    sizes: list[int] = []
    folders: list[bool] = []

    class Recorder(Pool):
        def run(self, jobs: Iterable[Job], tick: object = None) -> Iterator[Any]:  # noqa: ARG002 - as the real one
            folders.extend(Path(job.env[VARIABLE]).is_dir() for job in jobs)
            return iter(())

    class Place(ThisHost):
        def runner(self, size: int, logs: Path) -> Pool:
            sizes.append(size)
            return Recorder(size, logs)

        def rest(self) -> None:
            sizes.append(0)

    monkeypatch.setattr(preparation, "busy_cores", lambda: busy)
    file = tmp_path / "recipes.toml"
    file.write_text(SUITE)
    suite = read(file, tmp_path).suite
    assert suite is not None
    arms = [Arm("plain", suite, suite.recipes["plain"])]
    settings = for_command(tmp_path, "pytest")
    (tmp_path / "of_suite").mkdir()
    jobs = Jobs(arms, settings, tmp_path / "of_suite")
    Preparation(arms, jobs, settings, print, Place()).run()
    work = GrowthJob(suite, "plain", ArtifactHandle("torch", None, suite.model))
    assert sizes[0] == size
    assert sizes[-1] == 0
    assert folders == [True]
    assert VARIABLE not in jobs.job("launch", work, arms[0]).env
    assert not jobs.pixels.exists()

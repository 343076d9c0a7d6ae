"""What arrives from a node counts where it rests on the files that this host has."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.fleet import fleet
from pytest_perfgate.fleet.fleet import Fleet, FleetRunner
from pytest_perfgate.fleet.messages import Broken, Finished, Heard, Note
from pytest_perfgate.measure.worker_pool import Ended, Job
from pytest_perfgate.records.inputs import CHANGED
from pytest_perfgate.worker.protocol import MESSAGES, Failed, Prepared, WorkProgress

CLUSTER = "ray://head:10001"


def prepared(files: dict[str, str]) -> Prepared:
    """A recipe that rests on these files; the rest of the message is not looked at."""
    fields: dict[str, Any] = dict.fromkeys(Prepared.__dataclass_fields__)
    return Prepared(**(fields | {"files": files}))


def job(root: Path) -> Job:
    """Of a recipe in a project."""
    return Job("int8", work=None, root=root)  # type: ignore[arg-type]  # what it is, nobody asks


def test_an_artifact_of_other_files_is_an_error_of_its_recipe(tmp_path: Path) -> None:
    """It names the node and the file. A file that changed while it was read equals no other."""
    (tmp_path / "model.py").write_text("width = 8")
    here = hashlib.sha256(b"width = 8").hexdigest()
    there = hashlib.sha256(b"width = 9").hexdigest()
    runner = FleetRunner(Fleet(CLUSTER), 1, tmp_path)
    same = prepared({"model.py": here, "data.py": CHANGED})
    assert runner._arrived(job(tmp_path), "node-1", same) is same
    for files in ({"model.py": there}, {"gone.py": there}):
        answer = runner._arrived(job(tmp_path), "node-1", prepared(files))
        assert isinstance(answer, Failed)
        (name,) = files
        assert answer.problem == f"node-1 built it of another {name} than this host has"
        assert (answer.stage, bool(answer.next_step)) == ("build", True)


def test_reports_of_a_driver_become_events_of_their_jobs(tmp_path: Path) -> None:
    """Progress names the node; the end of a job is its last event; a lost engine is an error."""
    place = Fleet(CLUSTER)
    runner, ours = FleetRunner(place, 1, tmp_path), job(tmp_path)
    waiting = {7: ours}
    line = MESSAGES.encode(WorkProgress(1, 2, "accuracy")).decode().rstrip("\n")
    progress = WorkProgress(1, 2, "accuracy on node-1")
    assert list(runner._hear(Heard(7, "node-1", line), waiting)) == [(ours, progress)]
    assert list(runner._hear(Note("int8 was started again"), waiting)) == []
    assert list(runner._hear(Note("int8 was started again"), waiting)) == []
    assert place.notes == ("int8 was started again",)
    ended = Ended("it was killed", "words", "free memory")
    end = Finished(7, "it was killed", "words", "free memory")
    assert list(runner._hear(end, waiting)) == [(ours, ended)]
    assert not waiting
    assert list(runner._hear(end, waiting)) == []
    with pytest.raises(PerfgateError, match="no node is left") as caught:
        list(runner._hear(Broken("no node is left", "start one"), waiting))
    assert caught.value.next_step == "start one; or build on this host: leave out --perf-fleet"


def test_the_folder_of_the_sockets_is_this_user_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that others can write to, or a link to elsewhere, is refused."""
    monkeypatch.setattr(fleet, "_SOCKETS", tmp_path)
    folder = fleet._own_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(PerfgateError, match="others can change it"):
        fleet._own_folder()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(PerfgateError, match="others can change it"):
        fleet._own_folder()

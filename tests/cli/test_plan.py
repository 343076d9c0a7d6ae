"""`pytest-perfgate plan`: from sessions and a file of runners to a timetable."""

from __future__ import annotations

import json

import pytest
from pytest_perfgate.cli.main import main

from tests.report.sessions import healthy


@pytest.fixture
def sessions(tmp_path):
    """Two sessions of a suite `digits` each, 60 s of measuring and 10 s of building in 303 s; the
    second, of another machine, has a second suite `text` that failed.
    """
    one = healthy()
    (suite,) = one.suites
    failed = suite.model_copy(update={"name": "text", "phases": {}})
    longer = suite.model_copy(update={"phases": {"build": 20.0, "measure": 80.0}})
    other = one.model_copy(
        update={
            "started": "2026-11-24T15:01:31+00:00",
            "machine": one.machine.model_copy(update={"cpu": "Another CPU"}),
            "suites": (longer, failed),
        }
    )
    files = [tmp_path / "one.json", tmp_path / "other.json"]
    for file, record in zip(files, (one, other), strict=True):
        file.write_text(record.model_dump_json(), encoding="utf-8")
    return files


@pytest.fixture
def plan(tmp_path, sessions, capsys):
    """Runs the command with a file of runners; gives code, output, errors and the timetable."""

    def run(cluster: object, *more: str, files=None):
        fleet, timetable = tmp_path / "cluster.json", tmp_path / "timetable.json"
        fleet.write_text(cluster if isinstance(cluster, str) else json.dumps(cluster))
        timetable.unlink(missing_ok=True)
        named = map(str, sessions if files is None else files)
        words = ["--fleet", str(fleet), "--json", str(timetable), *more]
        code = main(["plan", *named, *words])
        out = capsys.readouterr()
        data = json.loads(timetable.read_text()) if timetable.exists() else None
        return code, out.out, out.err, data

    return run


def test_a_session_on_other_runners(plan, sessions):
    """One suite on two kinds of runners: the times of its session, start and end of pytest
    included, and four times as long where a runner has a quarter of the speed.
    """
    cluster = {"runners": {"cpu": {"count": 2}, "jetson": {"count": 1, "speed": 0.25}}, "start": 7}
    code, out, err, timetable = plan(cluster, "--jobs", files=sessions[:1])
    assert (code, err) == (0, "")
    assert {job["kind"]: job["end"] for job in timetable["jobs"]} == {"cpu": 310, "jetson": 1219}
    assert "2 jobs on 3 runners: all have ended after 0:20:19" in out
    assert "digits@jetson" in out


def test_the_times_of_a_machine(plan):
    """A kind with a machine has the times of that machine's sessions, another those of the latest
    session.
    """
    machine = healthy().machine.id
    cluster = {"runners": {"old": {"count": 1, "machine": machine}, "new": {"count": 1}}}
    code, _, _, timetable = plan(cluster)
    ends = {job["kind"]: job["end"] for job in timetable["jobs"]}
    assert code == 10
    assert ends["old"] == 303
    assert ends["new"] == pytest.approx(100 + (303 - 100) / 2)


def test_the_times_of_a_target_are_those_of_its_machine(plan, sessions):
    """One session has them of several machines."""
    one = healthy()
    (suite,) = one.suites
    machine = one.machine.model_copy(update={"cpu": "Jetson"})
    known = {"target": "jetson", "machine": machine, "environment": one.environment}
    there = suite.model_copy(update={**known, "phases": {"build": 0.0, "measure": 170.0}})
    both = one.model_copy(update={"suites": (suite, there), "seconds": 240.0})
    sessions[0].write_text(both.model_dump_json(), encoding="utf-8")
    cluster = {"runners": {"desk": {"count": 1, "machine": machine.id}}}
    _, _, _, timetable = plan(cluster, files=sessions[:1])
    assert [job["end"] for job in timetable["jobs"]] == [170]


def test_two_targets_that_are_one_machine_are_one_job(plan, sessions):
    """As long as the one that built; the time around all suites is that of the job alone."""
    one = healthy()
    (suite,) = one.suites
    known = {"machine": one.machine, "environment": one.environment}
    times = {"desk": {"build": 40.0, "measure": 60.0}, "bench": {"build": 0.0, "measure": 60.0}}
    suites = [
        suite.model_copy(update={**known, "target": name, "phases": phases})
        for name, phases in times.items()
    ]
    both = one.model_copy(update={"suites": tuple(suites), "seconds": 180.0})
    sessions[0].write_text(both.model_dump_json(), encoding="utf-8")
    code, _, _, timetable = plan({"runners": {"cpu": {"count": 2}}}, files=sessions[:1])
    assert code == 0
    assert [job["end"] for job in timetable["jobs"]] == [120]


def test_what_was_not_measured_is_named(plan):
    """A suite without a time is left out by name, with the session, and the code is not 0."""
    code, out, err, _ = plan({"runners": {"cpu": {"count": 1}}})
    assert code == 10
    assert "left out: text: nothing of it was measured (session 20261123-150131)" in err
    assert "1 job on 1 runner" in out


def test_builders_are_shown(plan, sessions):
    """Nodes that build have a line of their own, with the share of the time in which they idle."""
    cluster = {"runners": {"cpu": {"count": 1}}, "builders": {"count": 1, "cores": 2}}
    code, out, _, timetable = plan(cluster, files=sessions[:1])
    assert code == 0
    assert timetable["end"] == pytest.approx(303)  # as many cores as the session had
    assert "builders" in out


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ("{", "it is not JSON"),
        ({}, "runners: Field required"),
        ({"runners": {}}, "runners: Dictionary should have at least 1 item"),
        ({"runners": {"cpu": {"count": 0}}}, "runners: cpu: count: Input should be greater"),
        ({"runners": {"cpu": {"count": 1, "sped": 2}}}, "runners: cpu: sped: Extra inputs"),
        ({"runners": {"": {"count": 1}}}, "a kind of runners has no name"),
        ({"runners": {"cpu": {"count": 1, "suites": ["digit"]}}}, "'digit' is in none of the"),
        ({"runners": {"cpu": {"count": 1, "machine": "m"}}}, "'m' is in none of the sessions"),
    ],
)
def test_a_file_of_runners_that_is_wrong(plan, cluster, words):
    """One message with the place, the value and what is valid, and nothing is written."""
    code, _, err, timetable = plan(cluster)
    assert code == 1
    assert words in err
    assert "valid:" in err
    assert timetable is None

"""`pytest-perfgate baselines accept`: sessions of machines that only CI reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.baselines.store import Store
from pytest_perfgate.cli.main import main
from pytest_perfgate.records.inputs import Unaffected
from pytest_perfgate.records.session import SessionRecord

from tests.report.pairs import calm, moved

LATER = "2026-11-24T15:01:31+00:00"


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with the suite's folder, as the working folder."""
    (tmp_path / "suites/digits").mkdir(parents=True)
    (tmp_path / "suites/digits/recipes.toml").touch()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)


def committed(session: SessionRecord, **changes: Any) -> SessionRecord:
    """The session as of a clean checkout."""
    return session.model_copy(update={"dirty": False, **changes})


def accept(*sessions: SessionRecord, reason: str = "") -> int:
    """The exit code of the command with the files of these sessions."""
    files = []
    for number, session in enumerate(sessions):
        file = Path(f"{number}.json")
        file.write_text(session.model_dump_json(), encoding="utf-8")
        files.append(str(file))
    return main(["baselines", "accept", *files, "--reason", reason])


def stored(session: SessionRecord, recipe: str) -> Any:
    """The baseline of a recipe on the session's machine."""
    return Store(Path("baselines")).read(session.machine, "digits", recipe)


def test_sessions_of_two_machines_become_baselines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of its own machine, with the commit that was measured; once more changes nothing."""
    here = committed(calm())
    there = here.model_copy(
        update={"machine": here.machine.model_copy(update={"cpu": "Another CPU"})}
    )
    assert accept(there, here) == 0
    for session in (here, there):
        baseline = stored(session, "int8")
        assert baseline.commit == here.commit
        assert len(baseline.metrics["latency_p50"].launches) >= 8
    assert "create   int8" in capsys.readouterr().out
    assert accept(there, here) == 0
    assert capsys.readouterr().out.count("no baseline was changed") == 2


def test_changes_of_several_suites_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Their recipes may have one name."""
    (suite,) = calm().suites
    other = suite.model_copy(update={"name": "more", "folder": "suites/more"})
    assert accept(committed(calm(), suites=(suite, other))) == 0
    out = capsys.readouterr().out
    assert out.index("suite digits") < out.index("create   int8") < out.index("suite more")


def test_what_became_worse_needs_a_reason_which_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Without one nothing is written, and the message names this command."""
    assert accept(committed(calm())) == 0
    slower = committed(moved(calm(), {"int8": 1.3}), started=LATER)
    before = stored(slower, "int8")
    assert accept(slower) == 1
    assert "baselines accept SESSION.json --reason 'why'" in capsys.readouterr().err
    assert stored(slower, "int8") == before
    assert accept(slower, reason="a safer kernel") == 0
    assert {reason.reason for reason in stored(slower, "int8").reasons} == {"a safer kernel"}


def test_what_a_change_could_not_touch_changes_no_baseline(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is named, with the session to name instead; what was measured is written."""
    session = committed(calm())
    (suite,) = session.suites
    left_out = Unaffected(
        recipe="int8",
        reference="fp32",
        session="20261101-000000",
        started=LATER,
        commit="c",
        key="k",
    )
    suite = suite.model_copy(
        update={
            "recipes": tuple(one for one in suite.recipes if one.name != "int8"),
            "summaries": {},
            "unaffected": (left_out,),
        }
    )
    assert accept(session.model_copy(update={"suites": (suite,)})) == 0
    out = capsys.readouterr().out
    assert "digits/int8 is unaffected: nothing of it was measured" in out
    assert "session 20261101-000000" in out
    assert stored(session, "int8") is None
    assert stored(session, "fp32") is not None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"complete": False}, "the session was cut short"),
        ({"dirty": True}, "files that were not committed"),
        ({"commit": ""}, "the commit that the session measured is not known"),
        ({"commit": "", "dirty": True, "changed": "a -> b"}, "1.json: a -> b"),
        ({"settings": {"merged": ["a", "b"]}}, "it is of several sessions"),
        ({"started": "2026-11-20T00:00:00+00:00"}, "fp32 is newer: it is of 2026-11-23"),
    ],
)
def test_a_session_that_may_not_change_anything_stops_the_others_too(
    capsys: pytest.CaptureFixture[str], changes: dict[str, Any], problem: str
) -> None:
    """All are looked at before the first is written."""
    assert accept(committed(calm())) == 0
    faster = committed(moved(calm(), {"int8": 0.7}), started=LATER)
    before = stored(faster, "int8")
    assert accept(faster, committed(calm(), **changes)) == 1
    error = capsys.readouterr().err
    assert problem in error
    assert "1.json" in error
    assert stored(faster, "int8") == before

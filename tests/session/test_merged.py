"""Sessions of a sharded run as one: joined, refused, and its exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.cli.main import main
from pytest_perfgate.errors import ReportError
from pytest_perfgate.plugin import options
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import Earlier, Status
from pytest_perfgate.report.answer import answer
from pytest_perfgate.report.session_files import read
from pytest_perfgate.session import merged

from tests.report.pairs import calm
from tests.report.sessions import verdict

A, B = Path("a.json"), Path("b.json")


def part(
    name: str, *statuses: Status, settings: dict[str, Any] | None = None, **changes: Any
) -> SessionRecord:
    """A session of one suite whose budgets ended so, of a clean checkout."""
    session = calm()
    verdicts = tuple(verdict("int8", "latency_p50", status) for status in statuses)
    suite = session.suites[0].model_copy(update={"name": name, "verdicts": verdicts})
    given = {"alpha": 0.01, "limits": 3, "seconds": 60.0, **(settings or {})}
    return session.model_copy(
        update={"suites": (suite,), "dirty": False, "settings": given, **changes}
    )


def test_the_whole_has_the_suites_of_all_and_their_chances() -> None:
    """From the first start to the last end."""
    late = part("text", Status.PASS, started="2026-11-23T15:11:31+00:00", seconds=60.0)
    whole = merged.merge({A: part("digits", Status.PASS), B: late}, "merge")
    assert [suite.name for suite in whole.suites] == ["digits", "text"]
    assert (whole.settings["alpha"], whole.settings["limits"]) == (0.02, 6)
    assert whole.seconds == 660
    assert whole.complete
    assert merged.absent(whole, ["text"]) == ()
    assert whole.settings["merged"] == [late.id, late.id]


def test_what_a_part_missed_is_missed_by_the_whole() -> None:
    """A requirement of which nothing was measured has no verdict that says so."""
    missed = part("text", Status.PASS, absent=("--perf-require=gpu: nothing of it was measured",))
    whole = merged.merge({A: part("digits", Status.PASS), B: missed}, "merge")
    (problem,) = merged.absent(whole, [])
    assert "--perf-require=gpu" in str(problem)


def test_another_environment_is_a_note_of_its_suite() -> None:
    """Machines of one kind may have other kernels."""
    first = part("digits", Status.PASS)
    other = first.environment.model_copy(update={"kernel": "7.0"})
    whole = merged.merge({A: first, B: part("text", Status.PASS, environment=other)}, "merge")
    assert whole.suites[0].notes == first.suites[0].notes
    assert "-> 7.0" in whole.suites[1].notes[-1]


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (part("text", commit="f" * 40), "its commit is ffff"),
        (part("text", settings={"base": "main"}), "its base is main"),
        (part("text", dirty=True), "files that were not committed"),
        (part("text", dirty=True, changed="files changed meanwhile"), "files changed meanwhile"),
        (part("digits"), "the suite 'digits' is in a.json, too"),
        (
            part("text", machine=calm().machine.model_copy(update={"cpu": "Another CPU"})),
            "its machine is ",
        ),
    ],
)
def test_what_is_no_part_of_one_run_is_refused(other: SessionRecord, problem: str) -> None:
    """With the file and what differs."""
    with pytest.raises(ReportError, match=problem) as refused:
        merged.merge({A: part("digits"), B: other}, "merge")
    assert refused.value.where == "b.json"


def test_one_session_may_have_measured_what_was_not_committed() -> None:
    """There is no other part that it could differ from; beside one it is refused, first or not."""
    dirty = part("digits", Status.PASS, dirty=True)
    assert merged.merge({A: dirty}, "merge").dirty
    with pytest.raises(ReportError, match="not committed"):
        merged.merge({A: dirty, B: part("text")}, "merge")


def test_parts_whose_commit_is_not_known_are_refused() -> None:
    """Two that are not known are not the same; one alone has nothing to differ from."""
    unknown = part("digits", Status.PASS, commit="")
    assert merged.merge({A: unknown}, "merge").commit == ""
    with pytest.raises(ReportError, match="the commit that it measured is not known") as refused:
        merged.merge({A: unknown, B: part("text", commit="")}, "merge")
    assert "safe.directory" in refused.value.next_step


STRICT = {"strict": True}
ALLOWED = {"strict": True, "allow_skip": ["int8-*"]}


@pytest.mark.parametrize(
    ("statuses", "settings", "problems", "code"),
    [
        ([Status.PASS, Status.INCONCLUSIVE, Status.NO_BASELINE, Status.SKIPPED], {}, 0, 0),
        ([Status.PASS, Status.FAIL, Status.ERROR], {}, 0, merged.BROKEN),
        ([Status.PASS, Status.ERROR], {}, 0, merged.NOT_PROVEN),
        ([Status.PASS, Status.INCONCLUSIVE], STRICT, 0, merged.NOT_PROVEN),
        ([Status.PASS, Status.SKIPPED], STRICT, 0, merged.NOT_PROVEN),
        ([Status.PASS, Status.SKIPPED], ALLOWED, 0, 0),
        ([Status.SKIPPED], ALLOWED, 0, merged.NOT_PROVEN),
        ([Status.SKIPPED], {}, 0, 0),
        ([Status.PASS], {}, 1, merged.NOT_PROVEN),
    ],
)
def test_its_exit_code_is_that_of_one_session(
    statuses: list[Status], settings: dict[str, Any], problems: int, code: int
) -> None:
    """Each part by its own settings: what one allows or proves excuses no other."""
    green = part("digits", Status.PASS, settings={"strict": True, "allow_skip": ["*"]})
    assert merged.exit_code([green, part("text", *statuses, settings=settings)], problems) == code


def test_a_joined_session_keeps_the_rules_of_its_runs() -> None:
    """Joined again, a skip that one run allowed excuses none of another; what it allowed is still
    allowed.
    """
    green = part("digits", Status.PASS, Status.SKIPPED, settings=ALLOWED)
    skipped = part("text", Status.PASS, Status.SKIPPED, settings=STRICT)
    once = merged.merge({A: green, B: skipped}, "merge")
    assert merged.exit_code([once], 0) == merged.NOT_PROVEN
    fine = merged.merge({A: green, B: part("text", Status.PASS, settings=STRICT)}, "merge")
    again = merged.merge({A: fine, B: part("pose", Status.PASS)}, "merge")
    assert merged.exit_code([again], 0) == 0
    assert "allow_skip" not in again.settings
    unknown = again.model_copy(update={"suites": (*again.suites, *part("x", Status.ERROR).suites)})
    assert merged.exit_code([unknown], 0) == merged.NOT_PROVEN


def test_a_suite_on_two_targets_is_two_of_a_joined_session() -> None:
    """The verdicts of neither are left out of the exit code, whichever comes first."""
    kept = part("digits", Status.PASS).suites[0].model_copy(update={"target": "desk"})
    lost = part("digits", Status.NO_MACHINE).suites[0].model_copy(update={"target": "jetson"})
    whole = part("text", Status.PASS, settings={"strict": True})
    for suites in ((kept, lost), (lost, kept)):
        both = whole.model_copy(update={"suites": (*whole.suites, *suites)})
        assert merged.exit_code([both], 0) == 10


@pytest.mark.parametrize(
    ("earlier", "settings", "code"),
    [
        (Status.PASS, STRICT, 0),
        (Status.FAIL, STRICT, merged.NOT_PROVEN),
        (Status.FAIL, {}, 0),
    ],
)
def test_an_unaffected_budget_is_as_good_as_its_measurement(
    earlier: Status, settings: dict[str, Any], code: int
) -> None:
    """A part of which nothing was measured is green under --perf-strict by earlier PASSes alone."""
    origin = Earlier(session="s", started="2026-11-01T00:00:00", commit="c", status=earlier)
    session = part("text", Status.UNAFFECTED, settings=settings)
    (suite,) = session.suites
    (budget,) = suite.verdicts
    budget = budget.model_copy(update={"earlier": origin, "value": None})
    suite = suite.model_copy(update={"verdicts": (budget,)})
    assert merged.exit_code([session.model_copy(update={"suites": (suite,)})], 0) == code


def test_the_codes_are_those_of_pytest() -> None:
    """Which `pytest --perf` ends with."""
    assert merged.NOT_PROVEN == options.NOT_PROVEN
    assert merged.BROKEN == pytest.ExitCode.TESTS_FAILED


def test_the_command_writes_a_page_and_misses_what_is_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that never ran is not green by absence."""
    monkeypatch.chdir(tmp_path)
    for file, session in ((A, part("digits", Status.PASS)), (B, part("text", Status.PASS))):
        file.write_text(session.model_dump_json(), encoding="utf-8")
    assert main(["merge", "a.json", "b.json", "--expect", "text"]) == 0
    assert "All 2 budgets are kept" in " ".join(capsys.readouterr().out.split())
    (page,) = Path("reports").glob("2*.html")
    assert [suite.name for suite in read(page.with_suffix(".json")).suites] == ["digits", "text"]
    assert main(["merge", "a.json", "a.json", "--expect", "digits", "--expect", "text"]) == 10
    errors = capsys.readouterr().err
    assert "no part has the suite 'text'" in errors
    assert "a.json is named 2 times and counts once" in errors
    newest = max(Path("reports").glob("2*.json"), key=lambda file: file.stat().st_mtime_ns)
    assert "no part has the suite 'text'" in answer(read(newest))


def test_what_one_part_may_skip_no_other_may_when_merged_again() -> None:
    """A merged session is a part like any other."""
    free = part("digits", Status.SKIPPED, settings={"strict": True, "allow_skip": ["*"]})
    held = part("text", Status.SKIPPED, settings={"strict": True})
    assert merged.exit_code((free, held), 0) == merged.NOT_PROVEN
    whole = merged.merge({A: free, B: held}, "merge")
    assert merged.exit_code((whole, part("more", Status.PASS)), 0) == merged.NOT_PROVEN

"""Nothing is green by absence: each way to measure nothing turns a strict session red."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from pytest_perfgate import registry
from pytest_perfgate.machine import nvml
from pytest_perfgate.plugin.options import NOT_PROVEN
from pytest_perfgate.plugin.outcome import settle
from pytest_perfgate.plugin.tally import Tally
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.runtimes import cuda
from pytest_perfgate.suite import requirements
from pytest_perfgate.suite.reading import read
from pytest_perfgate.verdicts.judge import measured

from tests.conftest import Project, said
from tests.sources.graphs import IMAGES
from tests.squares import RECIPES

PLACE = "suites/digits/recipes.toml"
OWN = "def test_own():\n    pass\n"
ENGINE = """\
[suite]
task = "detection"
model = "m.onnx"
[suite.data]
validation = "m:data"
[[recipe]]
name = "engine"
steps = [{ tensorrt = "tensorrt" }]
runtime = "tensorrt"
"""
NOT_HERE = RECIPES.replace('max = "1 MB"', 'max = "1 MB", when = { cpu = "svef64mm" }')


def verdict(status: Status, reason: str = "") -> Verdict:
    """Of some budget."""
    return Verdict(recipe="int8", metric="map", status=status, unit="", reason=reason)


def tally(*statuses: Status | None) -> Tally:
    """One selected budget for each; None: its test did not run."""
    result = Tally()
    for index, status in enumerate(statuses):
        names = ("digits", "onnxruntime", "quantize")
        result.select(f"t{index}", f"r{index}-map", PLACE, names, ("avx2",))
        if status is not None:
            result.settle(f"t{index}", verdict(status, "there is no GPU"))
    return result


def problems(of: Tally) -> list[str]:
    """Absences in words."""
    return [error.problem for error in of.absences()]


# -- the tally -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [Status.PASS, Status.FAIL, Status.INCONCLUSIVE, Status.NO_BASELINE]
)
def test_one_measured_budget_is_no_absence(status: Status) -> None:
    """Skipped ones beside it have failed or were allowed."""
    assert problems(tally(status, Status.SKIPPED)) == []


def test_no_selected_budget_is_named_with_its_cause() -> None:
    """Nothing collected, all deselected, none run, all skipped: four messages."""
    assert "no test of a suite was collected" in problems(tally())[0]
    deselected = tally()
    deselected.deselect(["a", "b"])
    assert "2 tests of suites deselected" in problems(deselected)[0]
    assert "2 selected budgets did not run" in problems(tally(None, None))[0]
    assert "2 of 2 SKIPPED; the first: there is no GPU" in problems(tally(*2 * [Status.SKIPPED]))[0]


def test_a_part_that_did_not_run_is_named() -> None:
    """Another plugin skipped two of three tests: their budgets would be green unseen."""
    part = tally(Status.PASS, None, None)
    assert problems(part) == ["2 of 3 selected budgets did not run: r1-map, r2-map"]
    part.select("other", "r1-map", "suites/pose/recipes.toml", ())
    assert problems(part)[0].endswith("digits r1-map, suites/digits r2-map, suites/pose r1-map")


def test_what_a_stop_left_out_is_named() -> None:
    """No mark skips these tests; where all were settled, a stop leaves nothing out."""
    (error,) = tally(Status.PASS, None).absences(stopped=True)
    assert error.problem == (
        "the run stopped at a failure: 1 of 2 selected budgets did not run: r1-map"
    )
    assert tally(None).absences(stopped=True)
    assert tally(Status.FAIL, Status.PASS).absences(stopped=True) == ()


def test_what_a_hook_took_out_without_a_word_is_named() -> None:
    """A test that was collected and neither selected nor deselected has vanished; over pytest-xdist
    too. One that was deselected, or runs, has not.
    """
    hooked = tally(Status.PASS)
    hooked.collect(["t0", "a", "b"])
    hooked.deselect(["a"])
    whole = Tally()
    whole.merge(hooked.dump())
    (error,) = whole.absences()
    assert error.problem == (
        "1 of 3 collected tests of budgets were taken out of the run without a word: b"
    )
    assert "pytest_deselected" in error.next_step
    none = Tally()
    none.collect(["a", "b"])
    assert "2 tests of suites taken out of the run by a hook" in problems(none)[0]


def test_errors_are_red_by_themselves() -> None:
    """No second message for a session in which everything is ERROR."""
    assert problems(tally(Status.ERROR)) == []


def test_a_controller_adds_what_its_workers_tell() -> None:
    """Each worker of pytest-xdist has collected everything and run a part."""
    whole = Tally()
    whole.merge(tally(Status.PASS, None).dump())
    assert problems(whole) == ["1 of 2 selected budgets did not run: r1-map"]
    whole.merge(tally(None, Status.PASS).dump())
    assert problems(whole) == []


@pytest.mark.parametrize("word", ["digits", "onnxruntime", "quantize", "avx2"])
def test_a_requirement_is_met_by_a_measured_budget(word: str) -> None:
    """By suite, runtime, step, and feature of the CPU; not by a skipped one."""
    assert tally(Status.PASS).unmet([word]) == []
    (error,) = tally(Status.SKIPPED).unmet([word])
    assert str(error) == (f"--perf-require={word}: nothing of it was measured: there is no GPU")


@pytest.mark.parametrize("word", ["gpu", "avx512_vnni", "tensort"])
def test_a_requirement_that_nothing_covers_is_unmet(word: str) -> None:
    """A misspelt one too: it names what was selected."""
    (error,) = tally(Status.PASS).unmet([word])
    assert "selected: digits, onnxruntime, quantize" in error.problem


def test_a_feature_is_met_on_the_machine_of_a_target_alone() -> None:
    """Not by this host's CPU where the budget was measured on another; what that has is known when
    it was reached. Over pytest-xdist too.
    """
    one = Tally()
    one.select("t", "r-map", PLACE, ("digits",))
    one.require(PLACE, ["asimd", "avx2"])
    assert len(one.unmet_of_suites()) == 2
    one.settle("t", verdict(Status.PASS), ("asimd",))
    whole = Tally()
    whole.merge(one.dump())
    for either in (one, whole):
        (error,) = either.unmet_of_suites()
        assert "nothing of 'avx2' was measured" in error.problem


def test_a_suites_requirement_is_met_by_its_own_budgets_only() -> None:
    """Another suite measured it, this one did not: its merge gate is red. Over pytest-xdist too."""
    one = tally(Status.PASS)
    one.select("other", "r-map", "other/recipes.toml", ("other", "openvino"))
    one.settle("other", verdict(Status.SKIPPED, "not installed: openvino"))
    one.require(PLACE, ["quantize", "avx2", "digits"])
    one.require("other/recipes.toml", ["openvino", "quantize"])
    whole = Tally()
    whole.merge(one.dump())
    errors = [str(error) for error in whole.unmet_of_suites()]
    assert [text.partition(" (")[0] for text in errors] == [
        "other/recipes.toml: suite.require: nothing of 'openvino' was measured: not installed: "
        "openvino",
        "other/recipes.toml: suite.require: nothing of 'quantize' was measured: no selected recipe "
        "has it",
    ]
    assert whole.summary == "1 of 2 budgets were measured"


# -- one test ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason", ["not installed: tensorrt", "there is no NVIDIA driver", "there is no GPU like *A10*"]
)
def test_skipped_fails_a_strict_session_unless_allowed(reason: str) -> None:
    """Wheel, driver or device is missing; the message names the pattern that allows it."""
    skipped = verdict(Status.SKIPPED, reason)

    def settled(*allowed: str, strict: bool = True) -> None:
        settle(skipped, None, name="int8-map", strict=strict, allowed=allowed)

    with pytest.raises(pytest.fail.Exception, match="--perf-allow-skip=int8-map") as caught:
        settled("fp32-*")
    assert reason in str(caught.value)
    for allowed, strict in ((("int8-*",), True), ((), False)):
        with pytest.raises(pytest.skip.Exception):
            settled(*allowed, strict=strict)


def test_what_may_be_skipped_is_named_with_its_target_or_without() -> None:
    """A pattern of one target allows no other one."""
    skipped = verdict(Status.SKIPPED, "there is no GPU")
    own = f"{skipped.recipe}-{skipped.metric}"
    assert skipped.fits([own], "desk")
    assert skipped.fits([f"{own}@desk"], "desk")
    assert not skipped.fits([f"{own}@desk"], "jetson")
    assert not skipped.fits([f"{own}@desk"])


@pytest.mark.parametrize("taken", ["driver", "device", "wheel", ""])
def test_a_driver_a_device_and_a_wheel_that_are_gone_turn_a_strict_session_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    """Each alone; with all of them nothing is skipped."""
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    if taken != "device":
        (root / "dev" / "nvidia0").touch()
    library = None if taken == "driver" else "libcuda.so.1"
    monkeypatch.setattr(cuda, "Path", lambda *_: root)
    monkeypatch.setattr(cuda, "_WSL_DRIVER", root / "none")
    monkeypatch.setattr(cuda.ctypes.util, "find_library", lambda _: library)
    monkeypatch.setattr(nvml, "connect", lambda: (None, "there is none"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gone = {"tensorrt"} if taken == "wheel" else set()
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: name not in gone or None)
    (tmp_path / "m.onnx").write_bytes(IMAGES)
    (tmp_path / "recipes.toml").write_text(ENGINE)
    suite = read(tmp_path / "recipes.toml", tmp_path).suite
    assert suite is not None
    failure = requirements.lacking(suite, suite.recipes["engine"])
    if not taken:
        assert failure is None
        return
    assert failure is not None
    record = RecipeRecord(name="engine", reference="engine", failure=failure)
    skipped = measured(record, "measured")
    assert skipped.status is Status.SKIPPED
    with pytest.raises(pytest.fail.Exception, match="SKIPPED fails under --perf-strict") as caught:
        settle(skipped, record, name="engine-measured", strict=True, allowed=())
    assert {"wheel": "tensorrt"}.get(taken, "an NVIDIA GPU with its driver") in str(caught.value)


def test_suites_without_a_test_are_named() -> None:
    """Whichever process of pytest-xdist collected them, each with its command."""
    worker, controller = tally(), Tally()
    for suite in (PLACE, "suites/pose-2/recipes.toml", "recipes.toml"):
        worker.see(suite)
    worker.test(PLACE)
    controller.merge(worker.dump())
    top, pose = controller.without_test()
    assert (top.where, pose.where) == ("recipes.toml", "suites/pose-2/recipes.toml")
    assert top.next_step.startswith("write test_budgets.py with: def test_budget(budget): budget")
    assert pose.next_step.startswith("write suites/pose-2/test_pose_2.py with: ")


# -- sessions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("--benchmark-only",), "6 selected budgets did not run"),
        (("-k", "own"), "6 tests of suites deselected"),
        (("-m", "not perf"), "6 tests of suites deselected"),
        (("test_own.py",), "no test of a suite was collected"),
    ],
    ids=["benchmark-only", "k", "m", "path"],
)
def test_a_session_without_a_budget_is_red_when_strict(
    project: Project, arguments: tuple[str, ...], cause: str
) -> None:
    """Red under `--perf-strict`; without it, as green as before, and the cause is said."""
    (project.root / "test_own.py").write_text(OWN)
    for strict in ((), ("--perf-strict",)):
        result = project.run(*arguments, *strict)
        said(result, "no budget was measured", cause)
        assert result.ret == (NOT_PROVEN if strict else 0)


def test_budgets_that_a_hook_takes_out_are_not_absent(project: Project) -> None:
    """A conftest that removes tests without telling pytest leaves a strict session red."""
    hook = "def pytest_collection_modifyitems(items):\n    del items[:]\n"
    (project.root / "conftest.py").write_text(hook)
    result = project.run("--perf-strict")
    said(result, "no budget was measured: 6 tests of suites taken out of the run by a hook")
    assert result.ret == NOT_PROVEN


def test_under_xdist_too(project: Project) -> None:
    """The controller collects nothing itself."""
    (project.root / "test_own.py").write_text(OWN)
    result = project.run("-n", "2", "-k", "own", "--perf-strict", process=True)
    said(result, "no budget was measured: 6 tests of suites deselected")
    assert result.ret == NOT_PROVEN


def test_a_budget_for_other_machines_is_red_when_strict_unless_allowed(project: Project) -> None:
    """Of two budgets one does not apply here; the other is measured in any case."""
    project.write(NOT_HERE)
    chosen = ("-k", "plain-map or plain-artifact", "--perf-strict", "--perf-allow-skip")
    project.write(NOT_HERE.replace(", regression = 0.01", ""))
    result = project.run(*chosen, "nothing")
    result.assert_outcomes(passed=1, errors=1)
    said(result, "svef64mm", "--perf-allow-skip=plain-artifact_size")
    result = project.run(*chosen, "*-artifact_size")
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == 0


def test_a_requirement_turns_a_session_red(project: Project) -> None:
    """Also without `--perf-strict`: it was asked for in so many words."""
    result = project.run("-k", "plain-artifact", "--perf-require", "tiny,onnxruntime,tensorrt")
    result.assert_outcomes(passed=1)
    said(result, "--perf-require=tensorrt: nothing of it was measured")
    assert "--perf-require=tiny" not in result.stdout.str()
    assert result.ret == NOT_PROVEN
    (absent,) = project.sessions()[-1]["absent"]
    assert absent.startswith("--perf-require=tensorrt: nothing of it was measured")


def test_any_target_that_measures_meets_a_requirement_of_a_suite() -> None:
    """By its own machine; else the message names the targets that were selected."""
    result = Tally()
    result.require(PLACE, ["avx2", "gpu"])
    result.select("t0", "int8-map@epyc", PLACE, ("digits", "gpu"))
    result.select("t1", "int8-map@jetson", PLACE, ("digits", "gpu"))
    result.settle("t0", verdict(Status.NO_MACHINE, "epyc is off"), ())
    result.settle("t1", verdict(Status.PASS), ("asimd",))
    (unmet,) = result.unmet_of_suites()
    assert unmet.problem.startswith(
        "nothing of 'avx2' was measured on any of its selected targets (epyc, jetson): no selected"
    )
    result.settle("t0", verdict(Status.PASS), ("avx2",))
    assert result.unmet_of_suites() == []


def test_a_suites_requirement_turns_a_strict_session_red(project: Project) -> None:
    """Without `--perf-strict` it is said: people measure a part of a suite on other machines. The
    JUnit file of both begins with what was measured.
    """
    project.write(RECIPES.replace("batch = 4", 'batch = 4\nrequire = ["tiny", "openvino"]'))
    for strict in ((), ("--perf-strict",)):
        result = project.run("-k", "plain-artifact", "--junitxml=junit.xml", *strict)
        result.assert_outcomes(passed=1)
        said(result, "suites/tiny/recipes.toml: suite.require: nothing of 'openvino' was measured")
        assert "nothing of 'tiny'" not in result.stdout.str()
        assert result.ret == (NOT_PROVEN if strict else 0)
        suite = ElementTree.parse(project.root / "junit.xml").getroot()[0]  # noqa: S314 - own
        head, absent = suite[0]
        assert "nothing of 'openvino' was measured" in str(absent.get("value"))
        assert (head.get("name"), absent.get("name")) == ("perfgate", "perfgate.absent")
        assert str(head.get("value")).startswith("1 of 1 budget was measured. ")


FORGOTTEN = "suites/second/recipes.toml: no collected test takes `budget` beside this suite"


def test_a_suite_without_a_test_is_red_when_strict(project: Project) -> None:
    """A test module was renamed, and its recipes are not measured: said on terminal and page, and
    red under `--perf-strict`.
    """
    (project.root / "suites" / "second").mkdir()
    (project.root / "suites" / "second" / "recipes.toml").write_text(RECIPES)
    (project.root / "suites" / "second" / "tiny_budgets.py").write_text(OWN)
    result = project.run("-k", "plain-artifact", page=True)
    said(result, FORGOTTEN, "write suites/second/test_second.py with: def test_budget(budget):")
    assert result.ret == 0
    session = project.sessions()[-1]
    assert (len(session["notes"]), session["absent"]) == (1, [])
    (page,) = (project.root / "reports").glob("2*.html")
    assert FORGOTTEN in page.read_text()
    result = project.run("-k", "plain-artifact", "--perf-strict")
    said(result, FORGOTTEN)
    assert result.ret == NOT_PROVEN
    assert project.sessions()[-1]["absent"][0].startswith(FORGOTTEN)


def test_only_suites_that_pytest_goes_through_need_a_test(project: Project) -> None:
    """Those below the given paths, and in no folder that pytest or an option leaves out. Suites
    that `-k` deselects have a test, as one that cannot be imported.
    """
    (project.root / "pytest.ini").write_text("[pytest]\nnorecursedirs = copies\n")
    places = ("copies", ".old", "node_modules/one", "reports", "env", "kept", "broken", "lost")
    for place in places:
        (project.root / place).mkdir(parents=True, exist_ok=True)
        (project.root / place / "recipes.toml").write_text(RECIPES)
    (project.root / "env" / "pyvenv.cfg").write_text("")
    (project.root / "broken" / "test_broken.py").write_text("import nothing_of_the_kind\n")
    options = ("-k", "no_test_has_this", "--continue-on-collection-errors", "--ignore=kept")
    text = project.run(*options).stdout.str()
    assert [line.split(":")[0] for line in text.splitlines() if "beside this suite" in line] == [
        "lost/recipes.toml"
    ]
    assert "beside this suite" not in project.run(*options, "suites").stdout.str()

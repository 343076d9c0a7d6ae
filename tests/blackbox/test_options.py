"""The smaller options, one by one, and how the plugin lives with others."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from pathlib import Path

import pytest
from pytest_perfgate.plugin.options import NOT_PROVEN

from tests.conftest import Project, said
from tests.squares import RECIPES


def test_strict_fails_what_has_no_baseline(project: Project) -> None:
    """`--perf-strict` turns NO BASELINE red; PASS stays green."""
    result = project.run("-k", "plain-map or plain-artifact", "--perf-strict")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["NO BASELINE  plain  map", "*--perf-update*"])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--perf-alpha", "0"),
        ("--perf-alpha", "0.7"),
        ("--perf-seconds", "-1"),
        ("--perf-timeout", "0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(project: Project, option: str, value: str) -> None:
    """The usage error names option, value and what is valid."""
    result = project.pytest("--perf", option, value)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option} {float(value)}*valid: *"])


def test_a_busy_device_is_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another session measures, this one says so instead of measuring beside it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    folder = tmp_path / f"pytest-perfgate-{os.getuid()}"
    folder.mkdir()
    with (folder / "cpu.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        result = project.pytest("--perf", "-k", "plain-artifact")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*process 4711 is measuring*", "*--perf-wait SECONDS*"])


def test_a_recipe_that_cannot_be_read_waits_for_nobody(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is measured: its own error is told, while another session measures."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = tmp_path / f"pytest-perfgate-{os.getuid()}"
    folder.mkdir(mode=0o700)
    project.write(RECIPES.replace('runtime = "moody"', 'runtime = "mody"'))
    with (folder / "cpu.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = project.pytest("--perf", "-k", "moody")
    said(result, "mody", "moody")
    assert "measuring on this machine" not in result.stdout.str()


def test_reports_and_cache_go_where_they_are_told(project: Project) -> None:
    """`--perf-reports` and `--perf-cache` name other folders."""
    project.run("-k", "plain-artifact", "--perf-reports=out/here", "--perf-cache=kept", page=True)
    assert len(list((project.root / "out" / "here").glob("[0-9]*.html"))) == 1
    assert (project.root / "kept" / "artifacts").is_dir()
    assert not (project.root / "reports").exists()


def test_a_report_that_cannot_be_written_is_said_and_is_red(project: Project) -> None:
    """The verdicts stand, the message names the folder, the exit status is not that of success."""
    (project.root / "reports").write_text("a file where a folder should be")
    result = project.run("-k", "plain-artifact")
    result.assert_outcomes(passed=1)
    assert result.ret == NOT_PROVEN
    result.stdout.fnmatch_lines(["*report cannot be written*", "*--perf-reports=DIR*"])


def test_samples_reach_pytest_benchmark(project: Project) -> None:
    """`--benchmark-json` has one entry per recipe, its other metrics in extra_info."""
    result = project.run("--benchmark-json", "bench.json", "-p", "no:short_launches")
    data = json.loads((project.root / "bench.json").read_text())
    found = {entry["name"]: entry for entry in data["benchmarks"]}
    assert sorted(found) == ["tiny[moody]", "tiny[plain]"]
    plain = found["tiny[plain]"]
    assert plain["extra_info"]["metrics"]["map"] > 0.5
    assert plain["extra_info"]["verdicts"]["artifact_size"] == "PASS"
    assert plain["stats"]["rounds"] >= 60
    result.stdout.fnmatch_lines(["*perfgate: tiny, latency per image*"])


def test_benchmark_disable_is_respected(project: Project) -> None:
    """With `--benchmark-disable` nothing is added, and nothing breaks."""
    result = project.run(
        "-k", "plain-artifact", "--benchmark-disable", "--benchmark-json", "b.json"
    )
    result.assert_outcomes(passed=1)
    file = project.root / "b.json"
    assert (
        not file.exists() or not file.read_text() or not json.loads(file.read_text())["benchmarks"]
    )


def test_under_xdist_one_worker_measures_and_the_controller_reports(project: Project) -> None:
    """Perf tests stay together on one worker; its results reach the controller's report."""
    (project.root / "test_other.py").write_text(
        "import pytest\n\n@pytest.mark.parametrize('n', range(6))\ndef test_other(n):\n    pass\n"
    )
    result = project.run("-n", "2", "-k", "plain-map or plain-artifact or other", process=True)
    result.assert_outcomes(passed=7, skipped=0)
    result.stdout.fnmatch_lines(["*verdicts: 1 NO BASELINE, 1 PASS*", "*report: reports/*.html"])
    assert len(project.sessions()) == 1
    assert project.verdicts()["plain-artifact_size"] == "PASS"


def test_measuring_on_two_workers_at_once_is_refused(project: Project) -> None:
    """`--dist each` would measure twice at once on one device: one of the two is refused."""
    quick = ("--perf-seconds=1", "-p", "one_launch", "-p", "short_launches", "-p", "no_page")
    both = ("-n", "2", "--dist", "each", "-k", "plain-latency or plain-map")
    result = project.pytest("--perf", *quick, *both, process=True)
    result.stdout.fnmatch_lines(["*two measurements at once*"])


def test_quiet_and_verbose(project: Project) -> None:
    """`-q` prints counts and the path, `-vv` every verdict; no control characters."""
    quiet = project.run("-k", "plain-artifact", "-q")
    quiet.stdout.fnmatch_lines(["verdicts: *", "report: *"])
    quiet.stdout.no_fnmatch_line("*suite tiny*")
    loud = project.run("-k", "plain-artifact", "-vv")
    loud.stdout.fnmatch_lines(["PASS * plain artifact_size", "*max 1 MB is kept*"])
    assert "\x1b" not in "".join(loud.outlines)


def test_missing_frameworks_skip_with_the_command(project: Project) -> None:
    """Where a package is not installed, tests skip and say how to install it."""
    site = project.root / "site"
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    result = project.run("-k", "plain", "-rs", process=True)
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(
        ["*not installed: onnxruntime*pip install 'pytest-perfgate[[]onnx[]]'*"]
    )


def test_the_pytest_process_imports_no_framework(project: Project) -> None:
    """With `--perf` the pytest process itself imports no framework."""
    (project.root / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    heavy = {'torch', 'onnx', 'onnxruntime', 'openvino', 'faster_coco_eval'}\n"
        "    print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    result = project.run("-k", "plain", "-s", process=True)
    result.stdout.fnmatch_lines(["*HEAVY [[][]]"])


def test_a_name_with_markup_is_refused_and_escaped(project: Project) -> None:
    """`<script>` in a recipe's name fails that recipe and reaches the page as text only."""
    project.write(RECIPES + '\n[[recipe]]\nname = "<script>alert(1)</script>"\nfrom = "plain"\n')
    result = project.run("-k", "artifact_size or script", page=True)
    result.assert_outcomes(passed=1, errors=1)
    (page,) = (project.root / "reports").glob("[0-9]*.html")
    assert page.read_text().count("<script") == 1  # the page's own
    assert "&lt;script&gt;alert(1)" in page.read_text()

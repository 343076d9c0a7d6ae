"""The CI recipes of docs/ci: what they say exists, and nothing unread runs on the runner."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.cli.main import _parser

from tests.conftest import Project

yaml = pytest.importorskip("yaml", reason="python -m pip install pyyaml")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "ci"
GITHUB, GITLAB, IMAGE = (
    FOLDER / name for name in ("github-gpu.yml", "gitlab-gpu.yml", "Containerfile")
)


def read(file: Path) -> Any:
    """The file's YAML."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def commands(file: Path) -> list[list[str]]:
    """Every command line of a workflow, as words; lines that are joined by && apart."""
    result: list[str] = []

    def walk(data: Any, key: str = "") -> None:
        if isinstance(data, dict):
            for name, value in data.items():
                walk(value, str(name))
        elif isinstance(data, list):
            for value in data:
                walk(value, key)
        elif key in {"run", "script", "before_script", "after_script"}:
            result.extend(str(data).split("&&"))

    walk(read(file))
    return [shlex.split(text) for text in result]


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a job."""
    return list(job["steps"])


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        (GITHUB, ["--builtin-schema", "vendor.github-workflows"]),
        (
            GITLAB,
            ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
        ),
    ],
    ids=["github", "gitlab"],
)
def test_the_published_schema_takes_it_and_no_broken_one(
    tmp_path: Path, file: Path, schema: list[str]
) -> None:
    """Checked without a network, with the schemas that check-jsonschema carries."""
    pytest.importorskip("check_jsonschema", reason="python -m pip install check-jsonschema")

    def checked(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "check_jsonschema", *schema, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = checked(file)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "broken.yml"
    text = file.read_text(encoding="utf-8")
    broken.write_text(
        text.replace("environment: gpu", "enviroment: gpu").replace(
            "    when: always", "    whenn: always"
        )
    )
    assert checked(broken).returncode != 0


@pytest.mark.parametrize("file", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_every_option_of_pytest_exists(file: Path, pytestconfig: pytest.Config) -> None:
    """Each command line is read by pytest's own parser, and what it does not know fails."""
    lines = [words for words in commands(file) if words[0] == "pytest"]
    assert len(lines) == 2
    for words in lines:
        known = pytestconfig._parser.parse_known_args(words[1:])
        assert known.perf
        _, unknown = pytestconfig._parser.parse_known_and_unknown_args(words[1:])
        assert unknown == []
    gate = next(words for words in lines if "--perf-base" in words)
    assert "--perf-strict" in gate
    assert gate[gate.index("--perf-base") + 1] == "origin/main"
    _, unknown = pytestconfig._parser.parse_known_and_unknown_args(["--perf-bas", "--perf-none"])
    assert unknown


def _in_a_project(project: Project, words: list[str]) -> list[str]:
    """The arguments of a command line, with its folders of the host below the project's parent."""
    place = project.root.parent / f"{project.root.name}-host"
    place.mkdir(exist_ok=True)
    return [word.replace("/var/lib", str(place)) for word in words[1:]]


@pytest.mark.parametrize("file", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_every_line_of_pytest_works_twice(file: Path, project: Project) -> None:
    """All that the first run leaves behind exists, and the root is still the project's."""
    for words in (words for words in commands(file) if words[0] == "pytest"):
        arguments = [
            word
            for word in _in_a_project(project, words)
            if word not in {"--perf-base", "origin/main"}
        ]
        for word in arguments:
            place = Path(word.partition("=")[2])
            if place.is_absolute() and not place.suffix:
                place.mkdir(parents=True, exist_ok=True)
        result = project.pytest(*arguments, "--collect-only")
        assert result.ret == 0
        result.stdout.fnmatch_lines([f"rootdir: {project.root}", "*test_budget?plain-map?*"])


def test_the_gate_of_github_runs_twice(project: Project) -> None:
    """Both runs are green, in one place, and the second has the first one's artifacts."""
    words = next(
        words for words in commands(GITHUB) if words[0] == "pytest" and "--perf-base" in words
    )
    place = _in_a_project(project, words)
    here = [
        "--perf-require=onnxruntime" if word == "--perf-require=gpu" else word for word in place
    ]
    assert here != place
    arguments = [*here, "--perf-seconds=1", "-k", "plain-artifact"]
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    project.pytester.makefile("", **{".gitignore": "reports\n__pycache__\n"})
    for command in (
        ("init", "-q"),
        ("add", "-A"),
        ("commit", "-q", "-m", "one"),
        ("update-ref", "refs/remotes/origin/main", "HEAD"),
    ):
        subprocess.run([*git, *command], cwd=project.root, check=True)
    for count in (1, 2):
        result = project.pytest("-p", "no:cacheprovider", "-p", "one_launch", *arguments)
        result.assert_outcomes(passed=1)
        assert result.ret == 0
        assert len(project.sessions()) == count


@pytest.mark.parametrize("file", [GITHUB, GITLAB, IMAGE], ids=["github", "gitlab", "image"])
def test_every_command_of_perfgate_exists(file: Path) -> None:
    """Each is read by the command's own parser, which ends the test for what it does not know."""
    if file == IMAGE:
        text = next(line for line in file.read_text().splitlines() if line.startswith("CMD"))
        lines = [yaml.safe_load(text.removeprefix("CMD "))]
    else:
        lines = [words for words in commands(file) if words[0] == "pytest-perfgate"]
    assert lines
    for words in lines:
        assert hasattr(_parser().parse_args(words[1:]), "run")


def test_actions_are_pinned_by_their_full_commit() -> None:
    """No tag, which can be moved; the version stands beside it for people."""
    used = re.findall(r"uses: (\S+)(.*)", GITHUB.read_text())
    assert len(used) >= 5
    for action, comment in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)
        assert re.search(r"# v\d+\.\d+\.\d+", comment)


def test_no_code_of_a_fork_runs_unread_on_github() -> None:
    """No pull_request_target; the gate needs a reviewed environment and a branch of our own."""
    text = GITHUB.read_text()
    workflow = read(GITHUB)
    events = workflow[True]  # YAML 1.1 reads the key `on` as true
    assert set(events) == {"merge_group", "pull_request", "schedule", "workflow_dispatch"}
    assert "pull_request_target" not in text
    assert workflow["permissions"] == {"contents": "read"}
    gate = workflow["jobs"]["gate"]
    assert gate["environment"] == "gpu"
    assert "head.repo.full_name == github.repository" in gate["if"]
    assert workflow["jobs"]["nightly"]["if"] == "github.event_name == 'schedule'"
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        for step in steps(job):
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
            # What a person or a change wrote reaches a shell through the environment alone.
            assert "${{" not in step.get("run", "")


def test_only_a_job_without_the_change_may_write() -> None:
    """The comment's job has no checkout, and runs on no runner of ours."""
    for name, job in read(GITHUB)["jobs"].items():
        if "permissions" in job:
            assert name == "comment"
            assert "self-hosted" not in job["runs-on"]
            assert not any("checkout" in step.get("uses", "") for step in steps(job))


def test_reports_are_kept_whatever_came_of_it() -> None:
    """A red gate uploads its report, and the paths are those that the command writes."""
    for name in ("gate", "nightly"):
        job = read(GITHUB)["jobs"][name]
        upload = next(step for step in steps(job) if "upload-artifact" in step.get("uses", ""))
        assert upload["if"] == "always()"
        assert "perf.xml" in upload["with"]["path"]
    for name in ("perf-gate", "perf-nightly"):
        artifacts = read(GITLAB)[name]["artifacts"]
        assert artifacts["when"] == "always"
        assert artifacts["reports"] == {"junit": "perf.xml", "metrics": "perf.prom"}
        assert "reports/" in artifacts["paths"]


def test_no_code_of_a_fork_runs_on_gitlab() -> None:
    """Each job has rules: this project's own merge requests, and the default branch's schedule."""
    jobs = read(GITLAB)
    (gate,) = jobs["perf-gate"]["rules"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in gate["if"]
    (night,) = jobs["perf-nightly"]["rules"]
    assert "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in night["if"]


def test_the_image_pins_what_it_rests_on() -> None:
    """CUDA by its tag, TensorRT and the others by their version, the driver in words."""
    parse = pytest.importorskip("dockerfile_parse", reason="python -m pip install dockerfile-parse")
    parser = parse.DockerfileParser(fileobj=io.BytesIO(IMAGE.read_bytes()))
    known = {"FROM", "ARG", "ENV", "RUN", "COPY", "CMD", "COMMENT"}
    assert {element["instruction"] for element in parser.structure} <= known
    assert re.fullmatch(
        r"docker\.io/nvidia/cuda:\d+\.\d+\.\d+-cudnn-devel-ubuntu24\.04", parser.baseimage
    )
    text = IMAGE.read_text()
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    pinned = dict(re.findall(r'"([a-z-]+)==\$(\w+)"', text))
    assert set(pinned) == {"tensorrt", "onnxruntime-gpu", "pycuda", "nvidia-ml-py"}
    for name in pinned.values():
        assert re.fullmatch(r"\d+(\.\d+)+", arguments[name])
    assert "driver 580" in text
    cuda = re.search(r"cuda:(\d+\.\d+)", parser.baseimage)
    assert cuda
    for file in (GITHUB, GITLAB):
        image = f":cuda{cuda[1]}-trt{'.'.join(arguments['TENSORRT'].split('.')[:2])}"
        assert image in file.read_text()
    copied = re.findall(r"^COPY (\S+) ", text, re.MULTILINE)
    assert all((ROOT / name).is_file() for name in copied)


def test_the_extras_of_the_image_exist() -> None:
    """What is installed by default are extras of this project."""
    import tomllib

    result = re.search(r"pytest-perfgate\[([a-z,]+)\]", IMAGE.read_text())
    assert result
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(result[1].split(",")) <= set(project["optional-dependencies"])

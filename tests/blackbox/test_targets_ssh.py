"""Suites on a host of ssh: a real server on loopback, whose user has another cache."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from pytest_perfgate.records.session import SessionRecord

from tests.blackbox.test_base import git
from tests.blackbox.test_workers import until
from tests.conftest import Project, hear_ctrl_c, said
from tests.squares import HEAD, PLAIN
from tests.ssh_server import SshServer, ssh_server

__all__ = ["ssh_server"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

SLOW = """
import os, pathlib, time

def validation():
    pathlib.Path({started!r}).write_text(str(os.getpid()))
    time.sleep(300)
"""
"""Data that is read for ever, by a worker whose id is in a file."""


@pytest.fixture
def on_desk(
    project: Project, ssh_server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Writes a suite with the host as its target; the folder of the cache on the host."""
    monkeypatch.setenv("PATH", f"{ssh_server.bin}:{os.environ['PATH']}")
    cache = ssh_server.folder / "cache"

    def write(recipes: str) -> Path:
        (project.root / "perfgate.toml").write_text(
            f'[targets.desk]\nmachine = "ssh:desk"\npython = "{sys.executable}"\n'
            f'cache = "{cache}"\n'
        )
        project.write(recipes.replace("batch = 4", 'targets = ["desk"]\nbatch = 4'))
        return cache

    return write


def on_the_host(cache: Path) -> list[str]:
    """Command lines of the processes that work below a cache of the host."""
    lines = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and str((process / "cwd").readlink()).startswith(
                str(cache)
            ):
                lines.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended
            continue
    return lines


def test_a_suite_is_measured_on_a_host_of_ssh(
    project: Project, on_desk: Callable[[str], Path], ssh_server: SshServer
) -> None:
    """Its verdicts and machine come back, and nothing but the cache stays. The artifact is built
    here, and a host that has it builds none. A host that is off is NO MACHINE; one with another
    key, or with a Python that lacks packages, is an ERROR.
    """
    cache = on_desk(HEAD + PLAIN)
    (project.root / ".env").write_text("TOKEN=secret")
    off = project.run("-k", "map", "-rs")
    assert off.ret == 0
    said(off, "perfgate.toml: targets.desk: desk could not be reached", "Connection refused")
    assert project.verdicts() == {"plain-map": "NO MACHINE"}

    with ssh_server.running():
        result = project.run("-k", "map or size")
        assert result.ret == 0
        session = SessionRecord.model_validate(project.sessions()[-1])
        (suite,) = session.suites
        assert project.verdicts() == {"plain-map": "NO BASELINE", "plain-artifact_size": "PASS"}
        assert (suite.title, suite.machine) == ("tiny@desk", session.machine)
        assert suite.failure is None
        (link,) = suite.recipes[0].lineage
        assert link.machine == session.machine.id
        said(result, f"built on {link.machine} and copied to the target: plain: model")
        (place,) = (path for path in cache.iterdir() if path.name != "packages")
        assert (place / "artifacts" / link.key).is_dir()
        assert not (place / "cache/artifacts" / link.key).exists()
        assert not on_the_host(cache)
        names = {path.name for path in cache.rglob("*")}
        assert "recipes.toml" in names
        assert ".env" not in names
        assert sorted(path.name for path in cache.iterdir())[-1] == "packages"

        perfgate_toml = project.root / "perfgate.toml"
        text = perfgate_toml.read_text()
        perfgate_toml.write_text(text.replace(sys.executable, "/nowhere/python"))
        missing = project.run("-k", "map")
        said(missing, "desk has no /nowhere/python", "[targets.desk] python")
        perfgate_toml.write_text(text)

        ssh_server.known.write_text("")
        stranger = project.run("-k", "map")
        assert stranger.ret == 10
        said(stranger, "desk could not be reached: Host key verification failed.")


def test_a_recipe_on_a_host_is_measured_beside_the_code_of_another_ref(
    project: Project, on_desk: Callable[[str], Path], ssh_server: SshServer
) -> None:
    """The base's arm has the base's files there, and those of the working tree that git does not
    hold: without a baseline a model that became larger is a FAIL.
    """
    on_desk(HEAD + PLAIN.replace('max = "1 MB"', 'regression = "1%"'))
    (project.root / ".gitignore").write_text(
        "site\nreports\n__pycache__\n.cache\nvalidation\nrunpytest-*\n"
    )
    git(project.root, "init", "--quiet", "--initial-branch", "main")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "first")
    file = project.root / "suites/tiny/squares.onnx"
    before = file.stat().st_size
    model = onnx.load(str(file))
    model.doc_string = "x" * 1000
    onnx.save(model, str(file))
    with ssh_server.running():
        result = project.run("--perf-base", "main", "-k", "map or size")
        assert result.ret == 1
    assert project.verdicts() == {"plain-map": "PASS", "plain-artifact_size": "FAIL"}
    session = SessionRecord.model_validate(project.sessions()[-1])
    (suite,) = session.suites
    assert suite.base is not None
    assert (suite.base.ref, suite.base.problems) == ("main", {})
    (old,), (new,) = suite.base.recipes, suite.recipes
    assert old.artifact is not None
    assert new.artifact is not None
    assert new.artifact.size - old.artifact.size > 1000
    assert old.lineage[0].machine == new.lineage[0].machine != ""
    assert old.artifact.size == before
    said(result, "files that git does not track, taken from the working tree for main")


@pytest.mark.parametrize("lost", ["session", "link"])
def test_work_on_the_host_ends_with_the_session_and_with_the_link(
    project: Project, on_desk: Callable[[str], Path], ssh_server: SshServer, lost: str
) -> None:
    """After SIGKILL of pytest no process is left there; a lost link is an ERROR that says what was
    being done, and ends the work, too.
    """
    started = ssh_server.folder / "started"
    line = 'validation  = { images = "validation", annotations = "validation.json" }'
    cache = on_desk(HEAD.replace(line, 'validation = "slow:validation"') + PLAIN)
    (project.root / "slow.py").write_text(SLOW.format(started=str(started)))
    command = [sys.executable, "-m", "pytest", "--perf", "--perf-history=off", "-k", "map"]
    with ssh_server.running():
        process = subprocess.Popen(
            [*command, "-p", "no:cacheprovider", "-p", "no_page"],
            cwd=project.root,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - no threads here
        )
        until(lambda: started.exists() and started.read_text() != "", 60)
        assert on_the_host(cache)
        if lost == "session":
            process.kill()
            process.communicate()
        else:
            (link,) = (
                int(one.name)
                for one in Path("/proc").iterdir()
                if one.name.isdecimal() and _is_link(one, process.pid)
            )
            os.kill(link, signal.SIGKILL)
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 10
            assert "the link to desk was lost while it was" in " ".join(output.split())
        until(lambda: not on_the_host(cache), 30)


def _is_link(process: Path, parent: int) -> bool:
    """Whether a process is the client of ssh of a session."""
    try:
        name, _, rest = (process / "stat").read_text().rpartition(")")
        return name.endswith("(ssh") and int(rest.split()[1]) == parent
    except OSError:
        return False

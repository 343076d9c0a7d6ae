"""Servers in containers: the engine that runs here, and the command that starts an image."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_perfgate.registry import Requirement

ENGINES = ("docker", "podman")
"""Programs that run containers, in the order in which they are tried: both take the same words."""

_OWNER = "pytest-perfgate.process"  # label of a container: who started it
_ANSWERS = 10.0  # seconds within which an engine says that it runs


@cache
def engine() -> str:
    """The first engine that runs containers here, looked for once in a process; "": none does. The
    program alone is not enough: that of Docker needs its daemon.
    """
    for name in ENGINES:
        if shutil.which(name) is not None and _said(name, "info") is not None:
            return name
    return ""


def command_of(
    name: str,
    image: str,
    arguments: Sequence[str],
    variables: Collection[str],
    folder: str,
    marks: Sequence[str] = (),
) -> list[str]:
    """The command that starts an image's server, with the places of `runtime.start`: on the host's
    network, so that a port is the same inside; on the server's cores alone; and with the artifact's
    folder at the same path, which nobody there can write to.

    Args:
        name: of the engine.
        image: of the container.
        arguments: for the image's program; none: its own.
        variables: names of environment variables that it gets, with the values of this process's
            own environment, so that no value is in a list of processes.
        folder: of the artifact.
        marks: further options of the engine, see `marks_of`.
    """
    given = [part for variable in variables for part in ("--env", variable)]
    return [
        *(name, "run", "--rm", "--init", *marks, "--network=host", "--cpuset-cpus={cores}"),
        *(f"--volume={folder}:{folder}:ro", *given, image, *arguments),
    ]


def marks_of(container: str) -> tuple[str, ...]:
    """Options that make a container known: by its name, and as this process's."""
    return (f"--name={container}", f"--label={_OWNER}={os.getpid()}")


def new_name() -> str:
    """A name that no other container has."""
    return f"pytest-perfgate-{secrets.token_hex(8)}"


def remove(name: str, container: str) -> None:
    """Ends a container and removes it; nothing where it is gone. The engine's program may have been
    ended without it.
    """
    _said(name, "rm", "--force", container)


def remove_orphans(name: str) -> None:
    """Removes the containers whose processes are gone: a process that was killed ends what is below
    it, and a container of a daemon is below the daemon.
    """
    form = '{{.ID}} {{.Label "' + _OWNER + '"}}'
    listed = _said(name, "ps", "--filter", f"label={_OWNER}", "--format", form) or ""
    for line in listed.splitlines():
        container, _, process = line.partition(" ")
        if process.isdecimal() and not Path(f"/proc/{process}").exists():
            remove(name, container)


def _said(name: str, *arguments: str) -> str | None:
    """What an engine answers; None: it failed, or did not in time."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [name, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWERS,
        )
        return done.stdout
    return None


@dataclass(frozen=True)
class ContainerEngine(Requirement):
    """An engine that runs the containers of a recipe.

    Attributes:
        command: what it would run.
    """

    command: str = ""

    @property
    def missing(self) -> bool:
        """Whether none runs here."""
        return not engine()

    @property
    def reason(self) -> str:
        """What it would be needed for."""
        programs = " and ".join(name for name in ENGINES if shutil.which(name) is not None)
        state = f"{programs} here has no daemon that answers" if programs else "none is here"
        return (
            f"its server is a container, which {' or '.join(ENGINES)} runs, and {state}; "
            f"the command would be: {self.command}"
        )


def engine_for(image: str, arguments: Sequence[str], variables: Collection[str]) -> ContainerEngine:
    """The requirement of a recipe whose server is an image."""
    words = command_of(ENGINES[0], image, arguments, variables, "FOLDER")
    return ContainerEngine(
        "a container engine",
        f"{ENGINES[0]} info  # must answer, or start the server yourself and set runtime.url",
        shlex.join(words),
    )

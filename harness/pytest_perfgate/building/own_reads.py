"""What the code of a project itself asks for, beside files of the project that it opens.

Frameworks read the settings of a machine, and look for much that is not there: that makes nothing
anew. What a project's own code reads is an input, wherever it lies: a file outside of the project,
a file that is not there, the names in a folder (the newest checkpoint), an environment variable.
Own code is all that no package manager has installed: of the project, and of what lies beside it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import pytest_perfgate
from pytest_perfgate.building.folder_digests import digest_of_folder
from pytest_perfgate.records.inputs import CHANGED, NAMES

VARIABLE = "$"
"""Begins the name of an environment variable among those of files."""

STARTS = {"subprocess.Popen", "os.posix_spawn", "os.system", "os.exec"}
"""Audit events of a program that is started."""

_HARNESS = str(Path(pytest_perfgate.__file__).parent) + os.sep
_PYTHON = sysconfig.get_path("stdlib") + os.sep
_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_IMPORTING = ("<frozen importlib", f"{_PYTHON}importlib")

_SYSTEM = ("/etc/", "/usr/", "/lib", "/proc/", "/sys/", "/dev/", "/run/")
"""Folders of the system: what is read there says what machine it is."""

_HIDDEN = f"{os.sep}."
"""Folders of caches and of a user's settings; weights in them count whoever opens them."""

_PICTURES = {
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"),
    *(".mp4", ".avi", ".mov", ".mkv", ".pyc", ".log", ".lock"),
}
"""Ends of names that count by the digest of the data that they are, or do not count."""

SECRET = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|COOKIE|_KEY$|^KEY_|APIKEY"
)
"""Parts of names of environment variables whose values are kept nowhere, not as digests either."""

RUN = re.compile(
    # What CI systems say of a run, each in names of its own (their documented variables).
    r"(?:GITHUB|RUNNER|ACTIONS|CI|GITLAB|BUILDKITE|CIRCLE|TRAVIS|JENKINS|HUDSON|APPVEYOR|DRONE"
    r"|TEAMCITY|BITBUCKET|CHANGE)_\w*|CI|BUILD_(?:NUMBER|ID|URL|TAG|DISPLAY_NAME)|STAGE_NAME"
    r"|JOB_(?:NAME|BASE_NAME|URL|DISPLAY_URL)|RUN_(?:\w+_)?(?:URL|ID)|EXECUTOR_NUMBER|NODE_NAME"
    r"|BRANCH_NAME|WORKSPACE_TMP|GIT_(?:COMMIT|BRANCH|URL|EDITOR|PAGER|\w+_(?:NAME|EMAIL|COMMIT))"
    # Terminals, shells and logins.
    r"|TERM(?:_\w+)?|COLUMNS|LINES|SHELL|SHLVL|PS\d|PROMPT_\w+|LS_COLORS|COLORTERM|NO_COLOR|_"
    r"|FORCE_COLOR|PWD|OLDPWD|HIST\w+|EDITOR|VISUAL|PAGER|LESS\w*|MAIL|DISPLAY|WAYLAND_DISPLAY"
    r"|DBUS_\w+|XDG_(?:SESSION_\w+|RUNTIME_DIR|SEAT\w*|VTNR|CURRENT_DESKTOP)|SSH_\w+|GPG_\w+"
    r"|TMUX\w*|STY|WINDOWID|VSCODE_\w+|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID"
    r"|MEMORY_PRESSURE_\w+|HOSTNAME|TMPDIR|TMP|TEMP"
    # What starts pytest.
    r"|PYTEST_\w+|TOX_\w+|_TOX_\w+|NOX_\w+|VIRTUAL_ENV(?:_PROMPT)?"
)
"""Environment variables that say who runs a session and where, and change no result."""

_NOT_HEARD = re.compile(
    # What this project sets in its workers itself, and who they are.
    r"\w+_NUM_THREADS|OPENCV_FOR_THREADS_NUM|PYTHON\w+|GLIBC_TUNABLES|PATH|CUDA_VISIBLE_DEVICES"
    r"|TOKENIZERS_PARALLELISM|HOME|USER|LOGNAME"
)


class OwnReads:
    """What own code read besides, in one process.

    Attributes:
        variables: environment variables, by their names.
        absent: files that it tried to open, and that were not there.
        programs: whether it has started any; what they read is heard of the kernel alone.
    """

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.absent: set[str] = set()
        self.programs = False
        self._listed: set[str] = set()
        self._otherwise: set[str] = set()  # listed while no data were read

    def listed(self, folder: str, *, for_data: bool) -> None:
        """Notes a folder whose names own code asked for."""
        self._listed.add(folder)
        if not for_data:
            self._otherwise.add(folder)

    def digests(
        self,
        root: Path,
        name_of: Callable[[Path], str | None],
        digest: Callable[[str], str],
        data: Sequence[Path],
    ) -> dict[str, str]:
        """All of it by its name among files, with what it holds: nothing of a file that is not
        there, `CHANGED` of one that is there by now, the names in a folder. Folders in places of
        `data` that were listed for data alone are left out.
        """
        found = {}
        for file in map(Path, self.absent):
            if name := name_of(file):
                found[name] = CHANGED if file.exists() else ""
        for folder in map(Path, self._listed):
            name = name_of(folder)
            alone = str(folder) not in self._otherwise
            if name is None or (alone and any(map(folder.is_relative_to, data))):
                continue
            # Not a digest of before: the build may have put files there.
            found[name + NAMES] = digest_of_folder(root, name + NAMES, digest)
        return found | {VARIABLE + name: variable_digest(name) for name in self.variables}


def is_setting(name: str) -> bool:
    """Whether a file outside the project may be one that own code reads its settings from."""
    if name.startswith((*_SYSTEM, tempfile.gettempdir() + os.sep)) or _HIDDEN in name:
        return False
    return os.path.splitext(name)[1].lower() not in _PICTURES  # noqa: PTH122 - in a hook that runs inside every open


def by_own_code(frame: FrameType | None, *, through_libraries: bool = True) -> bool:
    """Whether own code asks, by itself or through a library; not where a module is searched for.

    Args:
        frame: the innermost one; this module's are passed over, and those of the standard library.
        through_libraries: whether own code behind the frames of an installed package counts.
    """
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_IMPORTING):
            return False
        if name.startswith(_HARNESS):  # it may be installed among the packages
            if not name.startswith(_HEARING):
                return False
        elif any(part in name for part in _LIBRARIES):
            if not through_libraries:
                return False
        elif not name.startswith((_PYTHON, "<")):
            return True
        frame = frame.f_back
    return False


_HEARING = (__file__, f"{_HARNESS}building{os.sep}project_code.py")


def variable_digest(name: str) -> str:
    """That of an environment variable by its name among files; "" where it is not set."""
    value = os.environ.get(name.removeprefix(VARIABLE))
    return "" if value is None else hashlib.sha256(os.fsencode(value)).hexdigest()


class _Heard(os._Environ):  # type: ignore[type-arg] # it is generic in stubs alone
    """`os.environ`, which tells who reads it. Only its methods differ: it stays the same object."""

    def __getitem__(self, key: str) -> str:
        _tell(key)
        value: str = super().__getitem__(key)
        return value

    def copy(self) -> dict[str, str]:
        """For a process that is started, most often: not every variable counts that it holds."""
        return {key: os._Environ.__getitem__(self, key) for key in self}


def _tell(name: str) -> None:
    if not isinstance(name, str) or any(form.fullmatch(name) for form in (RUN, _NOT_HEARD)):
        return
    if SECRET.search(name.upper()):
        return
    if by_own_code(sys._getframe(2), through_libraries=False):
        for told in _told():
            told(name)


@functools.cache
def _told() -> list[Callable[[str], None]]:
    return []


def hear_variables(told: Callable[[str], None]) -> None:
    """Calls `told` with the name of each environment variable that own code reads from now on.
    Native code is not heard, nor are packages.
    """
    _told().append(told)
    os.environ.__class__ = _Heard

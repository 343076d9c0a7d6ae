"""The packages of the base: an interpreter, or an environment that is made for it and cached.

An environment is a virtual one that shows all packages of this session's, and before them those
that were asked for: only what differs is installed, and only what differs is compared.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

import pytest_perfgate
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import digest_of
from pytest_perfgate.machine.cache_folders import keep_out_of_git
from pytest_perfgate.machine.held_folders import held_folder
from pytest_perfgate.measure.requirement_files import contents

OPTION = "--perf-base-env"
_FORMS = (
    'requirements, such as "onnxruntime==1.30.0"; a requirements file; an interpreter that has '
    "pytest-perfgate"
)
_DONE = "made.json"
_LISTED = 4  # packages in a name
_WIDTH = 500  # characters of pip's last words

_PACKAGES = """\
import importlib.metadata, json, platform
listed = {}
for one in importlib.metadata.distributions():
    if one.name:  # the first on the path is the one that is imported
        listed.setdefault(one.name.lower().replace("_", "-"), one.version)
print(json.dumps({"": platform.python_version(), **listed}))
"""


@dataclass(frozen=True)
class BaseEnvironment:
    """What interprets the base.

    Attributes:
        python: the interpreter.
        packages: what differs from this session's, "onnxruntime 1.30.0 -> 1.31.0", the base's
            version first.
    """

    python: str
    packages: tuple[str, ...]

    @property
    def name(self) -> str:
        """The base's packages for people."""
        names = [line.partition(" -> ")[0] for line in self.packages[:_LISTED]]
        more = len(self.packages) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more > 0 else "")
        return f"under {listed or 'equal packages'}"


def base_environment(
    spec: str, root: Path, cache: Path, show: Callable[[str], None]
) -> BaseEnvironment:
    """The environment that an option names, made where it is not in the cache yet.

    Args:
        spec: requirements, a file of them, or an interpreter.
        root: the folder that relative paths start at.
        cache: the folder of the cache.
        show: called with progress, on one line.

    Raises:
        PerfgateError: it is none of these, it does not resolve, or it lacks pytest-perfgate.
    """
    file, where = root / spec, f"{OPTION} {spec}"
    if file.is_file() and not _is_program(str(file)):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        rests_on = [*lines, *contents(lines, file.parent, root, where)]
        python = _made(spec, ["-r", str(file.resolve())], rests_on, root, cache, show)
    elif (program := shutil.which(spec)) is not None:
        python = program
        _check_interpreter(spec, program)
    else:
        words = _requirements(spec)
        rests_on = [*words, *contents(words, root, root, where)]
        python = _made(spec, words, rests_on, root, cache, show)
    return BaseEnvironment(python, _differences(_packages(spec, python), _packages(spec, "")))


def _is_program(path: str) -> bool:
    return shutil.which(path) is not None


def _requirements(spec: str) -> list[str]:
    """The requirements in a text.

    Raises:
        PerfgateError: one is none.
    """
    words = spec.split()
    for word in words:
        try:
            Requirement(word)
        except InvalidRequirement as error:
            looks = "/" in word or word.endswith((".txt", ".in"))
            problem = "there is no such file or program" if looks else f"{word!r} is no requirement"
            raise PerfgateError(problem, where=f"{OPTION} {spec}", valid=_FORMS) from error
    if not words:
        raise PerfgateError("it is empty", where=OPTION, valid=_FORMS)
    return words


def _check_interpreter(spec: str, program: str) -> None:
    """Check that an interpreter has this version of the harness."""
    code = "import pytest_perfgate; print(pytest_perfgate.__version__)"
    done = subprocess.run([program, "-P", "-c", code], capture_output=True, text=True, check=False)
    needed, version = pytest_perfgate.__version__, done.stdout.strip()
    if done.returncode or version != needed:
        raise PerfgateError(
            f"it needs pytest-perfgate {needed}, and has {version or 'none'}",
            where=f"{OPTION} {spec}",
            next_step=f"{program} -m pip install pytest-perfgate=={needed}",
        )


def _made(
    spec: str,
    arguments: list[str],
    rests_on: list[str],
    root: Path,
    cache: Path,
    show: Callable[[str], None],
) -> str:
    """The interpreter of an environment with these requirements."""
    text = "\n".join(rests_on)
    parent = cache.resolve() / "environments"
    installed = sorted(f"{one.name}=={one.version}" for one in distributions() if one.name)
    key = digest_of([text, sys.version, sysconfig.get_path("purelib"), installed])[:16]
    folder = parent / key
    keep_out_of_git(cache)
    parent.mkdir(exist_ok=True)
    with (parent / ".lock").open("w") as lock:  # another session may be making the same one
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _DONE).is_file():
            show(f"making an environment with {spec}")
            shutil.rmtree(folder, ignore_errors=True)
            # In a folder of its own until it is whole: what a killed session left is swept.
            with held_folder(parent, "new") as fresh:
                _make(spec, arguments, root, fresh / "env")
                (fresh / "env" / _DONE).write_text(json.dumps({"requirements": text}))
                (fresh / "env").replace(folder)
    return str(folder / "bin" / "python")


def _make(spec: str, arguments: list[str], root: Path, folder: Path) -> None:
    """A virtual environment that shows this one's packages behind its own."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    python = folder / "bin" / "python"
    library = next(folder.glob("lib/python*/site-packages"))
    here = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    # A line that begins with "import" is run at start (site, "Site-specific configuration hook"):
    # other than a path it follows the .pth files there, of editable installs among them.
    shown = "".join(f"import site; site.addsitedir({path!r})\n" for path in here)
    (library / "zz_session.pth").write_text(shown)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(python), "install"),
            *("--disable-pip-version-check", "--no-input", "--quiet", *arguments),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        errors = [
            line for line in done.stderr.splitlines() if "rror" in line or "No module" in line
        ]
        words = "; ".join(errors or done.stderr.splitlines()[-1:])[-_WIDTH:]
        raise PerfgateError(
            f"pip cannot make this environment: {words or 'no message'}",
            where=f"{OPTION} {spec}",
            valid="requirements that resolve beside the packages of this environment",
            next_step=f"{sys.executable} -m pip install --dry-run {' '.join(arguments)}",
        )


def _packages(spec: str, python: str) -> Mapping[str, str]:
    """Name to version of all that an interpreter sees, its own under ""; "" is this one."""
    done = subprocess.run(
        [python or sys.executable, "-P", "-c", _PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        versions: dict[str, str] = json.loads(done.stdout)
    except ValueError as error:
        raise PerfgateError(
            f"its packages cannot be listed: {done.stderr.strip()[-_WIDTH:] or 'no answer'}",
            where=f"{OPTION} {spec}",
        ) from error
    return versions


def _differences(base: Mapping[str, str], ours: Mapping[str, str]) -> tuple[str, ...]:
    names = {"": "Python"}
    return tuple(
        f"{names.get(name, name)} {base.get(name, 'none')} -> {ours.get(name, 'none')}"
        for name in sorted({*base, *ours})
        if base.get(name) != ours.get(name)
    )

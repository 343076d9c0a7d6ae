"""Clean checkouts of commits of this project, each with an interpreter that runs it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

AGAINST = "8d140d7"
"""The commit that this project is compared with where none is named."""


class Failed(Exception):
    """A command that ended before its work was done."""


def top() -> Path:
    """The root of this repository."""
    return Path(output("git", "rev-parse", "--show-toplevel"))


def checkout(source: Path, folder: Path, ref: str) -> str:
    """A commit's files in a repository of their own, as after a clone; the commit's full name.

    Raises:
        Failed: there is no such commit here.
    """
    try:
        commit = output("git", "-C", str(source), "rev-parse", "--verify", f"{ref}^{{commit}}")
    except subprocess.CalledProcessError as error:
        raise Failed(
            f"--against {ref}: no such commit here; next: git fetch --unshallow"
        ) from error
    output("git", "clone", "--quiet", "--no-checkout", str(source), str(folder))
    output("git", "-C", str(folder), "checkout", "--quiet", "--detach", commit)
    return commit


def borrowed(checkout: Path) -> Path:
    """The interpreter of an environment with a checkout's package and this one's dependencies."""
    folder = checkout / ".venv"
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    data = tomllib.loads((checkout / "pyproject.toml").read_text())
    project = data["project"]
    (package,) = data["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    others = [path for path in sys.path if path.endswith("site-packages")]
    paths = [str((checkout / package).parent), *others]
    (site / "borrowed.pth").write_text("\n".join(paths) + "\n")
    info = site / f"{project['name'].replace('-', '_')}-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n")
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in entries.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for name, place in project["scripts"].items():
        module, _, function = place.partition(":")
        script = folder / "bin" / name
        script.write_text(
            f"#!{folder / 'bin' / 'python'}\nimport sys\nfrom {module} import {function}\n"
            f"sys.exit({function}())\n"
        )
        script.chmod(0o755)
    return folder / "bin" / "python"


def output(*command: str) -> str:
    """What a command prints, without the last line's end."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()

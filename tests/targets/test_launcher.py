"""What runs first on a device: an old Python is refused in words, and files are taken whole."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from pytest_perfgate.targets import launcher


def test_an_old_python_reads_it_and_is_refused_by_its_number() -> None:
    """A device with Python 3.9 gets one message, no traceback."""
    ast.parse(inspect.getsource(launcher), feature_version=(3, 7))
    assert "is Python 3.9.18, and 3.11 or newer is needed" in launcher.check([], (3, 9, 18))


def test_missing_packages_are_named_with_the_command() -> None:
    """All of them at once."""
    assert launcher.check(["pydantic"]) == ""
    reason = launcher.check(["pydantic", "no-such-a", "no-such-b"])
    assert reason.endswith("-m pip install no-such-a no-such-b")


def test_a_tree_becomes_what_the_session_has(tmp_path: Path) -> None:
    """What is not in the list goes, links too; compiled modules may stay."""
    (tmp_path / "__pycache__").mkdir()
    for name in ("kept.py", "old.py", "__pycache__/kept.pyc"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link.py").symlink_to("kept.py")
    launcher.clean(tmp_path, {"kept.py": ""})
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"__pycache__", "__pycache__/kept.pyc", "kept.py"}
    launcher.write(tmp_path / "kept.py" / "inner.py", b"a folder now")
    assert (tmp_path / "kept.py" / "inner.py").read_bytes() == b"a folder now"
    launcher.write(tmp_path / "kept.py", b"a file again")
    assert launcher.digest(tmp_path / "kept.py")
    assert launcher.digest(tmp_path / "absent") == ""

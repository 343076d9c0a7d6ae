"""What runs first on a device: an old Python is refused in words, and files are taken whole."""

from __future__ import annotations

import ast
import errno
import hashlib
import inspect
import json
import os
import py_compile
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_perfgate.targets import launcher


def write(path: Path, data: bytes) -> bool:
    """Writes a file as the launcher takes it, in two parts."""
    half = len(data) // 2
    return launcher.write(path, [data[:half], data[half:]], hashlib.sha256(data).hexdigest())


def test_an_old_python_reads_it_and_is_refused_by_its_number() -> None:
    """A device with Python 3.9 gets one message, no traceback."""
    ast.parse(inspect.getsource(launcher), feature_version=(3, 7))
    assert "is Python 3.9.18, and 3.11 or newer is needed" in launcher.check([], (3, 9, 18))


@pytest.mark.parametrize("name", ["python3.8", "python3.9", "python3.10"])
def test_a_real_old_python_refuses_itself(name: str) -> None:
    """The text is read whole before its first line runs: the words come from that interpreter."""
    hello = json.dumps({"needs": []}).encode()
    frame = len(hello).to_bytes(8, "big") + hello
    command = [name, "-c", inspect.getsource(launcher)]
    try:
        result = subprocess.run(command, input=frame, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"no {name}")
    if result.returncode == 127:
        pytest.skip(f"{name} is a command that starts none")
    assert (result.returncode, result.stderr) == (0, b"")
    assert f"is Python {name[6:]}.".encode() in result.stdout
    assert b"and 3.11 or newer is needed" in result.stdout


def test_missing_packages_are_named_with_the_command() -> None:
    """All of them at once."""
    assert launcher.check(["pydantic"]) == ""
    reason = launcher.check(["pydantic", "no-such-a", "no-such-b"])
    assert reason.endswith("-m pip install no-such-a no-such-b")


def test_a_tree_becomes_what_the_session_has(tmp_path: Path) -> None:
    """What is not in the lists goes, links and empty folders too; compiled modules may stay where
    their folder does. Empty folders are made.
    """
    for name in ("kept.py", "old.py", "__pycache__/kept.pyc", "gone/__pycache__/x.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "class_b").mkdir()
    (tmp_path / "link.py").symlink_to("kept.py")
    launcher.clean(tmp_path, {"kept.py": ""}, [".", "class_a"])
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"__pycache__", "__pycache__/kept.pyc", "kept.py", "class_a"}
    assert write(tmp_path / "kept.py" / "inner.py", b"a folder now")
    assert (tmp_path / "kept.py" / "inner.py").read_bytes() == b"a folder now"
    assert write(tmp_path / "kept.py", b"a file again")
    assert launcher.digest(tmp_path / "kept.py")
    assert launcher.digest(tmp_path / "absent") == ""


def test_nothing_stays_of_a_file_that_did_not_come_whole(tmp_path: Path) -> None:
    """Of one with another digest, or of one whose session ended: the earlier file stays."""
    path = tmp_path / "model.onnx"
    assert write(path, b"before")
    assert not launcher.write(path, [b"other"], hashlib.sha256(b"after").hexdigest())

    def ended() -> Iterator[bytes]:
        yield b"af"
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        launcher.write(path, ended(), hashlib.sha256(b"after").hexdigest())
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [(path.name, b"before")]


def test_a_launcher_ends_when_its_session_is_silent() -> None:
    """A host that lost its network hears no end: the lock would be held for ever."""
    text = inspect.getsource(launcher).replace("PATIENCE = 600.0", "PATIENCE = 0.1")
    command = [sys.executable, "-c", text]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.wait(20) == 4
        finally:
            process.kill()


def test_a_long_look_at_one_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 20 GB on a slow disk takes longer than a session waits for a word."""
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(launcher, "send", sent.append)
    write(tmp_path / "a.bin", bytes(3 << 20))
    digest = launcher.digest(tmp_path / "a.bin", launcher.every(0.0))
    parts = list(launcher.parts_of(tmp_path / "a.bin", launcher.every(3600.0)))
    assert digest == hashlib.sha256(b"".join(parts)).hexdigest()
    assert max(map(len, parts)) == 1 << 20
    assert sent == [{"looking": "a.bin"}] * 3


def test_what_was_compiled_goes_with_its_source(tmp_path: Path) -> None:
    """A clock that starts anew at each boot gives a source of one size the same second again."""
    source = tmp_path / "limit.py"
    write(source, b"LIMIT = 1\n")
    os.utime(source, (0, 0))
    compiled = Path(py_compile.compile(str(source)) or "")
    assert compiled.is_file()
    write(source, b"LIMIT = 2\n")
    os.utime(source, (0, 0))
    assert not compiled.exists()


def test_a_host_says_that_it_can_measure_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is written there."""
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(launcher, "receive", lambda: b'{"needs": []}')
    monkeypatch.setattr(launcher, "send", sent.append)
    monkeypatch.setattr(os, "umask", lambda _: 0)  # of this process
    launcher.main()
    assert sent[1:] == [{"fit": True}]


def test_what_the_base_has_in_common_with_the_project_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tree is whole, and of the base's contents; only what differs crosses the link. So it is
    with an artifact that is a model of the project.
    """
    contents = {"one": b"old", "two": b"same", "moved": b"new"}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    new = hashlib.sha256(b"new").hexdigest()
    hello = {"cache": str(tmp_path), "place": "p", "version": "v", "package": {}}
    hello |= {"project": {"one": new, "two": digests["two"]}, "base": digests}
    hello |= {"artifacts": {"k/v/model.onnx": digests["two"]}}
    trees = ("package", "project", "base", "artifacts")
    hello["folders"] = {name: ["."] for name in trees}
    hello["folders"]["artifacts"] += ["k", "k/v"]
    hello["programs"] = {**{name: [] for name in trees}, "base": ["moved"]}
    frames = iter([b"n", b"ew", b"", b"same", b"", b"old", b""])
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(launcher, "receive", lambda: next(frames))
    monkeypatch.setattr(launcher, "send", sent.append)
    place, _ = launcher.take(hello)
    assert sent == [{"missing": [["project", "one"], ["project", "two"], ["base", "one"]]}]
    assert {path.name: path.read_bytes() for path in (place / "base").iterdir()} == contents
    assert (place / "artifacts/k/v/model.onnx").read_bytes() == b"same"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (place / "base").iterdir()}
    assert modes["moved"] == 0o700  # the suite may start it
    assert not modes["one"] & 0o100


def test_what_no_session_used_for_long_goes(tmp_path: Path) -> None:
    """Copies of other projects, and of other versions; not those that a session holds."""
    old = time.time() - launcher.KEPT - 1
    for name in ("old", "held", "used", "packages/old", "packages/used"):
        (tmp_path / name / "tree").mkdir(parents=True)
        (tmp_path / name / ("lock" if "/" not in name else "code.py")).write_text("")
    held = launcher.hold(tmp_path / "held")
    for name in ("old/lock", "held/lock", "packages/old"):
        os.utime(tmp_path / name, (old, old))
    launcher.forget(tmp_path)
    os.close(held)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*")}
    assert left == {"held", "used", "packages"}
    assert [path.name for path in (tmp_path / "packages").iterdir()] == ["used"]


def test_a_full_disk_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file, and with what to do."""
    hello = {"needs": [], "cache": str(tmp_path), "place": "p", "version": "v"}
    hello |= {"package": {}, "project": {"a.bin": hashlib.sha256(b"x").hexdigest()}}
    trees = ("package", "project", "base", "artifacts")
    hello |= {"base": {}, "artifacts": {}, "folders": {name: ["."] for name in trees}}
    frames = iter([json.dumps(hello).encode(), b"x", b""])
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(launcher, "receive", lambda: next(frames))
    monkeypatch.setattr(launcher, "send", sent.append)
    monkeypatch.setattr(os, "umask", lambda _: 0)  # of this process

    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(launcher, "write", full)
    with pytest.raises(SystemExit):
        launcher.main()
    assert sent[1] == {"missing": [["project", "a.bin"]]}
    assert str(sent[2]["refused"]).endswith("a.bin: No space left on device")
    assert "make room there" in str(sent[2]["step"])

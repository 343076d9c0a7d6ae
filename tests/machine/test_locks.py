"""The folder of the locks is this user's own, or that of all users as the machine's owner made it;
or nothing in it is touched.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_perfgate.errors import DeviceBusy, PerfgateError
from pytest_perfgate.machine import locks
from pytest_perfgate.machine.locks import exclusive


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folder of the locks would be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(locks, "SHARED", tmp_path / "none")
    return tmp_path / f"pytest-perfgate-{os.getuid()}"


def linked(place: Path) -> None:
    """A link to a folder of somebody."""
    (place.parent / "elsewhere").mkdir()
    place.symlink_to(place.parent / "elsewhere")


def file(place: Path) -> None:
    """A file of that name."""
    place.touch()


def open_to_all(place: Path) -> None:
    """A folder that others may write to."""
    place.mkdir()
    place.chmod(0o777)


def linked_lock(place: Path) -> None:
    """A lock that is a link to a file of this user's."""
    place.mkdir(mode=0o700)
    (place.parent / "precious").write_text("do not touch")
    (place / "cpu.lock").symlink_to(place.parent / "precious")


def pipe(place: Path) -> None:
    """A lock that is a named pipe."""
    place.mkdir(mode=0o700)
    os.mkfifo(place / "cpu.lock")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (linked, "it is not a folder"),
        (file, "it is not a folder"),
        (open_to_all, r"others may write to it \(mode 777\)"),
        (linked_lock, "Too many levels of symbolic links"),
        (pipe, "it is not a regular file of this user"),
    ],
)
def test_what_is_not_ours_is_refused(
    place: Path, before: Callable[[Path], None], said: str
) -> None:
    """With the place and what to do; nothing is followed, truncated or written."""
    before(place)
    with pytest.raises(PerfgateError, match=said) as raised, exclusive(None, 0.0, print):
        pytest.fail("it measures")
    assert str(place) in raised.value.where
    assert "TMPDIR" in raised.value.next_step
    precious = place.parent / "precious"
    assert not precious.exists() or precious.read_text() == "do not touch"


def test_a_folder_of_another_user_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could change the locks, or hold them for ever."""
    place.mkdir(mode=0o700)
    real = os.getuid()
    other = place.with_name(f"pytest-perfgate-{real + 1}")
    place.rename(other)
    monkeypatch.setattr(os, "getuid", lambda: real + 1)
    with (
        pytest.raises(PerfgateError, match=f"belongs to user {real}, not to user {real + 1}"),
        exclusive(None, 0.0, print),
    ):
        pytest.fail("it measures")


def test_an_own_folder_is_made_and_used_again(place: Path) -> None:
    """No other user may look into it."""
    for _ in range(2):
        with exclusive(None, 0.0, print):
            assert (place / "cpu.lock").read_text() == str(os.getpid())
    assert place.stat().st_mode & 0o777 == 0o700
    assert (place / "cpu.lock").read_text() == ""


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of all users' locks, as the machine's owner makes it; this user is the owner."""
    folder = Path(tempfile.mkdtemp())  # every user may look into the folder above it
    folder.chmod(0o1777)
    monkeypatch.setattr(locks, "SHARED", folder)
    monkeypatch.setattr(locks, "_ROOT", os.getuid())
    yield folder
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def test_one_lock_holds_for_all_users(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second user is refused while the first one measures, and told its process; every user may
    write who holds it, whatever the umask. Nothing is left of it.
    """
    before = os.umask(0o077)
    try:
        monkeypatch.setattr(os, "getuid", lambda: 1001)
        with exclusive(None, 0.0, print):
            monkeypatch.setattr(os, "getuid", lambda: 1002)
            with pytest.raises(DeviceBusy, match=str(os.getpid())), exclusive(None, 0.0, print):
                pytest.fail("it measures")
            assert (shared / "cpu.lock").stat().st_mode & 0o777 == 0o666
        with exclusive(None, 0.0, print):
            assert (shared / "cpu.lock").read_text() == str(os.getpid())
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_real_second_user_is_refused_and_has_its_turn_later(shared: Path) -> None:
    """By the kernel's own rules: of files of others in a sticky folder (fs.protected_regular)."""

    def as_nobody() -> int:
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            with exclusive(None, 0.0, print):
                os._exit(10)
        except DeviceBusy:
            os._exit(11)
        except BaseException:  # noqa: BLE001 - the child must not become a second test run
            os._exit(12)

    assert shared.stat().st_uid == 0
    with exclusive(None, 0.0, print):
        assert as_nobody() == 11
    assert as_nobody() == 10
    with exclusive(None, 0.0, print):  # the file is root's, the text was nobody's
        assert (shared / "cpu.lock").read_text() == str(os.getpid())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: folder.chmod(0o777), r"others may write to it \(mode 777\)"),
        (lambda folder: (folder / "cpu.lock").symlink_to("/etc/hostname"), "symbolic links"),
        (lambda folder: os.mkfifo(folder / "cpu.lock"), "it is not a regular file of its own"),
        (
            lambda folder: [
                (folder / "precious").write_text("kept"),
                (folder / "cpu.lock").hardlink_to(folder / "precious"),
            ],
            "it is not a regular file of its own",
        ),
    ],
)
def test_a_shared_folder_that_others_could_misuse_is_refused(
    shared: Path, change: Callable[[Path], object], said: str
) -> None:
    """With the owner's command; nothing is followed, cut off or written."""
    change(shared)
    with pytest.raises(PerfgateError, match=said) as raised, exclusive(None, 0.0, print):
        pytest.fail("it measures")
    assert locks.MAKE_SHARED in raised.value.next_step
    precious = shared / "precious"
    assert not precious.exists() or precious.read_text() == "kept"


def test_a_shared_folder_of_somebody_else_is_refused(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the owner of the machine says where all users' locks are."""
    monkeypatch.setattr(locks, "_ROOT", shared.stat().st_uid + 1)
    with (
        pytest.raises(PerfgateError, match=r"belongs to user .*, not to root"),
        exclusive(None, 0.0, print),
    ):
        pytest.fail("it measures")

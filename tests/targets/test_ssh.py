"""The link to a host, played by a client of ssh that is none."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.suite.targets_file import Target
from pytest_perfgate.targets import ssh
from pytest_perfgate.targets.copies import PART, Copies
from pytest_perfgate.targets.messages import ANSWERS, Beat, Shown, Unmeasured
from pytest_perfgate.targets.ssh import NoMachine

from tests.ssh_server import SshServer, ssh_server

__all__ = ["ssh_server"]

DESK = Target("desk", "ssh", "desk")


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Opens a link through a client that runs a shell's script in place of ssh."""

    def opened(script: str) -> ssh._Link:
        client = tmp_path / "ssh"
        client.write_text(f"#!/bin/sh\n{script}\n")
        client.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return ssh._Link(DESK, tmp_path / "ssh.log")

    return opened


def test_an_answer_counts_though_the_device_takes_no_beats_any_more(link, monkeypatch) -> None:
    """It has ended, and its answer is on its way."""
    monkeypatch.setattr(ssh, "BEAT", 0.0)
    shown: list[Shown] = []
    with link('exec 0<&-; sleep 0.3; echo \'Unmeasured {"problem": "full disk"}\'') as one:
        time.sleep(0.1)
        assert one.hear(shown.append) == Unmeasured("full disk")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("connect to host desk port 22: Connection refused", NoMachine),
        ("Could not resolve hostname desk: Name or service not known", NoMachine),
        ("Host key verification failed.", PerfgateError),
        ("me@desk: Permission denied (publickey).", PerfgateError),
    ],
)
def test_a_host_that_is_off_is_no_machine_and_one_that_refuses_is_an_error(
    link, words: str, kind: type[PerfgateError]
) -> None:
    """Both with the words of ssh, and the command that shows it."""
    with link(f"echo '{words}' >&2; exit 255") as one, pytest.raises(PerfgateError) as raised:
        one.answer()
    assert type(raised.value) is kind
    assert words in raised.value.problem
    assert raised.value.next_step == "ssh -o BatchMode=yes desk true; it must ask nothing"


def test_a_link_that_is_lost_says_what_was_being_done(link) -> None:
    """The last progress, and how ssh ended."""
    with link('echo \'Shown {"text": "launch 3"}\'; exit 255') as one:
        one.doing("starting")
        with pytest.raises(PerfgateError, match="was lost while it was launch 3: nothing that"):
            one.hear(lambda _: None)


def test_a_host_that_has_answered_is_not_off(link) -> None:
    """Its link was lost, of which ssh may say "timed out" as well: that is an ERROR."""
    frame = json.dumps({"clock": 0.0}).encode()
    size = "".join(f"\\{byte:03o}" for byte in len(frame).to_bytes(8, "big"))
    said = "Timeout, server desk not responding. Connection timed out"
    script = f"printf '{size}'; printf '%s' '{frame.decode()}'; cat >&2; exit 255"
    with link(script.replace("cat >&2", f"echo '{said}' >&2")) as one:
        assert one.answer() == {"clock": 0.0}
        one.doing("comparing files")
        with pytest.raises(PerfgateError, match="was lost while it was comparing files") as raised:
            one.answer()
    assert type(raised.value) is PerfgateError


def test_a_refusal_says_what_to_do_about_it(link) -> None:
    """A full disk is not mended by another interpreter."""
    frame = json.dumps({"refused": "disk full", "step": "make room"}).encode()
    size = "".join(f"\\{byte:03o}" for byte in len(frame).to_bytes(8, "big"))
    script = f"printf '{size}'; printf '%s' '{frame.decode()}'; sleep 1"
    words = "desk cannot measure: disk full"
    with link(script) as one, pytest.raises(PerfgateError, match=words) as raised:
        one.answer()
    assert raised.value.next_step == "make room"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, ""), (-86_400.0 * 3, "behind that of this machine"), (7_200.0, "ahead of that")],
)
def test_a_wrong_clock_is_a_note(seconds: float, words: str) -> None:
    """Ages of baselines are by it; no verdict is."""
    notes = ssh._of_clock(DESK, seconds)
    assert (words in notes[0]) if words else notes == ()


def test_the_user_s_settings_of_ssh_give_the_host_nothing() -> None:
    """Neither the agent of the user nor another command than ours."""
    assert {"ForwardAgent=no", "RemoteCommand=none", "ClearAllForwardings=yes"} <= {*ssh._OPTIONS}


def test_a_shell_that_talks_is_named(link) -> None:
    """What a start-up file prints is no frame."""
    words = "prints text of its own before commands run"
    greets = "echo 'Welcome to this host, and mind the step'; sleep 1"
    with link(greets) as one, pytest.raises(PerfgateError, match=words):
        one.answer()


@pytest.fixture
def large(tmp_path: Path) -> Copies:
    """A file that no pipe takes whole."""
    file = tmp_path / "data.bin"
    file.write_bytes(bytes(range(256)) * (5 * PART // 256))
    return Copies({"data.bin": file})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits short."""
    monkeypatch.setattr(ssh, "_ANSWERS_IN", 0.5)
    monkeypatch.setattr(ssh, "_FAREWELL", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_host_whose_disk_hangs_ends_the_sending(link, large: Copies) -> None:
    """The connection stands, and nothing is taken any more: what was sent, and what shows it."""
    begun = time.monotonic()
    script = f"head -c {PART + 100} >/dev/null; exec sleep 60"
    with link(script) as one, pytest.raises(PerfgateError) as raised:
        ssh._send_files(one, {"project": large}, [("project", "data.bin")], lambda _: None)
    assert time.monotonic() - begun < 30
    at = "copying files, 0 of 1: data.bin, 1.05 MB of 5.24 MB"
    assert f"desk took nothing for 0.5 s while it was {at}: nothing was" in raised.value.problem
    assert raised.value.next_step.endswith("ssh desk df -h .cache/pytest-perfgate/targets")


@pytest.mark.usefixtures("impatient")
def test_a_real_connection_to_a_host_that_hangs_is_given_up(
    ssh_server: SshServer, large: Copies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window of a channel is full then, and the server is alive."""
    monkeypatch.setenv("PATH", f"{ssh_server.bin}:/usr/bin:/bin")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 20\n")
    python.chmod(0o755)
    desk = Target("desk", "ssh", "desk", python=str(python))
    with (
        ssh_server.running(),
        ssh._Link(desk, tmp_path / "ssh.log") as one,
        pytest.raises(PerfgateError, match=r"took nothing for 0\.5 s .* data\.bin, .* of 5\.24"),
    ):
        ssh._send_files(one, {"project": large}, [("project", "data.bin")], lambda _: None)


@pytest.mark.usefixtures("impatient")
def test_a_host_that_stops_within_an_answer_is_named(link) -> None:
    """With what it was doing, and what shows why."""
    with link("printf '\\0\\0\\0'; exec sleep 60") as one:
        one.doing("comparing files")
        with pytest.raises(
            PerfgateError, match=r"sent nothing for 0\.5 s while it was comp"
        ) as got:
            one.answer()
    assert got.value.next_step.endswith("ssh desk df -h .cache/pytest-perfgate/targets")


def _take(home: Path, large: Copies) -> dict[str, object]:
    """What a launcher is told of a project of one file."""
    trees = ("package", "project", "base", "artifacts")
    hello = {"needs": [], "cache": str(home), "place": "p", "version": "v", "programs": {}}
    hello |= {"folders": {name: ["."] for name in trees}} | {name: {} for name in trees}
    return hello | {"project": large.digests, "programs": {name: [] for name in trees}}


def _launched(limit: str) -> str:
    """A client of ssh that runs its command here, with a limit of the shell."""
    return f'for command; do :; done; {limit}; exec sh -c "$command"'


def test_a_disk_that_becomes_full_within_a_file_is_refused_in_words(
    link, large: Copies, tmp_path: Path
) -> None:
    """Its words arrive, though it takes no more bytes, and what came of the file is gone."""
    with link(_launched("ulimit -f 4096")) as one:  # of 512 bytes: less than the file
        one.answer()
        one.frame(json.dumps(_take(tmp_path / "there", large)).encode())
        missing = one.answer()["missing"]
        with pytest.raises(PerfgateError, match=r"cannot measure: .*: File too large") as raised:
            ssh._send_files(one, {"project": large}, missing, lambda _: None)
    assert "make room there" in raised.value.next_step
    assert list((tmp_path / "there/p/tree").iterdir()) == []


def test_a_large_file_goes_in_parts_and_words_tell_how_far_it_is(
    link, large: Copies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither end has it whole in memory."""
    monkeypatch.setattr(ssh, "_WORDS_EVERY", 0.0)
    shown: list[Shown] = []
    with link(_launched("true")) as one:
        one.answer()
        one.frame(json.dumps(_take(tmp_path / "there", large)).encode())
        ssh._send_files(one, {"project": large}, one.answer()["missing"], shown.append)
        assert "root" in one.answer()
    parts = [f"copying files, 0 of 1: data.bin, {mb} MB of 5.24 MB" for mb in ("1.05", "4.19")]
    assert set(parts) < {one.text for one in shown}
    (copy,) = (tmp_path / "there/p/tree").iterdir()
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == large.digests["data.bin"]


@pytest.mark.parametrize("place", ["", "recipes.toml"])
def test_what_fails_on_a_host_is_said_of_that_host(
    link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A file or a disk of the same name is here, too."""
    folders = dict.fromkeys(("root", "cache", "package", "base", "artifacts"), "/there")
    answers = iter([{"clock": time.time()}, {"missing": []}, folders])
    monkeypatch.setattr(ssh._Link, "answer", lambda _: next(answers))
    failed = ANSWERS.encode(Unmeasured("disk full", place, "free it")).decode()
    link(f"echo '{failed.strip()}'; exec cat >/dev/null").__exit__()
    (tmp_path / "project").mkdir()
    project = ssh.Project(tmp_path / "project", tmp_path / "cache", (), ())
    job: Any = lambda _: Beat()  # noqa: E731 - the order is not read
    monkeypatch.setattr(ssh._Link, "frame", lambda *_: None)
    with pytest.raises(PerfgateError, match="disk full") as raised:
        ssh.measure(DESK, project, job, lambda _: None)
    assert raised.value.where == (f"desk: {place}" if place else "desk")

"""The link to a host, played by a client of ssh that is none."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.suite.targets_file import Target
from pytest_perfgate.targets import ssh
from pytest_perfgate.targets.messages import Shown, Unmeasured
from pytest_perfgate.targets.ssh import NoMachine

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

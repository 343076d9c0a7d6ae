"""Values of headers in what endpoints and servers say: hidden before the text is cut."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.load import WORDS
from pytest_perfgate.load.callback_client import CallbackClient
from pytest_perfgate.load.http_client import words_of
from pytest_perfgate.runtimes.endpoint import Secrets
from pytest_perfgate.runtimes.server_process import ServerProcess

TOKEN = "tok-" + "0123456789abcdef" * 2
ACROSS = "x" * (WORDS - 10) + TOKEN  # a cut would leave ten characters of it


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """With one header, whose token a text repeats."""
    monkeypatch.setenv("TOKEN_OF_A_TEST", f"Bearer {TOKEN}")
    return Secrets({"Authorization": "TOKEN_OF_A_TEST"})


def test_an_answers_words_are_cut_after_they_were_hidden(secrets: Secrets) -> None:
    """Of an HTTP answer, as text and as KServe's error, and of a gRPC error."""
    assert "tok-" not in words_of(ACROSS.encode(), secrets.hide)
    assert "tok-" not in words_of(f'{{"error": "{ACROSS}"}}'.encode(), secrets.hide)

    def fails(_: int, done: Any) -> Any:
        done(None, ACROSS)
        return lambda: None

    client = CallbackClient(fails, lambda *_: (), lambda: None, secrets.hide)
    client.send(0)
    (ended,) = client.poll(time.perf_counter())
    assert ended.error.startswith("xxx")
    assert "tok-" not in ended.error


@pytest.mark.parametrize(
    "program",
    [
        f"print('{TOKEN} is no token'); raise SystemExit(1)",
        # The cut to 2,000 characters goes through the last one.
        f"print('{TOKEN}' * 3 + 'y' * 1990); raise SystemExit(1)",
        # Of a long log the end is read alone.
        f"print(('{TOKEN}' * 4096 + chr(10)) * 20 + 'gone'); raise SystemExit(1)",
    ],
)
def test_a_servers_last_words_have_no_credentials(secrets: Secrets, program: str) -> None:
    """Whether it ended before it was ready, or is asked for its words later."""
    server = ServerProcess([sys.executable, "-c", program], {}, {}, secrets.hide)
    try:
        with pytest.raises(RuntimeFault, match="last words: ") as caught:
            server.wait_until(lambda: False, 20)
        words = server.last_words()
    finally:
        server.stop()
    for text in (caught.value.problem, words):
        assert "abcdef" not in text


@pytest.mark.parametrize("value", ["", "   ", "a\nb"])
def test_a_value_that_is_no_header_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks, too: nothing of them could be hidden."""
    monkeypatch.setenv("TOKEN_OF_A_TEST", value)
    with pytest.raises(RuntimeFault, match="TOKEN_OF_A_TEST is"):
        Secrets({"Authorization": "TOKEN_OF_A_TEST"})

"""Sessions behind an endpoint: what they share, whatever the protocol."""

from __future__ import annotations

import ipaddress
import json
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.runtimes import InferenceSession

if TYPE_CHECKING:
    from pytest_perfgate.inputs import Inputs
    from pytest_perfgate.load import Client

_HIDDEN = "***"


class EndpointSession(InferenceSession):
    """A session that sends its inputs to a server.

    Attributes:
        started: when its server was started, or the first connection made, in seconds of
            `time.perf_counter`.
        apart: whether the server that it started has cores of its own; None: it started none.
    """

    started: float
    apart: bool | None = None

    @abstractmethod
    def load_client(self, requests: Sequence[Inputs]) -> Client:
        """A client that sends these requests without waiting: number n of a run is the one at
        `n % len(requests)`.
        """

    @abstractmethod
    def decoded(self, client: Client, number: int, answer: Any) -> tuple[Any, ...]:
        """The outputs in an answer to a request of `client`.

        Raises:
            RuntimeFault: it cannot be read, or an output is missing.
        """

    def held_by_server(self) -> int | None:
        """Resident memory now of the server that it started, without pages of files, in bytes.
        Default: None, it started none.
        """
        return None

    @abstractmethod
    def words(self, text: str) -> str:
        """An endpoint's words as they may be repeated: without credentials."""


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine itself, by "localhost" or by a loopback address. No other
    name is looked up.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Secrets:
    """Headers whose values come from the environment, and must never leave this process in words.

    Args:
        names: names of headers, each with the environment variable that has its value.

    Raises:
        RuntimeFault: a variable is not set, or its value is no header.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self.headers: dict[str, str] = {}
        for header, variable in names.items():
            value = os.environ.get(variable, "")
            if not value.strip() or not value.isprintable() or not value.isascii():
                problem = "is not set" if not value else "is no value of a header"
                raise RuntimeFault(
                    f"the environment variable {variable} {problem}",
                    where=f"runtime.headers_env.{header}",
                    next_step=f"export {variable}=... before the session",
                )
            self.headers[header] = value

    def hide(self, text: str) -> str:
        """`text` without the values, nor the tokens behind a scheme such as "Bearer". A text is cut
        behind it only: what is left of a value by a cut would not be known as one.
        """
        plain = {
            part
            for value in self.headers.values()
            for part in (value, value.strip(), value.split()[-1])
        }
        # An answer in JSON repeats quotes and backslashes with one more before them.
        parts = plain | {json.dumps(part)[1:-1] for part in plain}
        for part in sorted(parts, key=len, reverse=True):
            text = text.replace(part, _HIDDEN)
        return text

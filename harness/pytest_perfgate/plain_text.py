"""Text from outside made safe: for files in UTF-8, and for terminals."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

LONGEST = 20_000
"""Characters of one message: a page holds hundreds, and nobody reads more of one."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])"
)
_URL = re.compile(r"://([^\s/'\"]*)([^\s'\"]*)")
_DOMAIN = re.compile(r"[\w.-]*\.[\w.-]+(:\d+)?")
_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?")
_SENTENCE = re.compile(r"([),;>]\w*)+$")  # what a text may have directly behind a host
_QUERY = re.compile(r"\?.+")
_INI = re.compile(r"-o(?=.)|--override-ini=")
_CONTROL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def encodable(text: str) -> str:
    """`text` with a replacement character for each part that UTF-8 cannot hold: names of files and
    messages may carry bytes that are no text.
    """
    return text if text.isascii() else _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def capped(text: str, longest: int = LONGEST) -> str:
    """`text` with its middle left out where it is longer: the cause stands at an end."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


def without_secrets(text: str) -> str:
    """`text` whose URLs have neither a user, a password or a token in front of the host nor a
    query: reports are read by more people than may use them.
    """
    return _URL.sub(_public_url, text) if "://" in text else text


def _public_url(match: re.Match[str]) -> str:
    authority, path = match.groups()
    # By RFC 3986 the host ends at the first "?" or "#". A password may hold both, though, and both
    # a password and a query "@", written as they are: each part in front of one may be the host.
    *parts, last = authority.split("@")
    if not parts:
        return "://" + _QUERY.sub("?…", last + path)
    ends = [
        (re.split("[?#]", part, maxsplit=1)[0], "@".join([*parts[number:], last]))
        for number, part in enumerate(parts)
        if "?" in part or "#" in part
    ]
    ends.append((_SENTENCE.sub("", re.split("[?#]", last, maxsplit=1)[0]), last))
    domains = [rest for host, rest in ends if _DOMAIN.fullmatch(host)]
    hosts = [rest for host, rest in ends if _HOST.fullmatch(host)]
    if not domains and len(hosts) == 1:  # of several names without a dot one may be a token
        domains = hosts
    return "://" + _QUERY.sub("?…", (domains[0] if domains else "…") + path)


def public_command(arguments: Sequence[str]) -> str:
    """A command line for a report: no secrets of URLs, no values of `-o key=value`."""
    shown = []
    before = ""
    for argument in arguments:
        match = _INI.match(argument)
        if before in {"-o", "--override-ini"} or match:
            prefix = match[0] if match else ""
            key, equals, _ = argument[len(prefix) :].partition("=")
            shown.append(f"{prefix}{key}{equals}{'…' if equals else ''}")
        else:
            shown.append(without_secrets(argument))
        before = argument
    return shlex.join(shown)


def received(text: str) -> str:
    """A message from outside as it may be kept: encodable, without secrets, of a bounded length."""
    return capped(without_secrets(encodable(text)))


def printable(text: str) -> str:
    """`text` without characters that control a terminal or hide and reorder text; lines stay."""
    return _CONTROL.sub(" ", _ESCAPE.sub("", text))


def one_line(text: str) -> str:
    """`text` on one line, for a row of a table: a name of whoever sent it is no row of its own."""
    return " ".join(text.split())

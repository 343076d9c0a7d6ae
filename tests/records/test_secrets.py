"""Users and queries of URLs reach no record, and so no report, log or comment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.plain_text import public_command, without_secrets
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.report import markdown, terminal
from pytest_perfgate.report.page import render

from tests.report import sessions

TOKEN = "s3cr3t"  # noqa: S105 - of nobody
_SIGNS = st.text("abcXYZ019-._~!$&()*+,;=:%@", max_size=8)
_SCHEMES = st.sampled_from(["https", "http", "git+ssh", "HTTPS", "postgresql+psycopg2", "s3"])


@st.composite
def urls(draw: st.DrawFn) -> str:
    """A URL with a secret in front of its host, in its query, or in both."""
    user = f"{draw(_SIGNS)}{TOKEN}{draw(_SIGNS)}"
    if draw(st.booleans()):
        user = f"{draw(_SIGNS)}:{user}"
        # With an "@" in front of such a sign nobody could tell which host is meant.
        user = draw(
            st.sampled_from([user, f"{user.replace('@', '')}#", f"{user.replace('@', '')}?"])
        )
    path = draw(st.sampled_from(["", "/", "/a/b.git", "/a@v1", "/#/a"]))
    query = f"?{draw(_SIGNS)}key={TOKEN}{draw(_SIGNS)}"
    before, after = draw(st.sampled_from([(f"{user}@", ""), ("", query), (f"{user}@", query)]))
    port = draw(st.sampled_from(["", ":8080"]))
    return f"{draw(_SCHEMES)}://{before}example.org{port}{path}{after}"


@given(
    url=urls(),
    around=st.sampled_from(
        ["{}", "at '{}': 403", 'x="{}"', "({})", "remote_{}", "<{}>\n", "a={},b"]
    ),
)
@example(url=f"https://{TOKEN}@example.org", around="{}")
def test_no_text_keeps_the_secret_of_a_url(url: str, around: str) -> None:
    """Wherever the URL stands in it; the host stays, for people to know which."""
    text = around.format(url)
    shown = without_secrets(text)
    assert TOKEN not in shown
    assert "example.org" in shown
    assert TOKEN not in str(PerfgateError(text, where=text, next_step=text))
    assert TOKEN not in public_command(["pytest", f"--perf-mlflow={url}", url])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org?@key=abc", "https://example.org?…"),
        ("http://localhost:5000?@key=abc", "http://localhost:5000?…"),
        ("http://[::1]:80?@key=abc", "http://[::1]:80?…"),
        ("https://me:abc?@example.org/a", "https://example.org/a"),
        ("https://me:abc?@internal/a", "https://internal/a"),
        ("https://me:abc@internal", "https://internal"),
        ("https://me:abc#@example.org?@key=abc", "https://example.org?…"),
        ("https://a.b@example.org", "https://example.org"),
        ("https://abc?@internal", "https://…"),
    ],
)
def test_a_sign_that_is_not_escaped_hides_no_host(url: str, shown: str) -> None:
    """A question mark may end a host or stand in a password."""
    assert without_secrets(url) == shown


def test_a_version_behind_a_path_stays() -> None:
    """An @ behind the host is no user."""
    text = "pip install git+https://example.org/a/b@v1 from https://example.org/c"
    assert without_secrets(text) == text


def leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all texts."""
    if isinstance(data, str):
        yield path
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data[:2]):
            yield from leaves(value, (*path, index))


RECORD = sessions.broken().model_dump(mode="json")
LEAVES = sorted(set(leaves(RECORD)), key=str)


@settings(max_examples=60, deadline=None)
@given(place=st.sampled_from(LEAVES), url=urls())
def test_no_field_of_a_session_keeps_it(place: tuple[Any, ...], url: str) -> None:
    """Any text of a session's record, in whatever depth; new fields too."""
    data = json.loads(json.dumps(RECORD))
    inner = data
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = f"see {url}"
    try:
        record = SessionRecord.model_validate(data)
    except ValidationError:  # one of a few words is valid there
        return
    assert TOKEN not in record.model_dump_json()


def test_no_report_shows_it() -> None:
    """Page, comment and terminal are made of the record, and of nothing else."""
    data = json.loads(json.dumps(RECORD))
    url = f"https://me:{TOKEN}@example.org/?key={TOKEN}"
    data["command"] = public_command(["pytest", f"--perf-mlflow={url}"])
    for suite in data["suites"]:
        suite["notes"] = [f"data of {url}"]
        for verdict in suite["verdicts"]:
            verdict["reason"] = verdict["next_step"] = f"see {url}"
        for recipe in suite["recipes"]:
            recipe["spec"] = {"steps": [{"options": {"weights": url}}]}
    record = SessionRecord.model_validate(data)
    lines: list[str] = []
    terminal.write(
        record,
        lambda text, **_: lines.append(text),
        metrics=sessions.METRICS,
        verbosity=2,
        update=False,
    )
    metrics = sessions.METRICS
    shown = [
        render(record, metrics),
        markdown.render(record, metrics, report="r.html"),
        "\n".join(lines),
    ]
    for text in shown:
        assert "example.org" in text
        assert TOKEN not in text

"""A session as a signed JSON message to a server: the answer and what needs attention.

Signed as Standard Webhooks says (https://www.standardwebhooks.com, version v1): headers
`webhook-id`, `webhook-timestamp` and `webhook-signature`, an HMAC-SHA256 over
`<id>.<timestamp>.<body>`. Libraries of many languages verify it. The payload's schema is
`docs/webhook.schema.json`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import Field

from pytest_perfgate.errors import ReportError
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.report.answer import answer, worst
from pytest_perfgate.report.text import needs_attention

SECRET = "PERFGATE_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
"""The variable of the secret: `whsec_` and 24 to 64 bytes in base64. It is written nowhere."""

_RANDOM = "base64.b64encode(secrets.token_bytes(32)).decode()"
WAITS = (0.0, 1.0, 4.0)
"""Seconds before each try."""

_SPACE = uuid.UUID("2b1c3f0e-6a57-5d1e-9f0c-3f2f7f8a4c11")
_TIMEOUT = 10.0  # seconds of a server's silence
_MOST = 50  # budgets in a message
_PREFIX = "whsec_"
_TOO_MANY = 429  # requests: the server wants the message later


class Limit(Frozen):
    """One limit of a budget: as written, its verdict, and what was compared on its scale."""

    kind: str
    text: str
    verdict: Status
    scale: str
    limit: float
    estimate: float | None = None
    low: float | None = None
    high: float | None = None


class Budget(Frozen):
    """A budget that needs attention. Values are in base units (seconds, bytes); null: not measured.

    `alike` budgets have this one's cause, itself included; `where` says where the time went, stages
    first, then operators.
    """

    suite: str
    recipe: str
    metric: str
    verdict: Status
    reason: str
    unit: str
    alike: int = Field(ge=1)
    value: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    limits: tuple[Limit, ...] = ()
    where: tuple[str, ...] = ()
    next: str = ""


class Data(Frozen):
    """One session. `left_out` causes have no place in `budgets`, which has the worst first. `worst`
    is ERROR, too, where something was not measured and so has no budget here: `answer` names it.
    """

    session: str
    commit: str
    dirty: bool
    machine: str
    seconds: float = Field(ge=0)
    complete: bool
    answer: str
    worst: Status | None
    counts: dict[Status, int]
    report: str
    budgets: tuple[Budget, ...]
    left_out: int = Field(ge=0)


class Payload(Frozen):
    """The message; `timestamp` is the session's start (ISO 8601)."""

    version: Literal[1] = 1
    type: Literal["perfgate.session"] = "perfgate.session"
    timestamp: str
    data: Data


def payload(session: SessionRecord, report: str) -> Payload:
    """The message of a session; `report` is the path of its page."""
    verdicts = [(suite, verdict) for suite in session.suites for verdict in suite.verdicts]
    verdicts.sort(key=lambda pair: pair[1].status.rank)
    causes = needs_attention(verdicts)
    return Payload(
        timestamp=session.started,
        data=Data(
            session=session.id,
            commit=session.commit,
            dirty=session.dirty,
            machine=session.machine.id,
            seconds=session.seconds,
            complete=session.complete,
            answer=answer(session),
            worst=worst(session),
            counts=dict(Counter(verdict.status for _, verdict in verdicts)),
            report=report,
            budgets=tuple(_budget(*cause) for cause in causes[:_MOST]),
            left_out=max(0, len(causes) - _MOST),
        ),
    )


def _budget(suite: SuiteRecord, verdict: Verdict, alike: int) -> Budget:
    return Budget(
        suite=suite.title,
        recipe=verdict.recipe,
        metric=verdict.metric,
        verdict=verdict.status,
        reason=verdict.reason,
        unit=verdict.unit,
        alike=alike,
        value=verdict.value,
        low=verdict.low,
        high=verdict.high,
        baseline=verdict.baseline,
        limits=tuple(
            Limit(
                kind=limit.kind,
                text=limit.text,
                verdict=limit.status,
                scale=limit.scale,
                limit=limit.limit,
                estimate=limit.estimate,
                low=limit.low,
                high=limit.high,
            )
            for limit in verdict.limits
        ),
        where=verdict.slower,
        next=verdict.next_step,
    )


def secret() -> bytes:
    """The secret of the environment.

    Raises:
        ReportError: it is not set, or is no such secret. Its value is in no message.
    """
    text = os.environ.get(SECRET, "")
    program = f"import base64, secrets; print('{_PREFIX}' + {_RANDOM})"
    valid = f'{_PREFIX} and 24 to 64 bytes in base64; one is made by: python -c "{program}"'
    if not text:
        raise ReportError("it is not set", where=SECRET, valid=valid)
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX).encode(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise ReportError("it is no secret of a webhook", where=SECRET, valid=valid)
    return key


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `<id>.<timestamp>.<body>` in base64."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def send(
    url: str,
    session: SessionRecord,
    report: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Posts the message, at most three times; returns its id, which every try has.

    A refusal (status 3xx or 4xx, but for 429) is final; silence, a broken connection, 429 and 5xx
    are tried again. Redirects are not followed: they would carry the message elsewhere.

    Raises:
        ReportError: no try was answered with 2xx; the message says what came instead.
    """
    key = secret()
    body = payload(session, report).model_dump_json().encode()
    message_id = f"msg_{uuid.uuid5(_SPACE, f'{session.id} {session.machine.id}').hex}"
    problem, tries = "", 0
    for wait in WAITS:
        tries += 1
        sleep(wait)
        timestamp = str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "user-agent": "pytest-perfgate",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(key, message_id, timestamp, body),
        }
        problem, again = _post(url, body, headers)
        if not problem:
            return message_id
        if not again:
            break
    count = "1 try" if tries == 1 else f"{tries} tries"
    raise ReportError(
        f"the session was not delivered after {count}: {problem}",
        where=f"--perf-webhook {host(url)}",
        next_step="the session is stored; fix the server or the address, and run again",
    )


def host(url: str) -> str:
    """Scheme and host, without what may be secret in a path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[str, bool]:
    """What went wrong, "" for nothing, and whether another try may help."""
    request = Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310 - http(s), checked with the options
    try:
        with build_opener(_NoRedirect).open(request, timeout=_TIMEOUT):
            return "", False
    except HTTPError as error:
        with error:
            again = error.code >= 500 or error.code == _TOO_MANY
            return f"the server answered {error.code} {error.reason}".strip(), again
    except (http.client.InvalidURL, ValueError):
        # Its words repeat the path, which may be a secret.
        return "the address is no URL that can be sent", False
    except (URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        return f"no answer: {reason}", True


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def schema() -> dict[str, Any]:
    """The payload's JSON schema (2020-12), which `docs/webhook.schema.json` publishes."""
    own = Payload.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A session of pytest-perfgate",
        **{key: value for key, value in own.items() if key != "title"},
    }

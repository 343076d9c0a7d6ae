"""From the command line to `Settings`: every option of the table is read and checked once."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pytest_perfgate.errors import PerfgateError, ReportError
from pytest_perfgate.fleet import address
from pytest_perfgate.history.shared import HistoryPlace, place_of
from pytest_perfgate.machine import host_share
from pytest_perfgate.plain_text import encodable, public_command
from pytest_perfgate.plugin.options import OPTIONS
from pytest_perfgate.records.settings import OFF, Settings


@dataclass(frozen=True)
class _Given:
    """The value of an option, and what its check needs beside it."""

    name: str
    field: str
    value: Any
    config: pytest.Config

    @property
    def root(self) -> Path:
        return self.config.rootpath

    def other(self, name: str) -> Any:
        return self.config.getoption(name)

    def refused(self, reason: str) -> pytest.UsageError:
        return pytest.UsageError(f"{self.name} {self.value}: {reason}")


def settings_of(config: pytest.Config) -> Settings:
    """The settings of a run.

    Raises:
        pytest.UsageError: it names the option, the value and what is valid.
        PerfgateError: the cores or GPUs of the session are not there.
    """
    values = {}
    for option in OPTIONS:
        if option.field:
            given = _Given(option.name, option.field, config.getoption(option.name), config)
            values[option.field] = _read(given)
    place = values.pop("history")
    return Settings(
        history=place and place.folder,
        history_url=place.url if place else "",
        root=config.rootpath,
        import_path=tuple(config.getini("pythonpath")),
        ci=_is_ci(),
        command=public_command(["pytest", *map(str, config.invocation_params.args)]),
        **values,
    )


def _read(given: _Given) -> Any:
    """The field of an option; what Python cannot take as a URL, a path or a number is refused."""
    if isinstance(given.value, str) and encodable(given.value) != given.value:
        raise pytest.UsageError(f"{given.name} {encodable(given.value)}: it is not UTF-8")
    try:
        return _READERS.get(given.field, _unchanged)(given)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else ""
        raise given.refused(reason or str(error)) from None


def _is_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def _unchanged(given: _Given) -> Any:
    return given.value


def _text(given: _Given) -> str:
    return str(given.value).strip()


def _words(given: _Given) -> tuple[str, ...]:
    return tuple(word for part in str(given.value).split(",") if (word := part.strip()))


def _update(given: _Given) -> bool:
    if given.value and _is_ci():
        raise pytest.UsageError(
            "--perf-update is refused in CI (the variable CI is set): baselines are changed by a "
            "person and reviewed. Run it on the machine, and commit baselines/"
        )
    return bool(given.value)


def _probability(given: _Given) -> float:
    if not 0 < given.value < 0.5:
        raise given.refused("valid: more than 0, less than 0.5")
    return float(given.value)


def _positive(given: _Given) -> float:
    if not given.value > 0:
        raise given.refused("valid: more than 0")
    return float(given.value)


def _folder(given: _Given) -> Path:
    return given.root / str(given.value)


def _file(given: _Given) -> Path | None:
    """A file that is to be written at the end, checked before any long work."""
    if not given.value:
        return None
    file = given.root / str(given.value)
    if file.is_dir():
        raise given.refused("it is a folder; valid: the path of a file")
    above = next(folder for folder in file.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise given.refused(f"nothing can be written into {above}")
    return file


def _history(given: _Given) -> HistoryPlace | None:
    if given.value == OFF:
        return None
    cache = given.root / str(given.other("--perf-cache"))
    text = str(given.value or Path(given.other("--perf-reports"), "history"))
    try:
        return place_of(text, given.root, cache)
    except PerfgateError as error:
        raise pytest.UsageError(f"{given.name}: {error}") from error


def _confirm(given: _Given) -> bool:
    if given.value and given.other("--perf-history") == OFF:
        raise pytest.UsageError(
            "--perf-confirm: it takes steps from the history, and --perf-history is off"
        )
    return bool(given.value)


def _affected(given: _Given) -> bool:
    if given.value and not given.other("--perf-base"):
        raise pytest.UsageError(
            "--perf-affected: affected since when is not given. Name the commit: --perf-base REF"
        )
    if given.value and given.other("--perf-base-env"):
        raise pytest.UsageError(
            "--perf-affected: under other packages (--perf-base-env) every recipe is affected. "
            "Leave one of the two out"
        )
    if given.value and given.other("--perf-update"):
        raise pytest.UsageError(
            "--perf-affected: baselines are written of what a session measured (--perf-update). "
            "Leave one of the two out"
        )
    return bool(given.value)


def _step_summary(given: _Given) -> Path | None:
    text = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return Path(text) if text and given.value == "auto" else None


def _annotations(given: _Given) -> bool:
    return given.value == "auto" and os.environ.get("GITHUB_ACTIONS") == "true"


def _mlflow(given: _Given) -> str:
    """The tracking store, checked before any long work."""
    uri = str(given.value)
    if urlsplit(uri).password:
        raise pytest.UsageError(
            "--perf-mlflow: no password belongs there, the command is kept in the report. Valid: "
            "the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if uri and importlib.util.find_spec("mlflow") is None:
        raise given.refused(
            "mlflow is not installed. python -m pip install 'pytest-perfgate[mlflow]'"
        )
    return uri


def _webhook(given: _Given) -> str:
    """The address of a server, and that there is a secret to sign with."""
    url = _address(given)
    if url:
        from pytest_perfgate.report.webhook import secret

        try:
            secret()
        except ReportError as error:
            raise pytest.UsageError(f"{given.name}: {error}") from None
    return url


def _address(given: _Given) -> str:
    """An address of http or https that may stand in a report, and goes over the wire as it is."""
    url = str(given.value)
    # urlsplit drops some of them. The value is not repeated: a path may be a secret.
    strange = next((place for place, one in enumerate(url) if not "!" <= one <= "~"), None)
    if strange is not None:
        raise pytest.UsageError(
            f"{given.name}: its character {strange + 1} is {url[strange]!a}. Valid: printable "
            "ASCII without blanks; percent-encode others in a path, write a host as xn--..."
        )
    parts = urlsplit(url)
    _ = parts.port  # ValueError: it is no number
    if url and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise given.refused("valid: an address such as https://example.org/perfgate")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise pytest.UsageError(
            f"{given.name}: no user, password, query or fragment belongs there, the command is "
            "kept in the report"
        )
    return url


def _fleet(given: _Given) -> str:
    """The place of builds, checked before any long work."""
    text = str(given.value)
    if not text:
        return ""
    try:
        return address.checked(text)
    except PerfgateError as error:
        raise pytest.UsageError(str(error)) from None


def _share(given: _Given) -> host_share.Share | None:
    """What the session has for itself, checked before any long work."""
    requested = host_share.read(given.other(host_share.CORES), given.other(host_share.GPUS))
    if not given.other(host_share.SPREAD):
        return requested
    worker = getattr(given.config, "workerinput", {})
    count = int(worker.get("workercount") or given.config.getoption("numprocesses", None) or 0)
    return host_share.spread(requested or host_share.whole(), count, worker.get("workerid", ""))


_READERS: Mapping[str, Callable[[_Given], Any]] = {
    "allow_skip": _words,
    "require": _words,
    "labels": _words,
    "update": _update,
    "reason": _text,
    "alpha": _probability,
    "seconds": _positive,
    "timeout": _positive,
    "reports": _folder,
    "baselines": _folder,
    "cache": _folder,
    "markdown": _file,
    "openmetrics": _file,
    "ctrf": _file,
    "annotations": _annotations,
    "history": _history,
    "confirm": _confirm,
    "affected": _affected,
    "step_summary": _step_summary,
    "mlflow": _mlflow,
    "webhook": _webhook,
    "picture": _file,
    "picture_url": _address,
    "share": _share,
    "fleet": _fleet,
    "base_env": _text,
}

"""A session as an OpenMetrics text file, for the textfile folder of a node exporter.

Gauges alone and no timestamps: what OpenMetrics calls `info` or `stateset` a node exporter refuses
to read, and it takes no times. What was not measured is not in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pytest_perfgate.errors import ReportError
from pytest_perfgate.files import put, writing
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.units import Unit

_UNITS = {
    Unit.JOULES: "joules",
    Unit.SECONDS: "seconds",
    Unit.BYTES: "bytes",
    Unit.IMAGES_PER_SECOND: "images_per_second",
    Unit.SCORE: "ratio",
    Unit.RATIO: "ratio",
    Unit.COUNT: "",
}
"""Base units by the names that OpenMetrics and Prometheus use; a metric's name ends on its unit."""


@dataclass
class _Family:
    """One metric family: `samples` are labels and value."""

    name: str
    unit: str
    text: str
    samples: list[tuple[dict[str, str], float]] = field(default_factory=list)

    def lines(self) -> Iterable[str]:
        yield f"# HELP {self.name} {_help(self.text)}"
        yield f"# TYPE {self.name} gauge"
        if self.unit:
            yield f"# UNIT {self.name} {self.unit}"
        for labels, value in self.samples:
            inside = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
            yield f"{self.name}{{{inside}}} {value!r}" if inside else f"{self.name} {value!r}"


def write(file: Path, session: SessionRecord, metrics: Mapping[str, Metric]) -> None:
    """Writes the file, whole or not at all: an exporter never reads half of it.

    Raises:
        ReportError: it cannot be written.
    """
    remedy = "make its folder writable, or name another: --perf-openmetrics=FILE"
    with writing(file, "the OpenMetrics file", ReportError, next_step=remedy):
        file.parent.mkdir(parents=True, exist_ok=True)
        put(file, render(session, metrics))


def render(session: SessionRecord, metrics: Mapping[str, Metric]) -> str:
    """The text: families of the session, of every metric, and of the verdicts."""
    families = [*_session(session), *_metrics(session, metrics), *_verdicts(session)]
    lines = [line for family in families if family.samples for line in family.lines()]
    return "\n".join((*lines, "# EOF")) + "\n"


def _session(session: SessionRecord) -> Iterable[_Family]:
    facts = {
        "session": session.id,
        "commit": session.commit,
        "dirty": str(session.dirty).lower(),
        "machine": session.machine.id,
    }
    yield _Family(
        "perfgate_session", "", "Always 1; the labels describe the newest session.", [(facts, 1)]
    )
    started = datetime.fromisoformat(session.started).timestamp()
    yield _Family(
        "perfgate_session_start_timestamp_seconds",
        "seconds",
        "When the session began, seconds since 1970.",
        [({}, started)],
    )
    yield _Family(
        "perfgate_session_duration_seconds",
        "seconds",
        "Duration of the session.",
        [({}, session.seconds)],
    )
    yield _Family(
        "perfgate_session_complete",
        "",
        "1 when the session ran to its end, 0 when it was interrupted.",
        [({}, int(session.complete))],
    )
    yield _Family(
        "perfgate_session_absent",
        "",
        "What turned the session red though no verdict says so: number of causes.",
        [({}, len(session.absent))],
    )
    counted = Counter(verdict.status for suite in session.suites for verdict in suite.verdicts)
    yield _Family(
        "perfgate_verdicts",
        "",
        "Number of verdicts of the session, by verdict.",
        [({"verdict": status.value}, counted[status]) for status in Status],
    )


def _metrics(session: SessionRecord, metrics: Mapping[str, Metric]) -> Iterable[_Family]:
    for metric in metrics.values():
        unit = _UNITS[metric.unit]
        ending = f"_{unit}" if unit and not metric.name.endswith(f"_{unit}") else ""
        for attribute, part, text in (
            ("value", "", metric.meaning),
            ("low", "_low", f"Lower end of the interval of {metric.name}."),
            ("high", "_high", f"Upper end of the interval of {metric.name}."),
        ):
            family = _Family(f"perfgate_{metric.name}{part}{ending}", unit, text)
            for suite in session.suites:
                for recipe, summaries in suite.summaries.items():
                    for summary in summaries:
                        value = getattr(summary, attribute)
                        if summary.metric == metric.name and value is not None:
                            family.samples.append(({"suite": suite.title, "recipe": recipe}, value))
            yield family


def _verdicts(session: SessionRecord) -> Iterable[_Family]:
    family = _Family(
        "perfgate_verdict",
        "",
        "Verdict on each budget: 1 for the verdict of the session, 0 for the others.",
    )
    relative = _Family(
        "perfgate_limit_change_ratio",
        "ratio",
        "Relative change that a limit compared: the value divided by the other side's, minus 1.",
    )
    for suite in session.suites:
        for verdict in suite.verdicts:
            labels = {"suite": suite.title, "recipe": verdict.recipe, "metric": verdict.metric}
            family.samples += [
                ({**labels, "verdict": status.value}, int(status is verdict.status))
                for status in Status
            ]
            relative.samples += [
                ({**labels, "limit": f"{limit.kind} {limit.text}"}, limit.estimate - 1)
                for limit in verdict.limits
                if limit.scale == "ratio" and limit.estimate is not None
            ]
    yield family
    yield relative


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", " ")


def _help(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace('"', '\\"').split())

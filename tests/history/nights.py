"""Nights as `pytest --perf` records them: two recipes, known levels, a machine that drifts."""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pytest_perfgate.files import put
from pytest_perfgate.history.shared import HistoryPlace, place_of
from pytest_perfgate.history.store import History
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.launch_values import level
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.settings import Settings, for_command
from pytest_perfgate.records.verdict import LimitResult, MetricSummary, Status, Verdict

from tests.report.sessions import METRICS

FIRST = datetime(2026, 1, 1, 2, tzinfo=UTC)
LEVELS = {"fp32": 0.030, "int8": 0.010}


@dataclass(frozen=True)
class Night:
    """What one night was like.

    `factor` slows int8, `reference` fp32, `machine` everything with the yardstick; `status` is the
    verdict on int8's latency_p50.
    """

    factor: float = 1.0
    reference: float = 1.0
    machine: float = 1.0
    status: Status = Status.PASS
    commit: str = ""
    text: str = ""
    packages: str = "1.0"


def launch(generator: random.Random, index: int, seconds: float) -> Launch:
    """One launch of a recipe whose inference takes so long."""
    samples = tuple(seconds * generator.lognormvariate(0, 0.01) for _ in range(5))
    still = (seconds / 100,) * 5
    return Launch(
        index=index,
        core=0,
        started=float(index),
        load_time=seconds,
        preprocess=still,
        inference=samples,
        postprocess=still,
        peak_memory=100_000_000,
    )


def session(number: int, night: Night) -> SessionRecord:
    """The session of one night."""
    generator = random.Random(number)  # noqa: S311 - made-up measurements, no secret
    speeds = {"fp32": night.reference * night.machine, "int8": night.factor * night.machine}
    records = [
        RecipeRecord(
            name=name + night.text,
            reference="fp32" + night.text,
            spec={"runtime": {"name": "onnxruntime"}},
            launches=tuple(
                launch(generator, index, LEVELS[name] * speeds[name]) for index in range(4)
            ),
        )
        for name in LEVELS
    ]
    yardstick = tuple(launch(generator, index, 0.005 * night.machine) for index in range(4))
    timed = [METRICS[name] for name in ("latency_p50", "peak_memory", "load_time")]
    summaries = {
        record.name: tuple(
            MetricSummary(metric=metric.name, value=value, low=value * 0.99, high=value * 1.01)
            for metric in timed
            if (value := level(record, metric)) is not None
        )
        for record in records
    }
    value = summaries["int8" + night.text][0].value
    limit = LimitResult(
        kind="max",
        text="30 ms" + night.text,
        status=night.status,
        limit=0.030,
        estimate=value,
        reason="because" + night.text,
        kept=value * 1.02,
    )
    verdict = Verdict(
        recipe="int8" + night.text,
        metric="latency_p50",
        status=night.status,
        unit="s",
        value=value,
        limits=(limit,),
        reason=f"it is {night.status.value}{night.text}",
    )
    started = FIRST + timedelta(days=number)
    return SessionRecord(
        id=f"{started:%Y%m%d-%H%M%S}",
        started=started.isoformat(timespec="seconds"),
        seconds=300.0 + number % 3,
        command="pytest --perf" + night.text,
        commit=night.commit or f"{number + 1:040x}",
        machine=Machine(cpu="CPU" + night.text, features=(), cores=2, memory=8, os="Linux"),
        environment=Environment(
            python="3.11", kernel="6", packages={"onnxruntime" + night.text: night.packages}
        ),
        suites=(
            SuiteRecord(
                name="digits" + night.text,
                folder="suites/digits",
                task="detection",
                model="m",
                recipes=tuple(records),
                yardstick=yardstick,
                summaries=summaries,
                verdicts=(verdict,),
                phases={"build": 60.0, "measure": 200.0},
            ),
        ),
    )


def fill(folder: Path, nights: Sequence[Night]) -> None:
    """A store of these nights. Most tests begin with the same ones, whose files are written by the
    store once in a process.
    """
    known, listed = _known(), list(enumerate(nights))
    if new := [one for one in dict.fromkeys(listed) if one not in known]:
        with tempfile.TemporaryDirectory() as scratch, History(Path(scratch)) as store:
            for number, night in new:
                file = store.append(session(number, night), METRICS)
                assert file is not None
                known[number, night] = (file.relative_to(scratch), file.read_bytes())
                file.unlink()
    for one in listed:
        name, content = known[one]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@functools.cache
def _known() -> dict[tuple[int, Night], tuple[Path, bytes]]:
    return {}


def write(folder: Path, nights: Sequence[Night]) -> list[Path]:
    """The JSON files of these nights."""
    result = []
    for number, night in enumerate(nights):
        record = session(number, night)
        result.append(folder / f"{record.id}.json")
        put(result[-1], record.model_dump_json())
    return result


def runner(url: str, folder: Path) -> tuple[HistoryPlace, Settings]:
    """A machine with a cache of its own, whose sessions go to a shared history."""
    place = place_of(url, folder, folder / "cache")
    settings = replace(
        for_command(folder, "pytest"),
        history=place.folder,
        history_url=place.url,
        cache=place.cache,
    )
    return place, settings


def seen_from(place: HistoryPlace) -> int:
    """How many sessions a machine sees in a shared history, each once."""
    place.exchange()
    with History(place.folder) as store:
        store.view("history")
        row = store.query("SELECT count(DISTINCT session) FROM history").fetchone()
    assert row is not None
    return int(row[0])

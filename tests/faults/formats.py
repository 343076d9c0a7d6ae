"""The formats that come from outside, each with whole samples and with its reader."""

from __future__ import annotations

import hashlib
import json
import lzma
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from pytest_perfgate.baselines import changes
from pytest_perfgate.baselines.baseline import Baseline
from pytest_perfgate.baselines.store import read_file, rendered
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.report import (
    compare_sessions,
    markdown,
    openmetrics,
    page,
    session_files,
    terminal,
)
from pytest_perfgate.sources import Fence
from pytest_perfgate.suite import reading, requirements
from pytest_perfgate.suite.metrics import metrics_of_session
from pytest_perfgate.tasks.coco.files import read_coco
from pytest_perfgate.tasks.detection import METRICS, Detection
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction
from pytest_perfgate.verdicts.evidence import Evidence
from pytest_perfgate.verdicts.judge import judge
from pytest_perfgate.worker.protocol import JOBS, PrepareJob

from tests.faults import mutations
from tests.faults.fuzzing import Format
from tests.history import nights
from tests.report import sessions
from tests.squares import RECIPES
from tests.verdicts import judging

ROOT = Path(__file__).parents[2]
_NOW = datetime(2026, 12, 1, tzinfo=UTC)
_ALL = {**METRICS, **PERFORMANCE}
_IMAGES = 6


# -- suites --------------------------------------------------------------------------------


def _suites() -> list[bytes]:
    files = sorted((ROOT / "suites").rglob("recipes.toml"))
    return [RECIPES.encode(), *(file.read_bytes() for file in files)]


def _damaged_text(random: Random, source: bytes) -> bytes:
    if random.random() < 0.05:
        return mutations.data(random, source)
    return mutations.text(random, source.decode()).encode("utf-8", "surrogatepass")


def _read_suite(content: bytes, folder: Path) -> None:
    """As collecting does; and an accepted suite must cross the wall to a worker as it is."""
    file = folder / "recipes.toml"
    file.write_bytes(content)
    (folder / "squares.onnx").write_bytes(models()[0])
    suite_file = reading.read(file, folder)
    problems = [*suite_file.suite_problems]
    problems += [error for errors in suite_file.problems.values() for error in errors]
    for error in problems:
        str(error).encode()
    if suite_file.suite is not None:
        for recipe in suite_file.suite.recipes.values():
            requirements.covers(suite_file.suite, recipe)
            requirements.missing_packages(suite_file.suite, recipe)
            work = PrepareJob(suite_file.suite, recipe.name, folder, folder)
            crossed = JOBS.decode(JOBS.encode(work).rstrip(b"\n"))
            if crossed != work:
                raise AssertionError(f"the worker reads another suite: {crossed}")
    if problems:
        raise problems[0]


# -- COCO ----------------------------------------------------------------------------------


@cache
def _picture() -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


def _instances() -> list[bytes]:
    images = [
        {"id": index + 1, "width": 64, "height": 48, "file_name": f"{index}.png"}
        for index in range(_IMAGES)
    ]
    annotations = [
        {
            "id": number,
            "image_id": number % _IMAGES + 1,
            "category_id": 1 + number % 2,
            "bbox": [number, number, 10 + number, 12],
            "area": 12 * (10 + number),
            "iscrowd": number % 5 == 0,
        }
        for number in range(12)
    ]
    categories = [
        {"id": 1, "name": "square", "supercategory": "shape"},
        {"id": 2, "name": "circle", "supercategory": "shape"},
    ]
    table = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    return [json.dumps(table).encode()]


def _read_coco(content: bytes, folder: Path) -> None:
    """Read, digested, and scored with a prediction for each image."""
    (folder / "images").mkdir()
    for index in range(_IMAGES):
        (folder / "images" / f"{index}.png").write_bytes(_picture())
    (folder / "coco.json").write_bytes(content)
    declared = {"images": "images", "annotations": "coco.json"}
    data = read_coco(declared, folder, folder, DetectionData)
    assert len(data.digest) == 64
    box = Prediction(
        np.array([[1, 1, 12, 13]], np.float32), np.array([0.9], np.float32), np.array([0])
    )
    accuracy = Detection().evaluate(data, [box] * len(data.images))
    assert accuracy.model_dump_json()


# -- sessions ------------------------------------------------------------------------------


@cache
def _sessions() -> list[bytes]:
    stored = sorted((ROOT / "tests" / "report" / "stored").glob("*.json"))
    made = [sessions.broken(), nights.session(0, nights.Night())]
    return [
        *(session.model_dump_json().encode() for session in made),
        *(file.read_bytes() for file in stored),
    ]


def _read_session(content: bytes, folder: Path) -> None:
    """Read as every command reads it, and shown wherever a session is shown."""
    file = folder / "session.json"
    file.write_bytes(content)
    session = session_files.read(file)
    session_files.read_verdicts(file)
    metrics = metrics_of_session(session)
    for verbosity in (-1, 0, 2):
        terminal.write(
            session, lambda *_, **__: None, metrics=metrics, verbosity=verbosity, update=False
        )
    markdown.render(session, metrics, report="page.html").encode()
    openmetrics.render(session, metrics).encode()
    compare_sessions.sessions(session, sessions.broken())
    page.render(session, metrics).encode()


# -- baselines -----------------------------------------------------------------------------


_STORED = ROOT / "tests" / "baselines" / "stored"


@cache
def _baselines() -> list[bytes]:
    files = sorted(_STORED.glob("*.json"))
    return [rendered(judging.stored(0.01))[0].encode(), *(file.read_bytes() for file in files)]


def _read_baseline(content: bytes, folder: Path) -> None:
    """Read, judged against, laid beside another, and written again."""
    file = folder / "int8.json"
    file.write_bytes(content)
    for beside in _STORED.glob("*.npz.xz"):
        (folder / beside.name).write_bytes(beside.read_bytes())
    baseline: Baseline = read_file(file)
    evidence = Evidence(
        record=judging.recipe("candidate", 0.01),
        reference=judging.recipe("reference", 0.02),
        baseline=baseline,
        reference_baseline=baseline,
        yardstick=judging.launches(0.003),
    )
    budget = Budget("latency_p50", (Limit(LimitKind.REGRESSION, 0.05, "5%"),))
    judge(budget, judging.LATENCY, evidence, judging.RISK, _NOW).model_dump_json()
    fresh = judging.stored(0.01)
    changes.propose({"a": baseline}, {"a": fresh}, _ALL)
    known = {name: metric for name, metric in baseline.metrics.items() if name in _ALL}
    again = baseline.model_copy(update={"metrics": known})
    changes.propose({"a": fresh}, {"a": again}, _ALL)
    rendered(baseline)


@cache
def _pairs() -> list[bytes]:
    """Unpacked files beside baselines: what is damaged is packed anew, with its digest."""
    return [lzma.decompress(file.read_bytes()) for file in sorted(_STORED.glob("*.npz.xz"))]


def _read_pairs(content: bytes, folder: Path) -> None:
    """Read with its baseline, and written again."""
    packed = lzma.compress(content, preset=0)
    version = "version-7" if b"hit places" in content else "version-3"  # or it is whole
    data = json.loads((_STORED / f"{version}.json").read_text(encoding="utf-8"))
    if basis := data["pairs"].get("basis"):
        (folder / basis).write_bytes((_STORED / basis).read_bytes())
    name = f"plain.{hashlib.sha256(packed).hexdigest()[:32]}.npz.xz"
    data["pairs"] |= {"file": name, "size": len(content)}
    (folder / name).write_bytes(packed)
    (folder / "plain.json").write_text(json.dumps(data), encoding="utf-8")
    rendered(read_file(folder / "plain.json"))


# -- history -------------------------------------------------------------------------------


@cache
def _parquet() -> list[bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        nights.fill(Path(folder), [nights.Night()] * 3)
        return [file.read_bytes() for file in sorted(Path(folder).rglob("*.parquet"))]


def _read_history(content: bytes, folder: Path) -> None:
    """One damaged night among whole ones: the page is drawn, and names the night where it is not
    read.
    """
    from pytest_perfgate.history.page import render as draw
    from pytest_perfgate.history.watch import look

    month = folder / "month=2026-11"
    month.mkdir()
    whole = _parquet()
    for number, night in enumerate([content, *whole[1:]]):
        (month / f"night-{number}.parquet").write_bytes(night)
    findings, watch = look(folder, {}, folder)
    draw(findings, folder, watch).encode()
    past = findings.past
    if past.unread:
        from pytest_perfgate.errors import HistoryError

        raise HistoryError(past.unread[0].problem, where=str(past.unread[0].file))


# -- models --------------------------------------------------------------------------------


@cache
def models() -> list[bytes]:
    """Whole ONNX graphs."""
    import tempfile

    from tests.squares import squares_model

    with tempfile.TemporaryDirectory() as folder:
        squares_model(Path(folder, "squares.onnx"))
        return [Path(folder, "squares.onnx").read_bytes()]


def _read_model(content: bytes, folder: Path) -> None:
    """As a build reads it before any runtime does: the graph's input and its side files."""
    from pytest_perfgate.sources.onnx import Onnx

    (folder / "squares.onnx").write_bytes(content)
    fence: Any = Fence(folder, folder)
    source = Onnx()
    source.check("squares.onnx", None, fence)
    source.files("squares.onnx", None, fence)


FORMATS = (
    Format("suite files", _suites, _damaged_text, _read_suite),
    Format("COCO files", _instances, mutations.json_text, _read_coco),
    Format("session files", _sessions, mutations.json_text, _read_session),
    Format("baseline files", _baselines, mutations.json_text, _read_baseline),
    Format("files beside baselines", _pairs, mutations.data, _read_pairs),
    Format("history Parquet", _parquet, mutations.data, _read_history),
    Format("ONNX graphs", models, mutations.data, _read_model),
)

"""The monitor: what it writes, that it costs little, and that it never gets in the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics import parser
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.live import Monitor, sampling, scores
from pytest_perfgate.live.gate_record import read_record
from pytest_perfgate.live.row_log import RowLog, Sample
from pytest_perfgate.live.sampling import Sampler
from pytest_perfgate.tasks.classification.data import Called
from pytest_perfgate.tasks.detection.data import Prediction

from tests.live import gate

ALL_ROWS = 1e6
IMAGE = np.full((16, 24, 3), 100, np.uint8)


def values(monitor, name):
    """Samples of a family of OpenMetrics: name and sorted labels beside the recipe's, and value."""
    families = parser.text_string_to_metric_families(monitor.openmetrics())
    (family,) = [one for one in families if one.name == f"perfgate_live_{name}"]
    return {
        (
            one.name.removeprefix("perfgate_live_"),
            *sorted(one.labels[label] for label in one.labels.keys() - {"suite", "recipe"}),
        ): one.value
        for one in family.samples
        if not one.name.endswith("_created")
    }


def test_requests_become_histograms_and_rows(tmp_path):
    """Latency, scores, statistics of the image and errors of each request, by its name."""

    def predict(image):
        if image.max() > 200:
            raise RuntimeError("too bright")
        return np.array([0.1, 0.7, 0.2])

    with Monitor(gate.record(), tmp_path, rows_per_second=ALL_ROWS) as monitor:
        watched = monitor.wrap(predict, name=lambda image: f"{image.max()}.jpg")
        assert watched(IMAGE).tolist() == [0.1, 0.7, 0.2]
        time.sleep(0.001)
        with pytest.raises(RuntimeError, match="too bright"):
            watched(IMAGE + np.uint8(120))
        time.sleep(0.001)
        with monitor.request(IMAGE, name="https://me:secret@host/a.jpg?key=1") as request:
            request.result = {"cat": 0.9}
    assert gate.rows(tmp_path, "image, error, classes, scores, brightness, width, height") == [
        ("100.jpg", None, ["dog"], [0.7], pytest.approx(100), 24, 16),
        ("220.jpg", "RuntimeError", None, None, pytest.approx(220), 24, 16),
        ("https://host/a.jpg?…", None, ["cat"], [0.9], pytest.approx(100), 24, 16),
    ]
    assert gate.rows(tmp_path, "suite, recipe, artifact, requests, errors")[1] == (
        "pets", "int8", "a" * 64, 1, 1,
    )  # fmt: skip
    assert all(0 < seconds < 1 for (seconds,) in gate.rows(tmp_path, "latency"))
    assert values(monitor, "request_seconds")[("request_seconds_count",)] == 3
    assert values(monitor, "errors")[("errors_total", "RuntimeError")] == 1
    assert values(monitor, "score")[("score_bucket", "0.7", "dog")] == 1
    assert values(monitor, "score")[("score_bucket", "0.65", "dog")] == 0
    assert values(monitor, "input_level")[("input_level_bucket", "112.0", "red_mean")] == 2
    assert values(monitor, "input_pixels")[("input_pixels_count", "width")] == 3
    assert values(monitor, "rows")[("rows_total", "written")] == 3
    assert set(values(monitor, "monitor_errors").values()) == {0}


def test_rows_are_bounded_and_requests_are_all_counted(tmp_path):
    """At most so many rows a second, from any number of threads; what no row has is counted."""
    requests = 2_000
    with Monitor(gate.record(), tmp_path, rows_per_second=50) as monitor:
        watched = monitor.wrap(lambda _: None)
        started = time.monotonic()
        threads = [
            threading.Thread(target=lambda: [watched(IMAGE) for _ in range(requests // 4)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - started
    ((rows, counted),) = gate.rows(tmp_path, "count(latency), sum(requests) AS time")
    assert 1 <= rows <= 50 * (seconds + 1)
    assert counted == requests


@pytest.mark.parametrize(
    ("stage", "image", "result"),
    [
        ("input", "no picture", np.array([0.1, 0.7, 0.2])),
        ("scores", IMAGE, np.array([0.1, 0.9])),
        ("scores", IMAGE, np.array([np.nan, np.nan, np.nan])),
        ("scores", IMAGE, object()),
    ],
)
def test_an_odd_image_or_result_is_counted_and_not_raised(tmp_path, stage, image, result):
    """The row keeps what could be read."""
    with Monitor(gate.record(), tmp_path, rows_per_second=ALL_ROWS) as monitor:
        assert monitor.wrap(lambda _: result)(image) is result
    assert values(monitor, "monitor_errors")[("monitor_errors_total", stage)] == 1
    assert gate.rows(tmp_path, "requests, latency > 0, brightness IS NULL, classes") == [
        (1, True, stage == "input", ["dog"] if stage == "input" else None)
    ]


def test_each_request_of_a_burst_is_drawn_with_the_same_chance(monkeypatch):
    """Its last ones have waited for the others. At most so many a second are drawn; of few all."""
    now = [0.0]
    monkeypatch.setattr(sampling, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for rate, size, chance in ((10, 40, 0.17), (10, 4, 1.0), (0.5, 40, 0.011)):
        sampler = Sampler(rate)
        drawn = np.zeros((2_000, size), bool)
        for burst in drawn:
            now[0] += 1.1 * max(1, 1 / rate)
            burst[:] = [sampler.draw() for _ in range(size)]
        assert drawn.sum(axis=1).max() <= max(1, rate)
        half = size // 2
        assert drawn[1:, :half].mean() == pytest.approx(chance, rel=0.4)
        assert drawn[1:, half:].mean() == pytest.approx(chance, rel=0.4)


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, SystemExit])
def test_a_request_that_was_cancelled_failed(tmp_path, error):
    """A version whose callers give up on it is not one without errors. What ends the program says
    nothing of the predictor.
    """

    def predict(_):
        raise error

    with Monitor(gate.record(), tmp_path, rows_per_second=ALL_ROWS) as monitor:
        with pytest.raises(error):
            monitor.wrap(predict)(IMAGE)
        time.sleep(0.001)
        with pytest.raises(error), monitor.request(IMAGE) as request:
            request.result = predict(IMAGE)
    written = gate.rows(tmp_path, "requests, errors, error") if any(tmp_path.iterdir()) else []
    assert written == ([] if error is SystemExit else [(1, 1, error.__name__)] * 2)


def test_a_folder_that_cannot_be_written_is_counted_and_memory_is_bounded(tmp_path):
    """Rows wait for the next time, the oldest are dropped, and their requests are counted still."""
    (tmp_path / "logs").write_text("a file")
    monitor = Monitor(gate.record(), tmp_path / "logs", rows_per_second=1, flush_seconds=1)
    log: RowLog = monitor._log
    for _ in range(250):
        log.count(error=True)
        log.add(sample())
        log._take(last=False)
    monitor.flush()
    assert values(monitor, "monitor_errors")[("monitor_errors_total", "rows")] == 1
    assert values(monitor, "rows")[("rows_total", "dropped")] == 150
    (tmp_path / "logs").unlink()
    monitor.close()
    monitor.close()
    assert gate.rows(tmp_path / "logs", "count(latency), sum(requests), sum(errors) AS time") == [
        (100, 250, 250)
    ]
    assert not list(tmp_path.glob("**/*.part"))


def sample():
    """A request of which only the latency is known."""
    return Sample(time=time.time(), latency=0.1)


def test_rows_are_written_every_so_often(tmp_path):
    """A long-lived program need not end for its rows to be there."""
    monitor = Monitor(gate.record(), tmp_path, rows_per_second=ALL_ROWS, flush_seconds=0.1)
    monitor.wrap(lambda _: None)(IMAGE)
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(gate.rows(tmp_path)) == 1
    monitor.close()


def test_a_forked_process_has_rows_of_its_own(tmp_path):
    """Rows that wait at the fork are written once, by the parent."""
    program = f"""
import os, sys
sys.path.insert(0, {str(Path.cwd())!r})
from tests.live import gate
from tests.live.test_monitor import IMAGE
from pytest_perfgate.live import Monitor
monitor = Monitor(gate.record(20), {str(tmp_path)!r}, rows_per_second=1e6)
watched = monitor.wrap(lambda _: None)
watched(IMAGE)
child = os.fork()
if child == 0:
    watched(IMAGE)
    monitor.close()
    os._exit(0)
os.waitpid(child, 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert gate.rows(tmp_path, "count(*), count(DISTINCT monitor), sum(requests) AS time") == [
        (2, 2, 2)
    ]


def test_a_monitor_is_refused_with_its_reason(tmp_path):
    """Numbers out of range, a second monitor in one registry, and a predictor to be awaited."""
    for wrong in ({"rows_per_second": 0}, {"flush_seconds": float("nan")}):
        with pytest.raises(PerfgateError, match="above 0"):
            Monitor(gate.record(), tmp_path, **wrong)
    registry = CollectorRegistry()
    Monitor(gate.record(), tmp_path, registry=registry).close()
    with pytest.raises(PerfgateError, match="cannot take the monitor's families"):
        Monitor(gate.record(), tmp_path, registry=registry)

    async def predict(image):
        return image

    with (
        Monitor(gate.record(), tmp_path) as monitor,
        pytest.raises(PerfgateError, match="coroutine function"),
    ):
        monitor.wrap(predict)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ([0.2, 0.5, 0.3], {"dog": 0.5}),
        (np.array([[0.2, 0.5, 0.3]]), {"dog": 0.5}),
        (Called(np.array([0.2, 0.5, 0.3])), {"dog": 0.5}),
        ({"cat": 1, "owl": 0.5}, {"cat": 1.0, "owl": 0.5}),
        ({"scores": np.array([0.4, 0.9, 0.3]), "labels": [2, 2, 0]}, {"owl": 0.9, "cat": 0.3}),
        (
            Prediction(np.zeros((2, 4)), np.array([0.9, 0.8]), np.array([1, 1])),
            {"dog": 0.9},
        ),
        (Prediction(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64)), {}),
        ({"scores": [0.9, 0.0, -1.0], "labels": [1, -1, -1]}, {"dog": 0.9}),  # padded
    ],
)
def test_scores_are_read_from_usual_results(result, expected):
    """Of a classifier the top class, of a detector each class with its best score."""
    assert scores.scores_of(result, gate.CLASSES) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"scores": [0.9, float("nan")], "labels": [1, 0]}, "not a number"),
        ({"scores": [0.9, 0.7], "labels": [1, -1]}, "-1 is no category"),
    ],
)
def test_scores_of_no_class_are_not_read(result, said):
    """NaN is no detection less, and a negative category not the last class."""
    with pytest.raises(ValueError, match=said):
        scores.scores_of(result, gate.CLASSES)


def test_no_framework_is_imported():
    """The library costs its program numpy, pydantic and prometheus_client, no framework."""
    program = (
        "import sys, pytest_perfgate.live; "
        "print(*sorted({'torch', 'onnxruntime', 'scipy', 'duckdb', 'pytest', 'pandas', 'jinja2'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.strip() == ""


def test_a_record_is_that_of_one_recipe(tmp_path):
    """The message of a wrong name lists the recipes."""
    from tests.report import sessions

    session = sessions.healthy()
    file = tmp_path / "session.json"
    file.write_text(session.model_dump_json())
    suite = session.suites[0]
    name = next(one.name for one in suite.recipes if one.accuracy)
    record = read_record(file, name)
    assert (record.suite, record.recipe.name) == (suite.name, name)
    with pytest.raises(PerfgateError, match="there is no recipe 'intt8'") as caught:
        read_record(file, "intt8")
    assert name in caught.value.valid

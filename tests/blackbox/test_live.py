"""From the gate to production and back: a session, a monitor with its record, and the drift."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from pytest_perfgate import live
from pytest_perfgate.cli.main import main

from tests.conftest import Project
from tests.squares import HEAD, PLAIN, coco_folder


def serve(project: Project, record: live.GateRecord, darker: Mapping[str, int]) -> None:
    """Watches the suite's own model on 60 new images, all sampled; one monitor for each folder of
    logs, whose images are darker by so much, at the same time.
    """
    session = onnxruntime.InferenceSession(project.suite / "squares.onnx")
    (name,) = (one.name for one in session.get_inputs())

    def predict(image: np.ndarray[Any, Any]) -> dict[str, Any]:
        pixels = image.astype(np.float32).transpose(2, 0, 1)[None] / 255
        _, scores = session.run(None, {name: pixels})
        return {"scores": scores.reshape(-1), "labels": np.zeros(scores.size, int)}

    with contextlib.ExitStack() as stack:
        monitors = [
            stack.enter_context(live.Monitor(record, project.root / logs, rows_per_second=1e6))
            for logs in darker
        ]
        watched = [monitor.wrap(predict) for monitor in monitors]
        for file in sorted((project.root / "live").glob("*")):
            image = np.array(Image.open(file).convert("RGB"))
            for one, less in zip(watched, darker.values(), strict=True):
                one(np.maximum(image, less) - np.uint8(less))
        for monitor in monitors:
            assert "perfgate_live_request_seconds_count" in monitor.openmetrics()


def test_requests_like_the_validation_images_have_not_moved(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Darker ones have: in their brightness, and not in their size."""
    project.write(HEAD + PLAIN)
    project.run("-k", "plain-map")
    (file,) = (project.root / "reports").glob("2*.json")
    record = live.read_record(file, "plain")
    assert set(record.inputs) >= {"brightness", "width", "height"}
    assert record.inputs["width"].count == 40
    assert record.inputs["width"].quantiles.array().tolist() == [64.0] * 40
    coco_folder(project.root, "live", 60, seed=3)
    serve(project, record, {"same": 0, "dark": 90})
    capsys.readouterr()
    assert main(["drift", str(file), str(project.root / "same")]) == 0
    assert "tiny/plain: 60 rows" in capsys.readouterr().out
    assert main(["drift", str(file), str(project.root / "dark"), "--json"]) == 1
    moved = {
        one["name"] for one in json.loads(capsys.readouterr().out)["comparisons"] if one["moved"]
    }
    assert "brightness" in moved
    assert "width" not in moved
    dark, same = str(project.root / "dark"), str(project.root / "same")
    assert main(["canary", same, dark, f"--record={file}", "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["checks"][0]["name"] == "latency_p50, new to old"
    assert verdict["checks"][0]["limit"] == pytest.approx(1.4)
    assert "score_drop" in verdict["reason"]

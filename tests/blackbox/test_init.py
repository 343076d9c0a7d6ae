"""The first session of a stranger: `pytest-perfgate init`, then `pytest --perf`."""

from __future__ import annotations

import pytest
from pytest_perfgate.cli.main import main

from tests.cli.graphs import ultralytics
from tests.conftest import Project, said
from tests.squares import coco_folder


def test_the_first_session_of_ones_own_model_is_decided(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An Ultralytics export and 24 images, with annotations and without: what needs no baseline is
    PASS, the rest is NO BASELINE, and a model that finds nothing is an ERROR.
    """
    pytest.importorskip("openvino", reason="python -m pip install 'pytest-perfgate[openvino]'")
    fresh = project.pytester.mkdir("fresh")
    monkeypatch.chdir(fresh)
    ultralytics(fresh / "yolov8n.onnx", ["person", "square"])
    ultralytics(fresh / "blind.onnx", ["person", "dog"])
    coco_folder(fresh, "images", 24, seed=2)
    (fresh / "data").mkdir()
    (fresh / "images").rename(fresh / "data" / "images")
    for name, model in (("bare", "yolov8n.onnx"), ("blind", "blind.onnx")):
        assert main(["init", "--model", model, "--data", "data", "--name", name]) == 0
    (fresh / "images.json").rename(fresh / "data" / "images.json")
    assert main(["init", "--model", "yolov8n.onnx", "--data", "data"]) == 0

    result = project.run("--rootdir", str(fresh), str(fresh / "suites"))
    project.root = fresh
    verdicts = {
        (suite["name"], f"{verdict['recipe']}-{verdict['metric']}"): verdict["status"]
        for suite in project.sessions()[-1]["suites"]
        for verdict in suite["verdicts"]
    }
    for recipe in ("int8", "openvino"):
        assert verdicts["yolov8n", f"{recipe}-map"] == "PASS"
        assert verdicts["bare", f"{recipe}-agreement"] == "PASS"
        assert verdicts["bare", f"{recipe}-score_shift"] == "PASS"
        assert verdicts["blind", f"{recipe}-agreement"] == "ERROR"
    rest = {status for (suite, _), status in verdicts.items() if suite != "blind"}
    assert rest == {"PASS", "NO BASELINE"}
    said(result, "detects nothing with a score of at least 0.3")

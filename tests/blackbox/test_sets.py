"""Sets and slices in whole sessions: evaluated, compared, judged, stored and shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.conftest import Project, said
from tests.squares import HEAD, coco_folder

SETS = (
    HEAD
    + """
[suite.data.sets]
night = { images = "night", annotations = "night.json" }

[suite.slices]
camera = { by = "camera", least = 10 }
light = { by = "brightness", on = "night", edges = [30], least = 5 }

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map           = { min = 0.5, regression = 0.01 }
"map@night"   = { min = 0.9, regression = 0.01 }
map50         = { min = 0.9, on = "all" }
map75         = { min = 0.9, on = "worst" }
"map@camera"  = { min = 0.5 }
artifact_size = { max = "1 MB" }

[[recipe]]
name    = "same"
from    = "plain"
runtime = "moody"
[recipe.budgets]
agreement = { min = 0.9, on = "all" }
map       = { drop = 0.01, on = "camera" }
"""
)

INT8 = """
[[recipe]]
name    = "plain"
runtime = "onnxruntime"

[[recipe]]
name  = "int8"
from  = "plain"
steps = [{ quantize = "static", samples = 8 }]
[recipe.budgets]
artifact_size = { max = "1 MB" }
"""


def darken(folder: Path, name: str, keep: int) -> None:
    """Images `keep` and later become so dark that the network finds nothing in them."""
    from PIL import Image

    for file in (folder / name).iterdir():
        if int(file.stem) >= keep:
            pixels = np.asarray(Image.open(file))
            Image.fromarray((pixels * 0.3).astype(np.uint8)).save(file)


def with_cameras(file: Path) -> None:
    """Every fourth image is from camera 9, the others are from camera 7."""
    data = json.loads(file.read_text())
    for entry in data["images"]:
        entry["camera"] = 9 if entry["id"] % 4 == 0 else 7
    file.write_text(json.dumps(data))


def test_a_set_is_evaluated_judged_and_stored_apart(project: Project) -> None:
    """The validation images are green, the dark set is red; slices are of one evaluation, and the
    next session evaluates nothing again.
    """
    coco_folder(project.suite, "night", 24, seed=11)
    darken(project.suite, "night", 6)
    with_cameras(project.suite / "validation.json")
    project.write(SETS)
    result = project.run("--perf-update", page=True)
    assert project.verdicts() == {
        "plain-map": "NO BASELINE",
        "plain-map@night": "FAIL",
        "plain-map50@all": "FAIL",
        "plain-map75@worst": "FAIL",
        "plain-map@camera": "PASS",
        "plain-artifact_size": "PASS",
        "same-agreement@all": "PASS",
        "same-map@camera": "PASS",
    }
    said(result, "map@night is 0.", "min 0.9 is broken")
    (suite,) = project.sessions()[-1]["suites"]
    plain, same = suite["recipes"]
    night = plain["accuracy"]["sets"]["night"]
    assert (plain["accuracy"]["images"], night["images"]) == (40, 24)
    assert plain["accuracy"]["values"]["map"] > 0.9
    assert night["values"]["map"] < 0.5
    assert same["accuracy"]["sets"]["night"]["values"]["agreement"] == 1
    assert plain["accuracy"]["slices"]["camera"]["names"] == ["camera=7", "camera=9"]
    assert night["slices"]["light"]["names"] == ["brightness<30", "brightness>=30"]
    reasons = {verdict["metric"]: verdict["reason"] for verdict in suite["verdicts"]}
    assert "too small to judge" not in reasons["map@camera"]
    summary = {row["metric"]: row for row in suite["summaries"]["plain"]}
    assert summary["map@night"]["high"] > summary["map@night"]["low"]
    assert summary["map@worst"]["value"] == summary["map@night"]["value"]
    page = next((project.root / "reports").glob("2*.html")).read_text()
    assert "Sets and slices" in page
    assert "camera=9" in page

    project.run("-k", "plain-artifact")
    again = project.sessions()[-1]["suites"][0]["recipes"][0]["accuracy"]
    assert again["sets"]["night"]["seconds"] == night["seconds"]


def test_no_calibration_image_is_in_a_set(project: Project) -> None:
    """As none is among the validation images."""
    coco_folder(project.suite, "night", 8, seed=11)
    first = sorted((project.suite / "night").iterdir())[0]
    second = sorted((project.suite / "calibration").iterdir())[0]
    second.write_bytes(first.read_bytes())
    sets = '[suite.data.sets]\nnight = { images = "night", annotations = "night.json" }\n'
    project.write(HEAD + sets + INT8)
    result = project.run("-k", "int8")
    assert project.verdicts() == {"int8-artifact_size": "ERROR"}
    said(result, "1 of the calibration images are sets.night images too")

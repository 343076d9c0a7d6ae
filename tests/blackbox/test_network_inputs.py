"""Whole sessions of networks that take bytes channels last, and several inputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.networks import squares_of_bytes, squares_of_sizes, squares_of_yolo
from tests.squares import HEAD

OTHERS = """
[suite.input]
size = [64, 64]
[suite.input.others]
orig_target_sizes = { rule = "original_size", order = "wh" }
[suite.output]
decode = "rtdetr"
"""

OPENVINO = """
[[recipe]]
name    = "openvino"
from    = "plain"
runtime = "openvino"
[recipe.budgets]
agreement = { min = 0.9 }
"""

LETTERBOX = """
[suite.input]
size      = [64, 64]
resize    = "letterbox"
pad       = "around"
pad_value = 114
[suite.output]
decode = "ultralytics"
"""

PLAIN = """
[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map = { min = 0.5 }
"""

INT8 = """
[[recipe]]
name    = "int8"
from    = "plain"
steps   = [{ quantize = "static", samples = 8, op_types_to_quantize = ["Conv"] }]
[recipe.budgets]
agreement = { min = 0.9 }
parity    = { max = 0.2 }
"""


@pytest.fixture(autouse=True)
def libraries() -> None:
    """What these sessions run with."""
    pytest.importorskip("openvino", reason="python -m pip install 'pytest-perfgate[openvino]'")
    pytest.importorskip("hypothesis", reason="python -m pip install 'pytest-perfgate[parity]'")


def test_a_detector_of_bytes_goes_through_every_step(project: Project) -> None:
    """Without a key of its input: reference, another runtime, calibration, parity."""
    squares_of_bytes(project.suite / "squares.onnx")
    project.write(HEAD + PLAIN + OPENVINO + INT8)
    project.run()
    assert set(project.verdicts().values()) == {"PASS"}
    assert len(project.verdicts()) == 4


def widen(folder: Path, name: str) -> None:
    """Makes the pictures of a split, and their boxes, twice as wide."""
    from PIL import Image

    file = folder / f"{name}.json"
    coco = json.loads(file.read_text())
    for image in coco["images"]:
        path = folder / name / image["file_name"]
        with Image.open(path) as picture:
            picture.resize((2 * picture.width, picture.height), Image.Resampling.NEAREST).save(path)
        image["width"] *= 2
    for annotation in coco["annotations"]:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [2 * x, y, 2 * width, height]
    file.write_text(json.dumps(coco))


def test_a_detector_that_takes_sizes_goes_through_every_step(project: Project) -> None:
    """Boxes in pixels of the original picture, whose size is the second input; width first. It is
    there in calibration and in parity too.
    """
    squares_of_sizes(project.suite / "squares.onnx")
    for split in ("calibration", "validation"):
        widen(project.suite, split)
    project.write(HEAD + OTHERS + PLAIN + OPENVINO + INT8)
    project.run()
    assert set(project.verdicts().values()) == {"PASS"}
    assert len(project.verdicts()) == 4


def flatten(folder: Path) -> None:
    """Makes the pictures of the validation set 128 x 96: their upper three quarters, twice as
    large.
    """
    from PIL import Image

    file = folder / "validation.json"
    coco = json.loads(file.read_text())
    for image in coco["images"]:
        path = folder / "validation" / image["file_name"]
        with Image.open(path) as picture:
            part = picture.crop((0, 0, 64, 48))
            part.resize((128, 96), Image.Resampling.NEAREST).save(path)
        image["width"], image["height"] = 128, 96
    seen = [one for one in coco["annotations"] if one["bbox"][1] <= 48 - 16]
    for annotation in seen:
        annotation["bbox"] = [2 * side for side in annotation["bbox"]]
    coco["annotations"] = seen
    file.write_text(json.dumps(coco))


def test_an_export_of_yolo_sees_pictures_between_grey_borders(project: Project) -> None:
    """Without Python of the user's; its boxes are those of the picture."""
    squares_of_yolo(project.suite / "squares.onnx")
    flatten(project.suite)
    project.write(HEAD.replace("batch = 4\n", "") + LETTERBOX + PLAIN + OPENVINO)
    project.run()
    assert project.verdicts() == {"plain-map": "PASS", "openvino-agreement": "PASS"}
    scores = project.sessions()[-1]["suites"][0]["recipes"][0]["accuracy"]["values"]
    assert scores["map"] > 0.9  # 0.53 without the borders

"""A suite of the task `pose`, measured and judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Project, said

SIDE, STRIDE, BLOB = 64, 4, 12

RECIPES = """
[suite]
task  = "pose"
model = "blobs.onnx"

[suite.data]
validation = { images = "images", annotations = "keypoints.json", sigmas = [0.05, 0.05] }

[suite.output]
format = "heatmaps"
grid   = "centres"

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
oks_map = { min = 0.6 }

[[recipe]]
name    = "moody"
from    = "plain"
runtime = "moody"
[recipe.budgets]
oks_map     = { drop = 0.05 }
agreement   = { min = 0.95 }
score_shift = { max = 0.05 }
"""


def blobs(folder: Path) -> None:
    """Dark images with a red and a green square, and the middles of both as keypoints."""
    from PIL import Image

    random = np.random.default_rng(3)
    (folder / "images").mkdir()
    images, annotations = [], []
    for index in range(20):
        pixels = random.integers(0, 40, (SIDE, SIDE, 3), dtype=np.uint8)
        corners = [random.integers(2, 50, 2), random.integers(2, 50, 2)]
        triples: list[float] = []
        for channel, (x, y) in enumerate(corners):
            pixels[y : y + BLOB, x : x + BLOB, channel] = 255
            triples += [float(x) + BLOB / 2, float(y) + BLOB / 2, 2]
        Image.fromarray(pixels).save(folder / f"images/{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "width": SIDE, "height": SIDE})
        annotations.append(
            {
                "id": index,
                "image_id": index,
                "category_id": 1,
                "bbox": [0, 0, SIDE, SIDE],
                "iscrowd": 0,
                "keypoints": triples,
                "num_keypoints": 2,
            }
        )
    names = {"id": 1, "name": "pair", "keypoints": ["red", "green"], "skeleton": [[1, 2]]}
    tables = {"images": images, "annotations": annotations, "categories": [names]}
    (folder / "keypoints.json").write_text(json.dumps(tables))


def network(path: Path) -> None:
    """An ONNX graph whose heat maps are the means of red and green around each cell."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    chosen = np.zeros((2, 3, 1, 1), np.float32)
    chosen[0, 0] = chosen[1, 1] = 1.0
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool",
                ["x"],
                ["mean"],
                kernel_shape=[BLOB] * 2,
                strides=[STRIDE] * 2,
                pads=[STRIDE] * 4,
            ),
            helper.make_node("Conv", ["mean", "chosen"], ["maps"]),
        ],
        "blobs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["batch", 2, 16, 16])],
        [numpy_helper.from_array(chosen, "chosen")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)


def test_a_pose_network_is_judged_by_its_keypoints(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe without any height of a map is red by every metric, and its images are in the
    session with the keypoints of both sides and of the ground truth.
    """
    blobs(project.suite)
    network(project.suite / "blobs.onnx")
    project.write(RECIPES)
    monkeypatch.setenv("MOODY", "gives_zeros")
    monkeypatch.setenv("MOODY_STAGE", "evaluate")
    result = project.run(page=True)
    assert project.verdicts() == {
        "plain-oks_map": "PASS",
        "moody-oks_map": "FAIL",
        "moody-agreement": "FAIL",
        "moody-score_shift": "FAIL",
    }
    said(result, "recipe ", "oks_map")
    suite = project.sessions()[-1]["suites"][0]
    plain, moody = suite["recipes"]
    assert plain["accuracy"]["values"]["oks_map50"] > 0.9
    assert len(moody["worse"]) == 4
    for image in moody["worse"]:
        assert len(image["reference"][0]["points"]) == 2
        assert len(suite["thumbnails"][str(image["image"])]["objects"][0]["bones"]) == 1
    (page,) = (project.root / "reports").glob("2*.html")
    assert page.read_text().count("OKS of its objects fell by") == 4

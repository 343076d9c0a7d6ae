"""A session with a suite of each of the tasks `instances`, `oriented`, `panoptic` and `tracking`.

Pictures have a red and a green square, and each network is a tiny graph that sees them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.conftest import TEST, Project

SIDE, CELL = 64, 16
CELLS = SIDE // CELL
PICTURES, SEQUENCES, FRAMES = 40, 16, 4
NAMES = ("red", "green")

SUITE = """
[suite]
task  = "{task}"
model = "squares.onnx"
{tables}

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
{floors}

[[recipe]]
name    = "moody"
from    = "plain"
runtime = "moody"
[recipe.budgets]
{floors}
{bounds}
"""
COCO = '[suite.data]\nvalidation = { images = "images", annotations = "truth.json" }'
BESIDE = "agreement = { min = 0.9 }"
SHIFT = "score_shift = { max = 0.1 }"

Node = tuple[str, list[str], list[str], dict[str, Any]]
Pixels = npt.NDArray[np.uint8]
Corner = tuple[int, int]


def _save(path: Path, nodes: Sequence[Node], output: Any, **constants: Any) -> None:
    """A graph from `x`, pictures (N, 3, SIDE, SIDE), to one output of a type and a shape."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind, shape = output
    graph = helper.make_graph(
        [helper.make_node(kind, into, out, **more) for kind, into, out, more in nodes],
        "squares",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", kind, ["N", *shape])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def _detector(path: Path, *, angles: bool) -> None:
    """A column for each cell: its box, how red and how green it is, and with `angles` one of 0."""
    from onnx import TensorProto

    rows = 6 + angles
    chosen = np.zeros((rows, 3, 1, 1), np.float32)
    chosen[4, 0] = chosen[5, 1] = 1.0
    down, across = np.divmod(np.arange(CELLS**2), CELLS)
    boxes = np.zeros((1, rows, CELLS**2), np.float32)
    boxes[0, :4] = [
        (across + 0.5) * CELL,
        (down + 0.5) * CELL,
        [CELL] * CELLS**2,
        [CELL] * CELLS**2,
    ]
    pool = {"kernel_shape": [CELL] * 2, "strides": [CELL] * 2}
    nodes: list[Node] = [
        ("AveragePool", ["x"], ["mean"], pool),
        ("Conv", ["mean", "chosen"], ["cells"], {}),
        ("Reshape", ["cells", "flat"], ["columns"], {}),
        ("Add", ["columns", "boxes"], ["y"], {}),
    ]
    flat = np.array([0, rows, -1], np.int64)
    shape = (TensorProto.FLOAT, [rows, CELLS**2])
    _save(path, nodes, shape, chosen=chosen, flat=flat, boxes=boxes)


def _regions(path: Path) -> None:
    """Maps of red and green."""
    from onnx import TensorProto

    chosen = np.eye(3, dtype=np.float32)[:2, :, None, None]
    nodes: list[Node] = [("Conv", ["x", "chosen"], ["y"], {})]
    _save(path, nodes, (TensorProto.FLOAT, [2, SIDE, SIDE]), chosen=chosen)


def _codes(path: Path) -> None:
    """A map of 1000 * class + 1: ground, red, green."""
    from onnx import TensorProto

    chosen = np.zeros((3, 3, 1, 1), np.float32)
    chosen[1, 0] = chosen[2, 1] = 1.0
    nodes: list[Node] = [
        ("Conv", ["x", "chosen", "least"], ["scores"], {}),
        ("ArgMax", ["scores"], ["class"], {"axis": 1, "keepdims": 0}),
        ("Mul", ["class", "thousand"], ["thousands"], {}),
        ("Add", ["thousands", "one"], ["y"], {}),
    ]
    _save(
        path,
        nodes,
        (TensorProto.INT64, [SIDE, SIDE]),
        chosen=chosen,
        least=np.array([0.5, 0, 0], np.float32),
        thousand=np.array(1000, np.int64),
        one=np.array(1, np.int64),
    )


def _cells(count: int) -> list[tuple[Corner, Corner]]:
    """The left upper corners of both squares in each picture, never the same."""
    random = np.random.default_rng(3)
    places = [random.permutation(CELLS**2)[:2].tolist() for _ in range(count)]
    return [
        ((red % CELLS * CELL, red // CELLS * CELL), (green % CELLS * CELL, green // CELLS * CELL))
        for red, green in places
    ]


def _draw(file: Path, corners: Sequence[Corner]) -> None:
    from PIL import Image

    pixels: Pixels = np.full((SIDE, SIDE, 3), 20, np.uint8)
    for channel, (x, y) in enumerate(corners):
        pixels[y : y + CELL, x : x + CELL, channel] = 250
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def _pictures(folder: Path, count: int = PICTURES) -> list[tuple[Corner, Corner]]:
    places = _cells(count)
    for index, corners in enumerate(places):
        _draw(folder / f"images/{index}.png", corners)
    return places


def _coco(folder: Path, annotations: list[dict[str, Any]], categories: list[Any]) -> None:
    images = [
        {"id": index, "file_name": f"{index}.png", "width": SIDE, "height": SIDE}
        for index in range(PICTURES)
    ]
    tables = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "truth.json").write_text(json.dumps(tables))


def instances(folder: Path) -> str:
    """Squares as polygons."""
    annotations = []
    for image, corners in enumerate(_pictures(folder)):
        for kind, (x, y) in enumerate(corners):
            polygon = [x, y, x + CELL, y, x + CELL, y + CELL, x, y + CELL]
            box = {"bbox": [x, y, CELL, CELL], "area": CELL**2, "iscrowd": 0}
            own = {"id": len(annotations) + 1, "image_id": image, "category_id": kind + 1}
            annotations.append({**own, **box, "segmentation": [polygon]})
    _coco(folder, annotations, [{"id": row + 1, "name": name} for row, name in enumerate(NAMES)])
    _regions(folder / "squares.onnx")
    tables = COCO + '\n[suite.output]\ndecode = "regions"'
    floors = "mask_map = { min = 0.75 }"
    return SUITE.format(task="instances", tables=tables, floors=floors, bounds=f"{BESIDE}\n{SHIFT}")


def panoptic(folder: Path) -> str:
    """Squares are things, the ground is stuff."""
    from PIL import Image

    annotations: list[dict[str, Any]] = []
    (folder / "truth").mkdir()
    for image, corners in enumerate(_pictures(folder)):
        ids = np.full((SIDE, SIDE, 3), [1, 0, 0], np.uint8)
        for kind, (x, y) in enumerate(corners):
            ids[y : y + CELL, x : x + CELL] = [2 + kind, 0, 0]
        Image.fromarray(ids).save(folder / f"truth/{image}.png")
        segments = [{"id": row + 1, "category_id": row, "iscrowd": 0} for row in range(3)]
        annotations.append(
            {"image_id": image, "file_name": f"{image}.png", "segments_info": segments}
        )
    kinds = [(0, "ground", 0), (1, "red", 1), (2, "green", 1)]
    _coco(
        folder, annotations, [{"id": row, "name": name, "isthing": own} for row, name, own in kinds]
    )
    _codes(folder / "squares.onnx")
    tables = COCO + '\n[suite.output]\nformat = "encoded"'
    floors = (
        "pq = { min = 0.75 }\npq_things = { min = 0.75 }\nsq = { min = 0.75 }\nrq = { min = 0.75 }"
    )
    return SUITE.format(task="panoptic", tables=tables, floors=floors, bounds=BESIDE)


def oriented(folder: Path) -> str:
    """Squares in DOTA's text files."""
    (folder / "labels").mkdir()
    for image, corners in enumerate(_pictures(folder)):
        lines = [
            f"{x} {y} {x + CELL} {y} {x + CELL} {y + CELL} {x} {y + CELL} {name} 0"
            for name, (x, y) in zip(NAMES, corners, strict=True)
        ]
        (folder / f"labels/{image}.txt").write_text("\n".join(lines))
    _detector(folder / "squares.onnx", angles=True)
    tables = (
        '[suite.data.validation]\nimages = "images"\nlabels = "labels"\n'
        f"classes = {json.dumps(NAMES)}"
    )
    floors = "map = { min = 0.75 }\nmap50 = { min = 0.75 }"
    return SUITE.format(task="oriented", tables=tables, floors=floors, bounds=f"{BESIDE}\n{SHIFT}")


def tracking(folder: Path) -> str:
    """Two squares that stay, in MOTChallenge's folders."""
    for number in range(SEQUENCES):
        place = folder / f"sequences/{number:02d}"
        lines = []
        for frame in range(1, FRAMES + 1):
            corners = [(number % CELLS * CELL, 0), (0, 2 * CELL)]
            _draw(place / f"img1/{frame:06d}.png", corners)
            lines += [
                f"{frame},{own + 1},{x},{y},{CELL},{CELL},1,{own + 1},1"
                for own, (x, y) in enumerate(corners)
            ]
        (place / "gt").mkdir()
        (place / "gt/gt.txt").write_text("\n".join(lines))
    _detector(folder / "squares.onnx", angles=False)
    tables = (
        f'[suite.data.validation]\nsequences = "sequences"\nclasses = {json.dumps(NAMES)}\n'
        '[suite.output]\ndecode = "ultralytics"'
    )
    floors = "hota = { min = 0.5 }\nidf1 = { min = 0.5 }\nmota = { min = 0.5 }"
    return SUITE.format(task="tracking", tables=tables, floors=floors, bounds=f"{BESIDE}\n{SHIFT}")


def test_each_task_has_budgets_that_hold_and_break(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe whose outputs are all zero is red by every metric of its task."""
    suites = {make.__name__: make for make in (instances, oriented, panoptic, tracking)}
    for name, make in suites.items():
        folder = project.root / "suites" / name
        folder.mkdir()
        (folder / "recipes.toml").write_text(make(folder))
        (folder / f"test_{name}.py").write_text(TEST)
    monkeypatch.setenv("MOODY", "gives_zeros")
    monkeypatch.setenv("MOODY_STAGE", "evaluate")
    project.run(*(f"suites/{name}" for name in suites))
    sessions = project.sessions()[-1]["suites"]
    assert [suite["name"] for suite in sessions] == [*suites]
    for suite in sessions:
        verdicts = [(one["recipe"], one["metric"], one["status"]) for one in suite["verdicts"]]
        for recipe, metric, status in verdicts:
            right = "PASS" if recipe == "plain" else "FAIL"
            assert status == right, (suite["name"], recipe, metric, status)
        kinds = {recipe for recipe, _, _ in verdicts}
        assert kinds == {"plain", "moody"}

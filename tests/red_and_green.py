"""Pictures with a red and a green square, their truth for several tasks, and tiny networks that see
them. Nothing of it needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SIDE, CELL = 64, 16
CELLS = SIDE // CELL
PICTURES, SEQUENCES, FRAMES = 40, 16, 4
NAMES = ("red", "green")
GROUNDED = ("ground", *NAMES)

Node = tuple[str, list[str], list[str], dict[str, Any]]
Pixels = npt.NDArray[np.uint8]
Corner = tuple[int, int]


def _save(
    path: Path, nodes: Sequence[Node], output: Any, names: Sequence[str] = NAMES, **constants: Any
) -> None:
    """A graph from `x`, pictures (N, 3, SIDE, SIDE) in [0, 1], to one output of a type and a shape.

    It begins with a factor, as graphs do that normalise pixels, and its metadata names its classes.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind, shape = output
    constants["factor"] = np.array(1, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "factor"], ["pixels"]),
            *(helper.make_node(kind, into, out, **more) for kind, into, out, more in nodes),
        ],
        "squares",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", kind, ["N", *shape])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    helper.set_model_props(model, {"names": repr(dict(enumerate(names)))})
    onnx.save(model, path)


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
        ("AveragePool", ["pixels"], ["mean"], pool),
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
    nodes: list[Node] = [("Conv", ["pixels", "chosen"], ["y"], {})]
    _save(path, nodes, (TensorProto.FLOAT, [2, SIDE, SIDE]), chosen=chosen)


def _three() -> dict[str, Any]:
    """Weights of scores of ground, red and green."""
    chosen = np.zeros((3, 3, 1, 1), np.float32)
    chosen[1, 0] = chosen[2, 1] = 9.0
    return {"chosen": chosen, "least": np.array([4.5, 0, 0], np.float32)}


def _scores(path: Path) -> None:
    """Scores of ground, red and green."""
    from onnx import TensorProto

    nodes: list[Node] = [("Conv", ["pixels", "chosen", "least"], ["y"], {})]
    _save(path, nodes, (TensorProto.FLOAT, [3, SIDE, SIDE]), GROUNDED, **_three())


def _codes(path: Path) -> None:
    """A map of 1000 * class + 1: ground, red, green."""
    from onnx import TensorProto

    nodes: list[Node] = [
        ("Conv", ["pixels", "chosen", "least"], ["scores"], {}),
        ("ArgMax", ["scores"], ["class"], {"axis": 1, "keepdims": 0}),
        ("Mul", ["class", "thousand"], ["thousands"], {}),
        ("Add", ["thousands", "one"], ["y"], {}),
    ]
    _save(
        path,
        nodes,
        (TensorProto.INT64, [SIDE, SIDE]),
        GROUNDED,
        **_three(),
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


def instances(folder: Path) -> None:
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


def segmentation(folder: Path) -> None:
    """Masks of ids: ground, red, green; and their names, one a line."""
    from PIL import Image

    (folder / "masks").mkdir()
    for image, corners in enumerate(_pictures(folder)):
        ids = np.zeros((SIDE, SIDE), np.uint8)
        for kind, (x, y) in enumerate(corners):
            ids[y : y + CELL, x : x + CELL] = 1 + kind
        Image.fromarray(ids).save(folder / f"masks/{image}.png")
    (folder / "classes.txt").write_text("ground\nred\ngreen\n")
    _scores(folder / "squares.onnx")


def panoptic(folder: Path) -> None:
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
    categories = [{"id": row, "name": name, "isthing": thing} for row, name, thing in kinds]
    _coco(folder, annotations, categories)
    _codes(folder / "squares.onnx")


def oriented(folder: Path) -> None:
    """Squares in DOTA's text files."""
    (folder / "labels").mkdir()
    for image, corners in enumerate(_pictures(folder)):
        lines = [
            f"{x} {y} {x + CELL} {y} {x + CELL} {y + CELL} {x} {y + CELL} {name} 0"
            for name, (x, y) in zip(NAMES, corners, strict=True)
        ]
        (folder / f"labels/{image}.txt").write_text("\n".join(lines))
    _detector(folder / "squares.onnx", angles=True)


def tracking(folder: Path) -> None:
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

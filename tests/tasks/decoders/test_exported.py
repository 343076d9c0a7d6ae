"""Detectors that other projects export: every output convention says the same boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError
from pytest_perfgate.suite.reading import read
from pytest_perfgate.tasks.detection import Detection, Input, Output

from tests.sources.graphs import IMAGES
from tests.squares import SIDE, coco_folder

CLASSES = 4


def stages(decode: str, **options: Any) -> Any:
    """The pipeline with that decoder."""
    output = {"decode": decode, "options": options, "score_threshold": 0.25}
    return Detection().pipeline(Input(), Output.model_validate(output))


def found(decode: str, outputs: Sequence[Any], **options: Any) -> list[tuple[Any, float, int]]:
    """Boxes, scores and classes of one image of 64 x 96, best first."""
    built = stages(decode, **options)
    _, meta = built.preprocess([np.zeros((64, 96, 3), np.uint8)])
    (prediction,) = built.postprocess(tuple(outputs), meta)
    order = np.lexsort((prediction.boxes[:, 0], -prediction.scores))
    return [
        (
            np.round(prediction.boxes[row], 2).tolist(),
            float(prediction.scores[row]),
            int(prediction.categories[row]),
        )
        for row in order
    ]


def centred(boxes: Any) -> Any:
    """Corners (M, 4) as centre, width and height."""
    return np.concatenate(
        [(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1
    ).astype(np.float32)


def encoded(name: str, boxes: Any, scores: Any) -> tuple[Any, ...]:
    """Boxes (M, 4) and scores (M, C), one class above the threshold each, in a convention."""
    best, classes = scores.max(axis=1), scores.argmax(axis=1)
    if name == "boxes_scores":
        return boxes[None], scores[None]
    if name == "ultralytics":
        return (np.concatenate([centred(boxes), scores], axis=1).T[None],)
    if name == "yolov5":
        chance = np.full((len(boxes), 1), 0.9, np.float32)
        return (np.concatenate([centred(boxes), chance, scores / 0.9], axis=1)[None],)
    if name == "ultralytics_nms":
        rows = np.concatenate([boxes, best[:, None], classes[:, None]], axis=1)
        return (np.concatenate([rows, np.zeros((3, 6))])[None].astype(np.float32),)
    if name == "mmdeploy_nms":
        return np.concatenate([boxes, best[:, None]], axis=1)[None], classes[None]
    logits = np.log(np.concatenate([scores, 1 - scores.sum(1, keepdims=True)], axis=1))
    if name == "detr_sigmoid":
        logits = np.log(scores / (1 - scores))
    return logits[None], (centred(boxes) / np.array([96, 64, 96, 64], np.float32))[None]


NAMES = ("ultralytics", "yolov5", "ultralytics_nms", "mmdeploy_nms", "detr", "detr_sigmoid")


def decoder(name: str) -> tuple[str, dict[str, Any]]:
    """A decoder's name and options."""
    return ("detr", {"activation": "sigmoid"}) if name == "detr_sigmoid" else (name, {})


@pytest.mark.parametrize("name", NAMES)
@given(
    objects=st.lists(
        st.tuples(
            st.integers(0, 5), st.integers(0, 3), st.integers(0, CLASSES - 1), st.floats(0.3, 0.9)
        ),
        max_size=8,
        unique_by=lambda box: box[:2],
    )
)
@settings(max_examples=40, deadline=None)
def test_every_convention_says_the_same_boxes(
    name: str, objects: list[tuple[int, int, int, float]]
) -> None:
    """Objects on a grid, which overlap nowhere, come back whatever the layout."""
    boxes = np.array(
        [[x * 16 + 1, y * 16 + 2, x * 16 + 13, y * 16 + 15] for x, y, *_ in objects], np.float32
    ).reshape(-1, 4)
    scores = np.full((len(objects), CLASSES), 0.02, np.float32)
    for row, (_, _, category, score) in enumerate(objects):
        scores[row, category] = score
    wanted = found("boxes_scores", encoded("boxes_scores", boxes, scores))
    decode, options = decoder(name)
    got = found(decode, encoded(name, boxes, scores), **options)
    assert len(got) == len(wanted) == len(objects)
    for ours, other in zip(got, wanted, strict=True):
        assert ours[2] == other[2] or abs(ours[1] - other[1]) < 1e-5
        assert ours[1] == pytest.approx(other[1], abs=1e-5)
    for box, _, _ in got:
        assert min(np.abs(np.array(box) - np.array(other[0])).max() for other in wanted) < 0.05


@pytest.mark.parametrize("name", ["boxes_scores", *NAMES])
def test_classes_that_the_data_does_not_know_are_left_out(name: str) -> None:
    """A network of four classes on data of two: `classes` says which, and in which order."""
    boxes = np.array([[0, 0, 8, 8], [20, 0, 28, 8], [40, 0, 48, 8]], np.float32)
    scores = np.full((3, CLASSES), 0.02, np.float32)
    scores[[0, 1, 2], [3, 1, 0]] = [0.8, 0.7, 0.6]
    decode, options = decoder(name)
    got = found(decode, encoded(name, boxes, scores), classes=(0, 3), **options)
    assert [category for *_, category in got] == [1, 0]
    assert [box[0] for box, *_ in got] == [0, 40]


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("ultralytics", [(1, 4, 9)]),
        ("ultralytics", [(1, 8)]),
        ("yolov5", [(1, 9, 5)]),
        ("ultralytics_nms", [(1, 9, 7)]),
        ("mmdeploy_nms", [(1, 9, 5)]),
        ("mmdeploy_nms", [(1, 9, 5), (1, 8)]),
        ("detr", [(1, 9, 4), (1, 8, 4)]),
        ("detr", [(1, 9, 4), (1, 9, 5)]),
    ],
)
def test_outputs_of_another_shape_are_an_error(name: str, shapes: list[tuple[int, ...]]) -> None:
    """It names the shapes, the decoder and what it takes."""
    with pytest.raises(DataError) as caught:
        found(name, [np.zeros(shape, np.float32) for shape in shapes])
    assert str(shapes[0]) in caught.value.problem
    assert name in caught.value.where
    assert "N" in caught.value.valid


@pytest.mark.parametrize("name", ["ultralytics", "yolov5"])
def test_a_segmentation_export_is_named(name: str) -> None:
    """Its mask coefficients would be classes. With the classes named, its boxes are scored."""
    boxes = np.array([[0, 0, 8, 8]], np.float32)
    scores = np.array([[0.1, 0.9, 0.1, 0.1]], np.float32)
    (rows,) = encoded(name, boxes, scores)
    axis = 1 if name == "ultralytics" else 2
    shape = (1, 32, 1) if axis == 1 else (1, 1, 32)
    rows = np.concatenate([rows, np.full(shape, 0.7, np.float32)], axis=axis)
    outputs = [rows, np.zeros((1, 32, 16, 16), np.float32)]
    with pytest.raises(DataError, match=r"segmentation export: .* 36 columns .* last 32") as caught:
        found(name, outputs)
    assert "classes = [0, ..., 3]" in caught.value.next_step
    assert [category for *_, category in found(name, outputs, classes=(0, 1, 2, 3))] == [1]


@pytest.mark.parametrize("name", ["boxes_scores", *NAMES[:4]])  # detr makes scores of any logits
def test_scores_beyond_1_are_of_another_convention(name: str) -> None:
    """Logits, or pixels where scores are looked for; a step of quantization beyond 1 is none."""
    boxes = np.array([[0, 0, 8, 8], [20, 0, 28, 8]], np.float32)
    scores = np.full((2, CLASSES), 0.02, np.float32)
    scores[[0, 1], [1, 2]] = [1.01, 7.0]
    with pytest.raises(DataError, match=r"scores go from .* to 7") as caught:
        found(name, encoded(name, boxes, scores))
    assert caught.value.valid == "0 to 1"
    scores[1, 2] = 0.5
    assert len(found(name, encoded(name, boxes, scores))) == 2


def test_a_class_that_the_network_lacks_is_an_error() -> None:
    """Before anything is scored by it."""
    with pytest.raises(DataError, match="no class 4"):
        found("ultralytics", [np.zeros((1, 8, 3), np.float32)], classes=(0, 4))


def graph(path: Path, name: str) -> None:
    """The detector of bright squares, its outputs as the convention has them; a suppression in the
    graph is ONNX's own operator.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from tests.squares import squares_model

    squares_model(path)
    model = onnx.load(path)
    node, nodes, constants = helper.make_node, model.graph.node, model.graph.initializer
    del model.graph.output[:]

    def constant(called: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.array(value), called))
        return called

    def output(called: str, kind: int, shape: list[Any]) -> None:
        model.graph.output.append(helper.make_tensor_value_info(called, kind, shape))

    halves = constant(
        "halves", np.float32([[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]])
    )
    if name in {"ultralytics", "yolov5", "detr"}:
        nodes.append(node("MatMul", ["boxes", halves], ["centred"]))
    if name == "ultralytics":
        nodes.append(node("Concat", ["centred", "scores"], ["rows"], axis=2))
        nodes.append(node("Transpose", ["rows"], ["output0"], perm=[0, 2, 1]))
        output("output0", TensorProto.FLOAT, ["batch", 5, "anchors"])
    elif name == "yolov5":
        nodes.append(node("Div", ["scores", "scores"], ["ones"]))
        nodes.append(node("Concat", ["centred", "scores", "ones"], ["output0"], axis=2))
        output("output0", TensorProto.FLOAT, ["batch", "anchors", 6])
    elif name == "detr":
        nodes.append(node("Div", ["centred", constant("side", np.float32(SIDE))], ["pred_boxes"]))
        nodes.append(node("Sub", [constant("one", np.float32(1)), "scores"], ["nothing"]))
        nodes.append(node("Concat", ["scores", "nothing"], ["chances"], axis=2))
        nodes.append(node("Log", ["chances"], ["logits"]))
        output("logits", TensorProto.FLOAT, ["batch", "anchors", 2])
        output("pred_boxes", TensorProto.FLOAT, ["batch", "anchors", 4])
    else:  # one image, suppressed in the graph
        nodes.append(node("Transpose", ["scores"], ["by_class"], perm=[0, 2, 1]))
        limits = [constant(*pair) for pair in (("most", [100]), ("iou", np.float32([0.6])))]
        floor = constant("floor", np.float32([0.25]))
        nodes.append(node("NonMaxSuppression", ["boxes", "by_class", *limits, floor], ["chosen"]))
        nodes.append(node("Gather", ["chosen", constant("last", 2)], ["anchors"], axis=1))
        nodes.append(node("Gather", ["boxes", "anchors"], ["kept_boxes"], axis=1))
        nodes.append(node("Gather", ["scores", "anchors"], ["kept_scores"], axis=1))
        nodes.append(node("Concat", ["kept_boxes", "kept_scores"], ["dets"], axis=2))
        nodes.append(node("Gather", ["chosen", constant("middle", [1])], ["class_column"], axis=1))
        nodes.append(node("Transpose", ["class_column"], ["labels"], perm=[1, 0]))
        if name == "mmdeploy_nms":
            output("dets", TensorProto.FLOAT, [1, "kept", 5])
            output("labels", TensorProto.INT64, [1, "kept"])
        else:
            nodes.append(node("Cast", ["class_column"], ["column"], to=TensorProto.FLOAT))
            nodes.append(node("Unsqueeze", ["column", constant("front", [0])], ["classes"]))
            nodes.append(node("Concat", ["dets", "classes"], ["output0"], axis=2))
            output("output0", TensorProto.FLOAT, [1, "kept", 6])
    onnx.checker.check_model(model)
    onnx.save(model, path)


@pytest.mark.parametrize(
    "name", ["ultralytics", "yolov5", "ultralytics_nms", "mmdeploy_nms", "detr"]
)
def test_a_graph_of_that_shape_scores_as_the_plain_one(name: str, tmp_path: Path) -> None:
    """The same detector, exported in another convention, has the same mean average precision."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'pytest-perfgate[onnx]'")
    from tests.squares import squares_model

    coco_folder(tmp_path, "validation", 12, seed=2)
    task = Detection()
    source = {"images": "validation", "annotations": "validation.json"}
    data = task.load(source, tmp_path, tmp_path)
    squares_model(tmp_path / "plain.onnx")
    graph(tmp_path / "other.onnx", name)

    def score(file: str, decode: str) -> float:
        session = onnxruntime.InferenceSession(
            str(tmp_path / file), providers=["CPUExecutionProvider"]
        )
        built = stages(decode)
        predictions = []
        for image in data.images:
            inputs, meta = built.preprocess([image])
            outputs = tuple(session.run(None, {"x": inputs.images}))
            predictions += built.postprocess(outputs, meta)
        return float(task.evaluate(data, predictions).values["map"])

    plain = score("plain.onnx", "boxes_scores")
    assert plain > 0.3
    assert score("other.onnx", name) == pytest.approx(plain, abs=1e-6)


def test_a_decoders_options_are_checked_when_the_suite_is_read(tmp_path: Path) -> None:
    """Before any work."""
    (tmp_path / "x.onnx").write_bytes(IMAGES)
    (tmp_path / "recipes.toml").write_text(
        '[suite]\ntask = "detection"\nmodel = "x.onnx"\n'
        '[suite.data]\nvalidation = "a:b"\n'
        '[suite.output]\ndecode = "detr"\noptions = { activation = "relu" }\n'
        '[[recipe]]\nname = "plain"\nruntime = "onnxruntime"\n'
    )
    read_ = read(tmp_path / "recipes.toml", tmp_path)
    said = "\n".join(str(problem) for problem in read_.suite_problems)
    assert "activation" in said
    assert "sigmoid" in said

"""Small ONNX graphs that take what deployed networks take: bytes, channels last, further inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def save_graph(path: Path, inputs: Sequence[Any], nodes: Sequence[Any], **weights: Any) -> Path:
    """An ONNX file with one output `y`; `inputs` are names, types and shapes."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        list(nodes),
        "graph",
        [
            helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)
            for name, kind, shape in inputs
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    model = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opsets, ir_version=9)
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def bytes_graph(path: Path, *, side: int = 8) -> Path:
    """Bytes (N, H, W, 3) to the mean of each quarter and channel on the scale 0 to 1, convolved:
    (N, 2, 4, 4).
    """
    from onnx import TensorProto, helper

    node = helper.make_node
    return save_graph(
        path,
        [("pixels", "UINT8", ["N", side, side, 3])],
        [
            node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT),
            node("Mul", ["cast", "per"], ["unit"]),
            node("Transpose", ["unit"], ["x"], perm=[0, 3, 1, 2]),
            node("Conv", ["x", "w"], ["y"], strides=[2, 2], kernel_shape=[2, 2], name="conv"),
        ],
        per=np.array(1 / 255, np.float32),
        w=np.linspace(-1, 1, 2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2),
    )


def sized_graph(path: Path, *, side: int = 8) -> Path:
    """Images and sizes: the convolved image (N, 2, h, w) times each image's height over its width,
    plus a constant.
    """
    from onnx import TensorProto, helper

    node = helper.make_node
    return save_graph(
        path,
        [
            ("sizes", "INT64", ["N", 2]),
            ("image", "FLOAT", ["N", 3, side, side]),
            ("offset", "FLOAT", [1]),
        ],
        [
            node("Cast", ["sizes"], ["float_sizes"], to=TensorProto.FLOAT),
            node("Split", ["float_sizes"], ["h", "w"], axis=1, num_outputs=2),
            node("Div", ["h", "w"], ["ratio"]),
            node("Unsqueeze", ["ratio", "axes"], ["factor"]),
            node("Conv", ["image", "k"], ["conv"], strides=[2, 2], kernel_shape=[2, 2], name="c"),
            node("Mul", ["conv", "factor"], ["scaled"]),
            node("Add", ["scaled", "offset"], ["y"]),
        ],
        axes=np.array([2, 3], np.int64),
        k=np.linspace(-1, 1, 2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2),
    )


def squares_of_bytes(path: Path) -> None:
    """Makes the detector of squares at `path` take bytes (N, 64, 64, 3)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph, node = model.graph, helper.make_node
    side = graph.input[0].type.tensor_type.shape.dim[2].dim_value
    graph.input[0].CopyFrom(
        helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", side, side, 3])
    )
    graph.initializer.append(numpy_helper.from_array(np.array(1 / 255, np.float32), "per"))
    front = [
        node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT),
        node("Mul", ["cast", "per"], ["unit"]),
        node("Transpose", ["unit"], ["x"], perm=[0, 3, 1, 2]),
    ]
    nodes = [*front, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def squares_of_yolo(path: Path) -> None:
    """Makes the detector of squares at `path` an export of YOLO for one picture: `images`
    (1, 3, 64, 64) to `output0` (1, 4 + 1, A), centre, size and score of each place.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph, node = model.graph, helper.make_node
    places = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    for one in graph.node:
        for number, name in enumerate(one.input):
            if name == "x":
                one.input[number] = "images"
    graph.input[0].name = "images"
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    middle = [[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]]
    graph.initializer.append(numpy_helper.from_array(np.float32(middle), "middle"))
    graph.node.extend(
        [
            node("MatMul", ["boxes", "middle"], ["centred"]),
            node("Concat", ["centred", "scores"], ["rows"], axis=2),
            node("Transpose", ["rows"], ["output0"], perm=[0, 2, 1]),
        ]
    )
    del graph.output[:]
    shape = [1, 5, places]
    graph.output.append(helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def squares_of_sizes(path: Path) -> None:
    """Makes the detector of squares at `path` an export of RT-DETR: it takes `orig_target_sizes`
    (N, 2), width first, and gives labels (N, Q), boxes (N, Q, 4) in such pixels, and scores (N, Q).
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph, node = model.graph, helper.make_node
    side = graph.input[0].type.tensor_type.shape.dim[2].dim_value
    graph.input.append(
        helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["batch", 2])
    )
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(1 / side, np.float32), "per_side"),
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
            numpy_helper.from_array(np.array([2], np.int64), "columns"),
        ]
    )
    (last,) = (one for one in graph.node if "boxes" in one.output)
    last.output[0] = "in_network"
    (scores,) = (one for one in graph.node if "scores" in one.output)
    scores.output[0] = "column"
    boxes = graph.output[0]
    rows = ["batch", boxes.type.tensor_type.shape.dim[1].dim_value]
    listed = [helper.make_tensor_value_info("labels", TensorProto.INT64, rows), boxes]
    listed.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, rows))
    del graph.output[:]
    graph.output.extend(listed)
    graph.node.extend(
        [
            node("Cast", ["orig_target_sizes"], ["sizes"], to=TensorProto.FLOAT),
            node("Concat", ["sizes", "sizes"], ["corners_sizes"], axis=1),
            node("Mul", ["corners_sizes", "per_side"], ["factors"]),
            node("Unsqueeze", ["factors", "axis"], ["factor"]),
            node("Mul", ["in_network", "factor"], ["boxes"]),
            node("Squeeze", ["column", "columns"], ["scores"]),
            node("Sub", ["scores", "scores"], ["nothing"]),
            node("Cast", ["nothing"], ["labels"], to=TensorProto.INT64),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)

"""A recurrent network that says whether a clip becomes brighter, and its clips.

One frame says nothing of it: the network compares each with the first, which its state holds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pytest_perfgate.tasks.clip_classification.data import ClipData

SIDE = 16
CLASSES = ("brighter", "darker")

SUITE = """\
[suite]
task  = "clip_classification"
model = "clips.onnx"
[suite.data]
calibration = { clips = "calibration" }
validation  = { clips = "validation" }
[suite.state]
first_out = "first"
known_out = "known"

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
accuracy                = { min = 0.9 }
frame_latency_p50       = { max = "1 s" }
first_frame_latency_p50 = { max = "1 s" }
"""


def clips_model(path: Path, *, width: int = 1, states_first: bool = False) -> None:
    """An ONNX graph: images and the state (the first frame's mean, and whether there is one) to
    scores of `CLASSES` and the next state. `width` of the state's output is 1 where it is right.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node
    nodes = [
        node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        node("Unsqueeze", ["mean", "last"], ["column"]),
        node("Sub", ["one", "known"], ["fresh"]),
        node("Mul", ["known", "first"], ["kept"]),
        node("Mul", ["fresh", "column"], ["begun"]),
        node("Add", ["kept", "begun"], ["start"]),
        node("Sub", ["column", "start"], ["rise"]),
        node("Mul", ["rise", "gain"], ["scores"]),
        node("Concat", ["start"] * width, ["first_out"], axis=1),
        node("Add", ["known", "fresh"], ["known_out"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "last": np.array([1], np.int64),
        "one": np.array(1, np.float32),
        "gain": np.array([[20.0, -20.0]], np.float32),
    }
    tensor, kind = helper.make_tensor_value_info, TensorProto.FLOAT
    states = [tensor("first_out", kind, ["N", width]), tensor("known_out", kind, ["N", 1])]
    scores = [tensor("scores", kind, ["N", 2])]
    graph = helper.make_graph(
        nodes,
        "clips",
        [
            tensor("x", kind, ["N", 3, SIDE, SIDE]),
            tensor("first", kind, ["N", 1]),
            tensor("known", kind, ["N", 1]),
        ],
        states + scores if states_first else scores + states,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def clip(rise: int, frames: int, seed: int) -> list[npt.NDArray[np.uint8]]:
    """Noise that becomes brighter or darker by `rise` in all, from a level of its own."""
    random = np.random.default_rng(seed)
    level = 70 + seed * 57 % 120
    noise = random.integers(-20, 20, (SIDE, SIDE, 3))
    return [
        (level + noise + rise * frame // max(1, frames - 1)).clip(0, 255).astype(np.uint8)
        for frame in range(frames)
    ]


def clip_data(count: int = 10, frames: int = 5, seed: int = 0) -> ClipData:
    """Clips of both classes in turn."""
    clips = [clip(-40 if number % 2 else 40, frames, seed + number) for number in range(count)]
    return ClipData(
        [frame for one in clips for frame in one],
        [frames] * count,
        [number % 2 for number in range(count)],
        CLASSES,
    )


def clip_folder(folder: Path, count: int = 10, frames: int = 5, seed: int = 0) -> None:
    """The same as files: `CLASS/CLIP/000001.png`."""
    from PIL import Image

    data = clip_data(count, frames, seed)
    for number, label in enumerate(data.labels):
        place = folder / CLASSES[label] / f"clip{number}"
        place.mkdir(parents=True)
        for frame in range(frames):
            image = Image.fromarray(data.images[number * frames + frame])
            image.save(place / f"{frame + 1:06d}.png")

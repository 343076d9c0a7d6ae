"""`pytest-perfgate init` for masks, segments, keypoints, rotated boxes, tracks and clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import Artifact
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.cli.init_data import read_data
from pytest_perfgate.cli.main import main
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.suite.metrics import task_of
from pytest_perfgate.workloads.frame_order import FrameRun, starts_of

from tests import clips, red_and_green
from tests.blackbox import test_pose as poses
from tests.cli.test_init import suite_of
from tests.cli.test_init_data import fill

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[detection]'")


def keypoints(folder: Path) -> None:
    """Two keypoints of each picture, and a network with a heat map for each."""
    poses.blobs(folder)
    poses.network(folder / "squares.onnx")
    model = onnx.load(folder / "squares.onnx")
    model.graph.node[0].input[0] = "pixels"
    model.graph.node.insert(0, onnx.helper.make_node("Mul", ["x", "factor"], ["pixels"]))
    factor = onnx.numpy_helper.from_array(np.array(1, np.float32), "factor")
    model.graph.initializer.append(factor)  # as graphs have that normalise pixels
    onnx.save(model, folder / "squares.onnx")


def moving(folder: Path) -> None:
    """Clips that become brighter or darker, and a network with states."""
    clips.clip_folder(folder / "data" / "train", 4, seed=50)
    clips.clip_folder(folder / "data" / "val", 10)
    clips.clips_model(folder / "squares.onnx")


def scores(suite: Suite) -> Mapping[str, float]:
    """Of the suite's model on its validation split, by the stages that the suite declares."""
    own, task = SuiteData(suite), task_of(suite.task)
    data = own.split("validation")
    runtime = OnnxRuntime()
    file = Artifact("onnx", path=suite.folder / suite.model.name)
    session = runtime.open(file, runtime.Options(), OpenContext(1, Path()))
    run, starts = FrameRun(own.declared, session), starts_of(task, data)
    predictions: list[Any] = []
    for index, image in enumerate(data.images):
        predictions += run.step([image], begins=int(index in starts)).predictions
    return task.evaluate(data, predictions).values


@pytest.mark.parametrize(
    ("make", "task", "score", "data"),
    [
        (red_and_green.segmentation, "segmentation", "miou", "."),
        (red_and_green.instances, "instances", "mask_map", "."),
        (red_and_green.panoptic, "panoptic", "pq", "."),
        (red_and_green.oriented, "oriented", "map", "."),
        (keypoints, "pose", "oks_map", "."),
        (red_and_green.tracking, "tracking", "hota", "sequences"),
        (moving, "clip_classification", "accuracy", "data"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_folder_of_each_task_becomes_a_suite(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], None],
    task: str,
    score: str,
    data: str,
) -> None:
    """It reads without a problem, its splits share no image, and the network, read as the suite
    says, scores on the truth of the folder. What was guessed is said.
    """
    monkeypatch.chdir(tmp_path)
    make(tmp_path)
    assert main(["init", "--model", "squares.onnx", "--data", data]) == 0
    said = capsys.readouterr().out
    suite = suite_of(tmp_path, "squares")
    assert suite.task == task
    assert f"task         {task}" in said
    values = scores(suite)
    assert values[score] > 0.75, (suite.output, values)
    budgets = {one.metric for one in suite.recipes["fp32"].budgets}
    assert score in budgets
    frames = task in {"tracking", "clip_classification"}
    assert ("frame_latency_p50" in budgets) == frames
    assert ("latency_p50" in budgets) != frames
    own = SuiteData(suite)
    if task == "tracking":
        assert "none is left to calibrate with" in said
        assert "int8" not in suite.recipes
    else:
        shared = {*own.split("calibration").digests} & {*own.split("validation").digests}
        assert not shared


def test_black_and_white_masks_with_ends_of_their_own(tmp_path: Path) -> None:
    """255 is the second class, and no pixel is ignored; names of masks may end otherwise."""
    fill(tmp_path, *(f"images/{index}_rgb.jpg" for index in range(8)))
    (tmp_path / "masks").mkdir()
    for index in range(8):
        mask = np.array([[0, 255], [255, 0]], np.uint8)
        Image.fromarray(mask).save(tmp_path / f"masks/{index}_gt.png")
    data = read_data(tmp_path)
    assert data.tasks == ("segmentation",)
    assert data.truth == {
        "masks": tmp_path / "masks",
        "image_suffix": "rgb.jpg",
        "mask_suffix": "gt.png",
        "ids": [0, 255],
        "ignore_index": [],
    }
    assert len(data.classes) == 2
    assert "names of the classes" in data.unknown[0]


def test_masks_in_colours_are_said_to_need_a_palette(tmp_path: Path) -> None:
    """Nothing says which colour is which class."""
    fill(tmp_path, *(f"{name}/{index}.png" for name in ("images", "masks") for index in range(8)))
    data = read_data(tmp_path)
    assert data.tasks == ()
    assert any("palette = [[r, g, b], ...]" in note for note in data.notes)


def test_a_folder_of_nothing_known_says_what_was_looked_for(tmp_path: Path) -> None:
    """Each layout by what its files are called."""
    fill(tmp_path, *(f"images/{index}.png" for index in range(8)))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("a cat\n")
    data = read_data(tmp_path)
    assert data.tasks == ()
    notes = " ".join(data.notes)
    for words in (
        "labels/ is not read",
        "looked for: COCO's JSON",
        "SEQUENCE/img1/",
        "labelTxt/",
        "YOLO's",
    ):
        assert words in notes


def test_held_out_folders_of_each_layout_are_scored(tmp_path: Path) -> None:
    """Splits above or below the folders; those of training calibrate."""
    for split, count in (("train", 6), ("val", 4)):
        fill(tmp_path / "above", *(f"{split}/images/{index}.png" for index in range(count)))
        (tmp_path / "above" / split / "labelTxt").mkdir()
        for index in range(count):
            line = f"0 0 {index + 2} 0 2 2 0 2 ship 0"
            (tmp_path / "above" / split / f"labelTxt/{index}.txt").write_text(line)
        fill(tmp_path / "below", *(f"images/{split}/{index}.png" for index in range(count)))
        (tmp_path / "below" / "masks" / split).mkdir(parents=True)
        for index in range(count):
            mask = Image.fromarray(np.full((4, 4), index % 3, np.uint8))
            mask.save(tmp_path / "below" / "masks" / split / f"{index}.png")
    above, below = read_data(tmp_path / "above"), read_data(tmp_path / "below")
    assert (above.tasks, above.classes) == (("oriented",), ("ship",))
    assert above.truth == {"labels": tmp_path / "above" / "val" / "labelTxt"}
    assert below.tasks == ("segmentation",)
    assert below.truth["masks"] == tmp_path / "below" / "masks" / "val"
    for data in (above, below):
        assert data.validation.whole
        assert len(data.validation.names) == 4
        assert data.calibration is not None
        assert "train" in data.calibration.folder.parts[-2:][0] + data.calibration.folder.name


def test_sequences_without_truth_calibrate_those_with_it(tmp_path: Path) -> None:
    """As in MOTChallenge, whose folder `test` has none; classes are pedestrians."""
    red_and_green.tracking(tmp_path)
    (tmp_path / "sequences").rename(tmp_path / "train")
    for file in (tmp_path / "train").glob("*/gt/gt.txt"):
        file.write_text("1,1,0,0,16,16,1,1,1\n1,2,0,0,16,16,0,8,1\n")
    fill(tmp_path / "test" / "00" / "img1", "000001.png", "000002.png")
    data = read_data(tmp_path, "tracking")
    assert (data.tasks, data.classes, data.truth) == (("tracking",), ("pedestrian",), {})
    assert data.validation.folder == tmp_path / "train"
    assert data.calibration is not None
    assert (data.calibration.folder, data.calibration.key) == (tmp_path / "test", "sequences")

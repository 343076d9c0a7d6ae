"""The task of clips: one class a clip, its scores and its data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.clip_classification import ClipClassification, Output
from pytest_perfgate.tasks.clip_classification.data import ClipData, ClipScores
from pytest_perfgate.tasks.pixels.input_options import Input

from tests.clips import CLASSES, SIDE, clip_data, clip_folder

TASK = ClipClassification()


def called(frames: list[list[float]]) -> list[ClipScores]:
    """Predictions of one clip."""
    return [ClipScores(np.array(row, np.float32), number) for number, row in enumerate(frames)]


def test_the_last_frame_speaks_for_its_clip() -> None:
    """Two clips of two and three frames; scores are per clip, and so is their uncertainty."""
    image = np.zeros((2, 2, 3), np.uint8)
    data = ClipData([image + number for number in range(5)], [2, 3], [0, 1], CLASSES)
    right = called([[0, 1], [1, 0]]) + called([[1, 0], [1, 0], [0, 1]])
    accuracy = TASK.evaluate(data, right)
    assert accuracy.values["accuracy"] == 1.0
    assert accuracy.images == 2
    assert accuracy.ratios["accuracy"].numerator.shape == (2,)
    assert any("intervals rest on 2 sequences" in note for note in accuracy.notes)
    point = Output(operating_point={"score": 0.5})
    assert set(TASK.score_at(data, right, point)) >= {"coverage", "confidence"}
    unlabelled = ClipData(data.images, data.sequences)
    assert TASK.score_at(unlabelled, right, point) == {}  # it ended with an error of numpy's
    other = called([[0, 1], [0.4, 0.6]]) + called([[0, 1], [0, 1], [0, 1]])
    assert TASK.evaluate(data, other).values["accuracy"] == 0.5
    sums = TASK.compare(TASK.pack(other), TASK.pack(right))
    assert sums["agreement"][0].tolist() == [0.0, 1.0]
    assert sums["score_shift"][0] == pytest.approx([0.6, 0.0])


def test_scores_of_a_clip_may_be_the_mean_over_its_frames() -> None:
    """Each sequence of a batch has a mean of its own, which a new clip does not inherit."""
    output = Output(activation="none", clip="mean")
    pipeline = TASK.pipeline(Input(), output)
    frames = [np.zeros((SIDE, SIDE, 3), np.uint8)] * 2
    for _ in range(2):
        pipeline.begin(2)
        _, meta = pipeline.preprocess(frames)
        first = pipeline.postprocess((np.array([[0.2, 0.8], [1.0, 0.0]]),), meta)
        second = pipeline.postprocess((np.array([[0.4, 0.6], [0.0, 1.0]]),), meta)
        assert [one.frame for one in first + second] == [0, 0, 1, 1]
        assert first[0].scores == pytest.approx([0.2, 0.8])
        assert second[0].scores == pytest.approx([0.3, 0.7])
        assert second[1].scores == pytest.approx([0.5, 0.5])


def test_a_folder_of_classes_of_clips(tmp_path: Path) -> None:
    """The frames are in the order of their numbers, and the data are those of a function."""
    clip_folder(tmp_path / "clips", 8, 3)
    data = TASK.load({"clips": "clips"}, tmp_path, tmp_path)
    assert list(data.sequences) == [3] * 8
    assert sorted(data.digests) == sorted(clip_data(8, 3).digests)
    assert data.classes == list(CLASSES)
    assert data.labels == [0] * 4 + [1] * 4
    assert not data.notes
    (tmp_path / "clips" / "darker" / "9.png").write_bytes(b"")
    (note,) = TASK.load({"clips": "clips"}, tmp_path, tmp_path).notes
    assert note == "left out of the files: 1 in no folder of a clip (the first: 9.png)"
    bare = TASK.load({"clips": "clips/darker", "labels": False}, tmp_path, tmp_path)
    assert (list(bare.sequences), bare.classes) == ([3] * 4, ())


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("remove", ("clip0", "frames 1 to 12 1 are missing (10)", "a gap")),
        ("double", ("000001.jpg and 000001.png are both frame 1",)),
        ("name", ("'cover.png' has no number", "000001.jpg")),
        ("empty", ("there are no frames", "clip0")),
    ],
)
def test_frames_that_do_not_follow_each_other_are_refused(
    tmp_path: Path, change: str, parts: tuple[str, ...]
) -> None:
    """The message names the folder, the frames, and what is valid."""
    clip_folder(tmp_path / "clips", 2, 12)
    clip = tmp_path / "clips" / "brighter" / "clip0"
    frame = clip / "000010.png"
    if change == "remove":
        frame.unlink()
    elif change == "double":
        frame.rename(clip / "000001.jpg")
    elif change == "name":
        frame.rename(clip / "cover.png")
    else:
        for file in clip.iterdir():
            file.unlink()
    with pytest.raises(DataError) as refused:
        TASK.load({"clips": "clips"}, tmp_path, tmp_path)
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("sequences", "labels", "part"),
    [
        ([2, 2], [0, 1], "2 sequences of 4 frames in all, and there are 5 images"),
        ([5, 0], [0, 1], "sequence 1 has 0 frames"),
        ([2, 3], [0], "there are 2 clips and 1 labels"),
        ([2, 3], [0, 2], "clip 1 is of class 2"),
    ],
)
def test_clips_that_do_not_fit_their_frames_are_refused(
    sequences: list[int], labels: list[int], part: str
) -> None:
    """The data of a function are checked when they are made."""
    images = [np.zeros((2, 2, 3), np.uint8)] * 5
    with pytest.raises(DataError, match=part):
        ClipData(images, sequences, labels, CLASSES)

"""The digit scenes: splits that share nothing, valid annotations, the same pixels every time."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from suites.digits import data

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection.data import DetectionData

BOTH_FOR_TRAINING = {"train", "more"}
PAIRS = [pair for pair in combinations(data.SPLITS, 2) if {*pair} != BOTH_FOR_TRAINING]


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DetectionData]:
    """The calibration split, made afresh in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFGATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield data.calibration()


def _digits(split: str) -> set[int]:
    share = data.SPLITS[split].share
    return {int(i) for label in range(10) for i in data.digit_indices(label, share)}


def _pixels(split: str) -> set[bytes]:
    from sklearn.datasets import load_digits

    images = load_digits().images
    return {images[index].tobytes() for index in _digits(split)}


def _digest(split: str, scenes: int) -> str:
    chosen = data.SPLITS[split]
    composer = data.Composer(chosen, chosen.seed)
    total = hashlib.sha256()
    for _ in range(scenes):
        scene = composer.scene()
        total.update(scene.image.tobytes() + scene.boxes.tobytes() + scene.labels.tobytes())
    return total.hexdigest()


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_splits_share_no_digit(one: str, other: str) -> None:
    """Neither by index nor by pixels."""
    assert _digits(one)
    assert not _digits(one) & _digits(other)
    assert not _pixels(one) & _pixels(other)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_splits_share_no_photograph(one: str, other: str) -> None:
    """By pixels, so that a renamed copy would be seen."""

    def contents(split: str) -> set[str]:
        return {
            hashlib.sha256(data._photograph(name).tobytes()).hexdigest()
            for name in data.SPLITS[split].photographs
        }

    assert not contents(one) & contents(other)


def test_no_split_holds_the_other_eye_of_a_stereo_pair() -> None:
    """The two motorcycles are nearly one photograph: one of them at the most."""
    names = [name for split in data.SPLITS.values() for name in split.photographs]
    assert len([name for name in names if name.startswith("motorcycle")]) <= 1


def test_every_class_has_digits_in_every_split() -> None:
    """No class is missing anywhere."""
    for split in data.SPLITS.values():
        assert all(len(data.digit_indices(label, split.share)) >= 10 for label in range(10))


def test_validation_has_500_scenes_and_calibration_128() -> None:
    """The sizes that the docstrings of the splits promise."""
    assert data.SPLITS["validation"].scenes >= 500
    assert data.SPLITS["calibration"].scenes == 128
    assert data.SPLITS["train"].scenes > data.SPLITS["validation"].scenes


@pytest.mark.parametrize("split", list(data.SPLITS))
def test_scenes_are_the_same_every_time(split: str) -> None:
    """A fresh composer of the same seed makes the same pixels, boxes and labels."""
    assert _digest(split, 4) == _digest(split, 4)


def test_another_seed_gives_other_scenes() -> None:
    """The seed is what decides."""
    split = data.SPLITS["validation"]
    one, other = data.Composer(split, 3).scene(), data.Composer(split, 4).scene()
    assert not np.array_equal(one.image, other.image)


def test_boxes_are_tight_around_the_ink(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a black photograph without noise, what is bright is ink."""
    composer = data.Composer(data.SPLITS["calibration"], 5)
    black = np.zeros((data.SIDE, data.SIDE, 3), dtype=np.uint8)
    white = np.full(3, 255.0, dtype=np.float32)
    monkeypatch.setattr(composer, "_background", lambda _side: black)
    monkeypatch.setattr(composer, "_colour", lambda _behind: white)
    observed = 0
    for _ in range(20):
        scene = composer.scene()
        ink = scene.image[..., 0] > 128
        covered = np.zeros_like(ink)
        for x, y, width, height in scene.boxes.astype(int):
            inside = ink[y : y + height, x : x + width]
            rows, columns = inside.max(axis=1), inside.max(axis=0)
            # noise of a few grey levels may hide one faint row or column at the rim
            assert rows[:2].any()
            assert rows[-2:].any()
            assert columns[:2].any()
            assert columns[-2:].any()
            covered[y : y + height, x : x + width] = True
            observed += 1
        assert not (ink & ~covered).any()
    assert observed > 20


def test_annotations_are_valid(calibration: DetectionData) -> None:
    """COCO's fields, boxes inside the image, one to six objects in each."""
    coco = calibration.coco
    assert [entry["name"] for entry in coco["categories"]] == list("0123456789")
    assert len(calibration.images) == len(coco["images"]) == 128
    assert len({entry["id"] for entry in coco["annotations"]}) == len(coco["annotations"])
    known = {entry["id"] for entry in coco["images"]}
    categories = {entry["id"] for entry in coco["categories"]}
    per_image: dict[int, int] = dict.fromkeys(known, 0)
    for entry in coco["annotations"]:
        x, y, width, height = entry["bbox"]
        assert min(x, y) >= 0
        assert min(width, height) >= 4
        assert x + width <= data.SIDE
        assert y + height <= data.SIDE
        assert entry["area"] == width * height
        assert entry["iscrowd"] == 0
        assert entry["category_id"] in categories
        per_image[entry["image_id"]] += 1
    assert min(per_image.values()) >= 1
    assert max(per_image.values()) <= 6


def test_images_are_mapped_from_the_cache(calibration: DetectionData) -> None:
    """Images are uint8, read-only, and not all in memory."""
    assert isinstance(calibration.images, np.memmap)
    assert calibration.images.shape == (128, data.SIDE, data.SIDE, 3)
    assert calibration.images.dtype == np.uint8
    assert not calibration.images.flags.writeable


def _load_in_a_process(cache: str, answers: multiprocessing.SimpleQueue[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFGATE_CACHE", cache)
        loaded = data.calibration()
        answers.put(hashlib.sha256(loaded.images.tobytes()).hexdigest())


@pytest.mark.slow
def test_two_processes_may_make_a_split_at_once(tmp_path: Path, calibration: DetectionData) -> None:
    """Both get the same scenes; one folder stays."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    processes = [
        context.Process(target=_load_in_a_process, args=(str(tmp_path), answers)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    expected = hashlib.sha256(calibration.images.tobytes()).hexdigest()
    assert {answers.get(), answers.get()} == {expected}
    folders = list((tmp_path / "data").iterdir())
    assert len(folders) == 1  # and nothing half made is left
    assert json.loads((folders[0] / "annotations.json").read_text()) == calibration.coco

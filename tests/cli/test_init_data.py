"""`pytest-perfgate init --data`: what is read of a folder, and which images calibrate."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate.cli import init_facts
from pytest_perfgate.cli.init_data import read_data
from pytest_perfgate.cli.init_facts import DataFacts, Pictures
from pytest_perfgate.errors import DataError

from tests.squares import coco_folder

Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[detection]'")


def fill(folder: Path, *names: str) -> None:
    """Small images, each of other pixels."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        seed = zlib.crc32(str(file).encode())
        pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file)


def calibrating(data: DataFacts) -> Pictures:
    """The images that calibrate."""
    assert data.calibration is not None
    return data.calibration


def test_one_folder_of_coco_is_split(tmp_path: Path) -> None:
    """A quarter calibrates, and is not scored; objects are those of the scored images."""
    coco_folder(tmp_path, "images", 12, seed=1)
    data = read_data(tmp_path)
    assert data.tasks == ("detection",)
    assert data.truth == {"annotations": tmp_path / "images.json"}
    assert data.classes == ("square",)
    assert len(calibrating(data).names) == 3
    assert len(data.validation.names) == 9
    assert not set(calibrating(data).names) & set(data.validation.names)
    assert data.objects is not None
    assert data.objects.shape == (9, 1)
    assert any("one folder" in note for note in data.notes)


def test_held_out_images_are_validated_and_training_images_calibrate(tmp_path: Path) -> None:
    """In COCO's own layout; the annotations of the training images are not needed."""
    for split, count in (("train2017", 8), ("val2017", 4)):
        coco_folder(tmp_path, split, count, seed=count)
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / f"{split}.json").rename(tmp_path / "annotations" / f"instances_{split}.json")
    (tmp_path / "annotations" / "captions_val2017.json").write_text('{"images": []}')
    data = read_data(tmp_path)
    assert data.truth["annotations"].name == "instances_val2017.json"
    assert data.validation.folder == tmp_path / "val2017"
    assert data.validation.whole
    assert calibrating(data).folder == tmp_path / "train2017"
    assert len(calibrating(data).names) == 8


def test_folders_are_classes(tmp_path: Path) -> None:
    """In the order of their names; each class has calibration images."""
    fill(tmp_path, *(f"{name}/{index}.png" for name in ("cat", "dog") for index in range(8)))
    data = read_data(tmp_path)
    assert (data.tasks, data.classes) == (("classification",), ("cat", "dog"))
    assert {name.partition("/")[0] for name in calibrating(data).names} == {"cat", "dog"}


def test_splits_are_no_classes(tmp_path: Path) -> None:
    """Folders called train and val are taken for what they are."""
    fill(tmp_path, *(f"{part}/{name}/a.png" for part in ("train", "val") for name in ("x", "y")))
    data = read_data(tmp_path)
    assert (data.tasks, data.classes) == (("classification",), ("x", "y"))
    assert data.validation.folder == tmp_path / "val"
    assert calibrating(data).folder == tmp_path / "train"


def test_images_alone_are_known_by_nothing(tmp_path: Path) -> None:
    """YOLO's labels are not read, which is said."""
    fill(tmp_path, *(f"images/val/{index}.png" for index in range(4)))
    (tmp_path / "labels" / "val").mkdir(parents=True)
    data = read_data(tmp_path)
    assert (data.tasks, data.classes) == ((), ())
    assert any("labels/ is not read" in note for note in data.notes)


def test_a_copy_of_a_scored_image_does_not_calibrate(tmp_path: Path) -> None:
    """Also under another name."""
    fill(tmp_path, *(f"train/{index}.png" for index in range(3)), "val/0.png")
    copy = tmp_path / "train" / "0.png"
    copy.write_bytes((tmp_path / "val" / "0.png").read_bytes())
    data = read_data(tmp_path)
    assert calibrating(data).names == ("1.png", "2.png")
    assert any("copies of scored ones" in note for note in data.notes)


def test_large_sets_are_scored_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a first verdict takes minutes; the note says how to have more."""
    monkeypatch.setattr(init_facts, "VALIDATION", 5)
    fill(tmp_path, *(f"{index:02}.png" for index in range(20)))
    data = read_data(tmp_path)
    assert len(data.validation.names) == 5
    assert not data.validation.whole
    assert any("add names to the list" in note for note in data.notes)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_images_are_scored_first(tmp_path: Path, count: int) -> None:
    """A single image calibrates nothing."""
    fill(tmp_path, *(f"{index}.png" for index in range(count)))
    data = read_data(tmp_path)
    assert len(data.validation.names) == count - (1 if count > 1 else 0)
    assert (data.calibration is None) == (count == 1)


def test_missing_images_are_left_out_and_counted(tmp_path: Path) -> None:
    """Subsets of a large set have its whole file of annotations."""
    coco_folder(tmp_path, "images", 8, seed=1)
    (tmp_path / "images" / "3.png").unlink()
    data = read_data(tmp_path)
    assert "3.png" not in data.validation.names
    assert any("7 of 8 images of images.json are there" in note for note in data.notes)


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda folder: folder.rmdir(), "there is no such folder"),
        (lambda folder: (folder / "readme.txt").touch(), "there are no images below it"),
        (
            lambda folder: (folder / "a.json").write_text(
                json.dumps(
                    {
                        "images": [{"id": 1, "file_name": "gone.png"}],
                        "annotations": [],
                        "categories": [{"id": 1, "name": "x"}],
                    }
                )
            ),
            "no folder near it has the image 'gone.png'",
        ),
    ],
    ids=["no folder", "no images", "images elsewhere"],
)
def test_data_that_cannot_be_used_is_one_error(
    tmp_path: Path, prepare: Callable[[Path], object], says: str
) -> None:
    """It names the place."""
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(DataError, match=says) as caught:
        read_data(folder)
    assert str(folder) in caught.value.where

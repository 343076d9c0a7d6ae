"""A folder of images for each class, as people have it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.classification import Classification
from pytest_perfgate.tasks.classification.data import Called, ClassificationData

Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[classification]'")


def fill(folder: Path, names: Mapping[str, int]) -> None:
    """Small images of their own grey; other files are empty."""
    for name, value in names.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".png":
            Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(file)
        else:
            file.touch()


def load(folder: Path, images: str = "images") -> ClassificationData:
    """The declared data set."""
    return Classification().load({"images": images}, folder, folder)


PAIR = {"images/cat/a.png": 1, "images/dog/b.png": 2}


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    """Notebooks, file managers and archives leave them; the report says what was left out."""
    fill(
        tmp_path,
        PAIR
        | {
            "images/.ipynb_checkpoints/a-checkpoint.png": 3,
            "images/__MACOSX/cat/a.png": 4,
            "images/cat/.ipynb_checkpoints/a-checkpoint.png": 5,
            "images/cat/._a.png": 6,
            "images/cat/notes.txt": 0,
            "images/cat/Thumbs.db": 0,
            "images/readme.md": 0,
        },
    )
    data = load(tmp_path)
    assert (list(data.classes), list(data.labels)) == (["cat", "dog"], [0, 1])
    assert [int(image[0, 0, 0]) for image in data.images] == [1, 2]
    folders, files = data.notes
    assert ".ipynb_checkpoints" in folders
    assert "__MACOSX" in folders
    assert "1 .db, 1 .txt" in files


def test_folders_in_a_class_belong_to_it(tmp_path: Path) -> None:
    """However deep, and through links; a link to a folder above ends."""
    fill(tmp_path, PAIR | {"images/dog/more/deep/c.png": 3, "store/d.png": 4})
    (tmp_path / "images" / "dog" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "images" / "dog" / "above").symlink_to(tmp_path / "images" / "dog")
    data = load(tmp_path)
    assert sorted(int(image[0, 0, 0]) for image in data.images) == [1, 2, 3, 4]
    assert sorted(data.labels) == [0, 1, 1, 1]


def test_links_are_followed_wherever_they_lead(tmp_path: Path, tmp_path_factory: Any) -> None:
    """The folder of a class, the whole folder, or an absolute path."""
    store = tmp_path_factory.mktemp("mount")
    fill(store, PAIR)
    assert len(load(tmp_path, str(store / "images")).labels) == 2
    (tmp_path / "images").symlink_to(store / "images")
    assert len(load(tmp_path).labels) == 2
    (tmp_path / "images").unlink()
    (tmp_path / "images").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).symlink_to(store / "images" / name)
    assert load(tmp_path).classes == ["cat", "dog"]
    with pytest.raises(DataError, match="leaves"):
        load(tmp_path, "../elsewhere")


def test_splits_are_no_classes(tmp_path: Path) -> None:
    """The folder above was named."""
    fill(tmp_path, {"images/train/cat/a.png": 1, "images/Val/cat/b.png": 2})
    with pytest.raises(DataError, match="splits, not classes") as caught:
        load(tmp_path)
    assert "images/Val" in caught.value.next_step


def test_numbers_are_in_the_order_of_text_and_it_is_said(tmp_path: Path) -> None:
    """As trainers that read such folders have it."""
    fill(tmp_path, {f"images/{number}/a.png": number for number in (0, 1, 2, 10)})
    data = load(tmp_path)
    assert data.classes == ["0", "1", "10", "2"]
    assert "0, 1, 10, 2" in data.notes[0]


def test_a_class_without_images_is_said(tmp_path: Path) -> None:
    """It keeps its place among the network's outputs."""
    fill(tmp_path, PAIR)
    (tmp_path / "images" / "cow").mkdir()
    data = load(tmp_path)
    assert data.labels == [0, 2]
    assert data.notes == ("classes without images: cow",)


def test_pictures_in_the_folder_of_no_class_are_counted(tmp_path: Path) -> None:
    """They are in no score, and the report says so."""
    fill(tmp_path, PAIR | {"images/c.png": 3, "images/d.png": 4})
    data = load(tmp_path)
    assert len(data.labels) == 2
    assert data.notes == ("left out of the files: 2 in no folder of a class (the first: c.png)",)


def test_a_list_takes_some_images_and_keeps_all_classes(tmp_path: Path) -> None:
    """The class is the first folder of the name; a name elsewhere is an error."""
    fill(tmp_path, PAIR | {"images/dog/more/c.png": 3})
    task = Classification()
    (tmp_path / "some.txt").write_text("dog/more/c.png\n")
    data = task.load({"images": "images", "list": "some.txt"}, tmp_path, tmp_path)
    assert (list(data.labels), list(data.classes)) == ([1], ["cat", "dog"])
    fill(tmp_path, {"images/d.png": 4})
    (tmp_path / "some.txt").write_text("d.png\n")
    with pytest.raises(DataError, match="in the folder of no class"):
        task.load({"images": "images", "list": "some.txt"}, tmp_path, tmp_path)
    (tmp_path / "some.txt").write_text("dog/more/c.png\ndog/./more/c.png\n")
    with pytest.raises(DataError, match="name one picture"):
        task.load({"images": "images", "list": "some.txt"}, tmp_path, tmp_path)


def test_images_without_labels_are_compared_and_not_scored(tmp_path: Path) -> None:
    """`agreement` needs no truth; the reason why there is no accuracy is kept."""
    fill(tmp_path, PAIR | {"images/c.png": 3})
    task = Classification()
    data = task.load({"images": "images", "labels": False}, tmp_path, tmp_path)
    assert not data.labelled
    predictions = [Called(np.array([0.9, 0.1], np.float32)) for _ in range(3)]
    accuracy = task.evaluate(data, predictions)
    assert accuracy.values == {}
    calibration = {"ece", "confidence", "confidence_gap", "coverage"}
    scores = {"accuracy", "top5", "precision", "recall", "f1"}
    assert set(accuracy.unmeasured) == scores | calibration
    assert task.doubt(data, predictions, accuracy, task.Output()) is None
    assert set(task.compare(task.pack(predictions), task.pack(predictions))) == {
        "agreement",
        "score_shift",
    }

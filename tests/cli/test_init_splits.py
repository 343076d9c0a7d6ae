"""`pytest-perfgate init`: which images are held out, by folders, lists and a data set's YAML."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.cli.init_data import read_data
from pytest_perfgate.cli.init_splits import is_held_out, is_training

from tests.cli.test_init_data import calibrating, fill

BOX = "0 0.5 0.5 0.5 0.5\n"
XML = (
    "<annotation><object><name>square</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax>"
    "<ymax>2</ymax></bndbox></object></annotation>"
)


def labelled(images: Path, labels: Path, count: int = 8, text: str = BOX) -> None:
    """Images, and their labels in another folder or beside them."""
    names = [f"{index}.png" for index in range(count)]
    fill(images, *names)
    labels.mkdir(parents=True, exist_ok=True)
    for name in names:
        kind = ".txt" if text == BOX else ".xml"
        (labels / name).with_suffix(kind).write_text(text)


def test_names_of_splits_have_years_and_words_behind_them() -> None:
    """A class may begin with the same word."""
    held_out = ("val", "val2017", "val_2014", "valid", "test-dev2017", "valid_images", "dev")
    assert all(map(is_held_out, held_out))
    assert all(map(is_training, ("train2014", "training", "trainval", "train_set")))
    for name in ("test_tube", "train station", "values", "trainer", "images"):
        assert not is_held_out(name)
        assert not is_training(name)


@pytest.mark.parametrize(
    ("held_out", "training", "yaml"),
    [
        ("val2014", "train2014", ""),
        ("holdout", "train", ""),
        ("b", "a", "train: images/a\nval: [images/b]\n"),
        ("b", "a", "path: ../datasets/mine\ntrain: ../images/a\nval: ../images/b\n"),
    ],
)
def test_training_images_are_not_scored(
    tmp_path: Path, held_out: str, training: str, yaml: str
) -> None:
    """Where other images have the truth: by the names of folders, or what the YAML says."""
    for split in (held_out, training, "c"):
        if split != "c" or yaml:
            labelled(tmp_path / "images" / split, tmp_path / "labels" / split)
    (tmp_path / "data.yaml").write_text(f"names: [square]\n{yaml}")
    data = read_data(tmp_path)
    assert data.tasks == ("detection",)
    assert data.validation.folder == tmp_path / "images" / held_out
    assert data.validation.whole
    assert calibrating(data).folder == tmp_path / "images" / training


def test_splits_that_are_not_read_are_named(tmp_path: Path) -> None:
    """So is a YAML's folder that is not there."""
    for split in ("val", "test", "train"):
        labelled(tmp_path / split / "images", tmp_path / split / "labels")
    (tmp_path / "data.yaml").write_text("names: [square]\nval: images/gone\n")
    notes = read_data(tmp_path).notes
    assert "scored are the images of val; those of test are not read" in notes
    assert any("has val = 'images/gone', which is not read" in note for note in notes)


@pytest.mark.parametrize("text", [BOX, XML], ids=["yolo", "voc"])
def test_labels_may_lie_beside_their_images(tmp_path: Path, text: str) -> None:
    """As labelImg and Darknet write them, with or without folders of splits."""
    labelled(tmp_path / "obj_data", tmp_path / "obj_data", text=text)
    (tmp_path / "obj.names").write_text("square\n")
    data = read_data(tmp_path)
    assert (data.tasks, data.classes) == (("detection",), ("square",))
    assert len(data.validation.names) == 6
    for split in ("train", "valid"):
        labelled(tmp_path / split, tmp_path / split, text=text)
    data = read_data(tmp_path)
    assert data.validation.folder == tmp_path / "valid"
    assert calibrating(data).folder == tmp_path / "train"


def test_lists_of_voc_say_what_is_held_out(tmp_path: Path) -> None:
    """Those of trainval calibrate where they are not in val."""
    labelled(tmp_path / "JPEGImages", tmp_path / "Annotations", 12, XML)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("1 1\n2 -1\n3 1\n")
    (lists / "trainval.txt").write_text("1\n2\n3\n4\n5\n")
    data = read_data(tmp_path)
    assert sorted(data.validation.names) == ["1.png", "2.png", "3.png"]
    assert not data.validation.whole
    assert sorted(calibrating(data).names) == ["4.png", "5.png"]


def test_classes_may_have_the_names_of_splits(tmp_path: Path) -> None:
    """Folders bus and train are two classes; train and holdout with the same classes are splits."""
    for kind in ("bus", "train"):
        fill(tmp_path / "a" / kind, *(f"{index}.png" for index in range(4)))
        fill(tmp_path / "b" / "holdout" / kind, *(f"{index}.png" for index in range(4)))
        fill(tmp_path / "b" / "train" / kind, *(f"{index}.png" for index in range(4)))
    assert read_data(tmp_path / "a").classes == ("bus", "train")
    data = read_data(tmp_path / "b")
    assert data.classes == ("bus", "train")
    assert data.validation.folder == tmp_path / "b" / "holdout"
    assert calibrating(data).folder == tmp_path / "b" / "train"


def test_files_that_may_be_a_truth_are_named(tmp_path: Path) -> None:
    """Nothing that lies there is passed over without a word."""
    fill(tmp_path / "images", *(f"{index}.png" for index in range(4)))
    (tmp_path / "labelTxt").mkdir()
    for index in range(4):
        (tmp_path / "labelTxt" / f"{index}.txt").write_text("1.0,1.0,2.0,1.0,2.0,2.0,1.0,2.0,a,0")
    (tmp_path / "labels.csv").write_text("name,class\n0.png,a\n")
    data = read_data(tmp_path)
    assert data.tasks == ()
    assert any(note.startswith("labelTxt/ is not read") for note in data.notes)
    assert "1 file of type .csv is not read: labels.csv" in data.notes
    assert any("4 files of type .txt are not read: labelTxt/0.txt" in note for note in data.notes)

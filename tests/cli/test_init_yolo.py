"""`pytest-perfgate init` with YOLO's text labels, and with VOC's XML."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.cli.init_data import read_data
from pytest_perfgate.cli.main import main

from tests.cli.graphs import ultralytics
from tests.cli.test_init import limits, suite_of
from tests.cli.test_init_data import calibrating, fill
from tests.squares import coco_folder

BOX = "1 0.5 0.5 0.5 0.5\n"
FOUR = "0 0.2 0.2 0.8 0.2 0.8 0.8 0.2 0.8\n"
THREE = "0 0.2 0.2 0.8 0.2 0.8 0.8\n"


def labels(folder: Path, text: str, count: int = 8) -> None:
    """Images and labels, all alike, of one folder."""
    fill(folder / "images", *(f"{index}.png" for index in range(count)))
    (folder / "labels").mkdir(exist_ok=True)
    for index in range(count):
        (folder / "labels" / f"{index}.txt").write_text(text)


def test_labels_of_a_coco_file_give_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suite that is written reads the boxes that the file has, by the names of the YAML."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    coco_folder(tmp_path / "data", "images", 24, seed=3)
    coco = json.loads((tmp_path / "data" / "images.json").read_text())
    (tmp_path / "data" / "labels").mkdir()
    boxes: dict[str, list[list[float]]] = {}
    for entry in coco["images"]:
        every = [one["bbox"] for one in coco["annotations"] if one["image_id"] == entry["id"]]
        own = [list(box) for box in dict.fromkeys(map(tuple, every))]  # squares may coincide
        boxes[entry["file_name"]] = own
        width, height = Image.open(tmp_path / "data" / "images" / entry["file_name"]).size
        lines = [
            f"0 {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} "
            f"{h / height:.6f}\n"
            for x, y, w, h in own
        ]
        name = Path(entry["file_name"]).with_suffix(".txt")
        (tmp_path / "data" / "labels" / name).write_text("".join(lines))
    (tmp_path / "data" / "images.json").unlink()
    (tmp_path / "data" / "data.yaml").write_text("names:\n  0: square\nnc: 1\n")
    ultralytics(tmp_path / "net.onnx", ["square"])
    assert main(["init", "--model", "net.onnx", "--data", "data"]) == 0
    suite = suite_of(tmp_path, "net")
    assert "map" in limits(suite, "int8")
    data = SuiteData(suite).split("validation")
    found = data.instances
    assert found.categories == ("square",)
    for row, name in enumerate(found.files):
        own = found.boxes[found.image == row]
        assert own == pytest.approx(np.array(boxes[name]).reshape(-1, 4), abs=1e-3)
    assert "data.yaml" in (tmp_path / "suites" / "net" / "recipes.toml").read_text()


@pytest.mark.parametrize(
    ("text", "yaml", "tasks"),
    [
        (BOX, "names: [cat, dog]", [("detection",)]),
        (THREE, "names: [cat]", [("instances", "detection")]),
        (FOUR, "names: [cat]", [("oriented",), ("instances", "detection")]),
        (BOX + THREE, "names: [cat, dog]", [("detection",)]),
        (
            "0 .5 .5 .5 .5 .1 .1 2 .2 .2 2\n",
            "names: [cat]\nkpt_shape: [2, 3]",
            [("pose", "detection")],
        ),
    ],
)
def test_the_numbers_of_a_line_tell_the_task(
    tmp_path: Path, text: str, yaml: str, tasks: list[tuple[str, ...]]
) -> None:
    """Four points are of two tasks: the network, or --task, decides."""
    labels(tmp_path, text)
    (tmp_path / "data.yaml").write_text(yaml)
    first = read_data(tmp_path)
    assert first.tasks == tasks[0]
    assert first.truth["labels"] == tmp_path / "labels"
    assert first.truth["classes"] == tmp_path / "data.yaml"
    assert ("label_format" in first.truth) == (tasks[0] == ("oriented",))
    for names in tasks:
        for task in names:
            data = read_data(tmp_path, task)
            assert data.tasks == names
    assert first.keypoints == (2 if "kpt" in yaml else 0)


def test_images_without_labels_and_names_without_a_file(tmp_path: Path) -> None:
    """Both are said; in Roboflow's layout, folders of splits are above images and labels."""
    for split in ("train", "valid"):
        labels(tmp_path / split, BOX)
    fill(tmp_path / "valid" / "images", "empty.png")
    data = read_data(tmp_path)
    assert data.tasks == ("detection",)
    assert data.validation.folder == tmp_path / "valid" / "images"
    assert data.validation.whole
    assert len(data.validation.names) == 9
    assert calibrating(data).folder == tmp_path / "train" / "images"
    assert any("1 of 9 images have no file of labels" in note for note in data.notes)
    assert data.classes == ("class 0", "class 1")
    assert data.unknown[0].startswith("the names of the classes")
    assert data.objects is not None
    assert data.objects.sum(axis=0).tolist() == [0, 8]


def test_a_broken_yaml_is_said_and_other_text_is_no_label(tmp_path: Path) -> None:
    """The first costs the names, the second is no data set of YOLO's."""
    labels(tmp_path, BOX)
    (tmp_path / "data.yaml").write_text("names: [cat")
    data = read_data(tmp_path)
    assert any(note.startswith("data.yaml is not used") for note in data.notes)
    for text in (
        "hello world\n",
        "inf 0.5 0.5 0.5 0.5\n",
        "1e12 0.5 0.5 0.5 0.5\n",
        "nan 1 1 1 1\n",
    ):
        labels(tmp_path, text)
        assert read_data(tmp_path).tasks == ()


def test_xml_of_voc_is_a_detectors_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network's names decide the order of the classes where it has them all; else that is not
    known, and said.
    """
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "data" / "JPEGImages", *(f"{index}.png" for index in range(8)))
    (tmp_path / "data" / "Annotations").mkdir()
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax></bndbox>"
    for index in range(7):
        text = f"<annotation><object><name>square</name>{box}</object></annotation>"
        (tmp_path / "data" / "Annotations" / f"{index}.xml").write_text(text)
    data = read_data(tmp_path / "data")
    assert data.tasks == ("detection",)
    assert data.classes == ("square",)
    assert "order of the network's classes" in data.unknown[0]
    assert any("1 of 8 images have no file" in note for note in data.notes)
    ultralytics(tmp_path / "net.onnx", ["person", "square"])
    assert main(["init", "--model", "net.onnx", "--data", "data"]) == 0
    found = SuiteData(suite_of(tmp_path, "net")).split("validation").instances
    assert found.categories == ("person", "square")
    assert {*found.category.tolist()} == {1}
    assert found.boxes[0].tolist() == [0, 0, 3, 2]
    (tmp_path / "data" / "Annotations" / "0.xml").write_text("<other/>")
    assert read_data(tmp_path / "data").tasks == ()

"""YOLO's text labels give the same data as COCO's files do, or an error that names the line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.detection import Detection
from pytest_perfgate.tasks.instances import Instances
from pytest_perfgate.tasks.oriented import OrientedBoxes
from pytest_perfgate.tasks.pose import Pose
from pytest_perfgate.tasks.segmentation import Segmentation

WIDTH, HEIGHT = 80, 40
NAMES = ["cat", "dog"]


def labelled(place: Path, texts: Mapping[str, str | None], **more: Any) -> dict[str, Any]:
    """A declared data set: an image for each name, and its labels unless they are None."""
    for row, (name, text) in enumerate(texts.items()):
        image = place / "images" / f"{name}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), row, np.uint8)).save(image)
        labels = place / "labels" / f"{name}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            labels.write_text(text)
    return {"images": "images", "labels": "labels", "classes": NAMES, **more}


def test_boxes_are_those_of_cocos_file(tmp_path: Path) -> None:
    """Centre and size as fractions are left, top, width and height in pixels; a row of points is
    the box around them; images in folders keep their place.
    """
    declared = labelled(tmp_path, {"a/1": "1 0.5 0.5 0.25 0.5\n", "b/1": "0 .25 .5 .5 .75 .5 .5\n"})
    data = Detection().read(declared, tmp_path, tmp_path)
    found = data.instances
    assert found.boxes.tolist() == [[30, 10, 20, 20], [20, 20, 20, 10]]
    assert found.category.tolist() == [1, 0]
    assert found.areas.tolist() == [400, 200]
    assert found.files == ("a/1.png", "b/1.png")
    assert found.categories == ("cat", "dog")
    assert data.notes == ()
    assert data.annotated
    assert len(data.digests) == 2  # declared sizes are those of the pictures


@given(st.lists(st.integers(0, 8 * WIDTH), min_size=2, max_size=2, unique=True))
def test_a_box_survives_the_way_there_and_back(sides: list[int]) -> None:
    """Written as a writer of YOLO's would, edges come back to within rounding."""
    from pytest_perfgate.tasks.coco.yolo import pixels_of_box

    left, right = (side / 8 for side in sorted(sides))
    numbers = ((left + right) / 2 / WIDTH, 0.5, (right - left) / WIDTH, 0.5)
    assert pixels_of_box(numbers, (WIDTH, HEIGHT)) == pytest.approx([left, 10, right - left, 20])


def test_a_turned_picture_has_the_size_that_viewers_show(tmp_path: Path) -> None:
    """Fractions are of the upright picture, as in Ultralytics."""
    declared = labelled(tmp_path, {"1": "0 0.5 0.5 1 0.5"})
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "images" / "1.jpg"
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(file, exif=exif)
    (tmp_path / "images" / "1.png").unlink()
    data = Detection().read(declared, tmp_path, tmp_path)
    assert data.instances.boxes.tolist() == [[0, 20, HEIGHT, 40]]
    assert data.images[0].shape == (WIDTH, HEIGHT, 3)
    assert len(data.digests) == 1


def test_what_is_left_out_or_assumed_is_said(tmp_path: Path) -> None:
    """Images without a file have no objects; repeated lines count once; a file of no image and a
    box without area are named.
    """
    line = "0 0.5 0.5 0.5 0.5\n"
    declared = labelled(
        tmp_path, {"1": line + line + "1 0.5 0.5 0 0.5\n", "2": None, "3": "", "4": "\n\n"}
    )
    (tmp_path / "labels" / "old.txt").write_text(line)
    (tmp_path / "labels" / "classes.txt").write_text("cat\ndog\n")
    data = Detection().read(declared, tmp_path, tmp_path)
    assert data.instances.image.tolist() == [0]
    notes = "\n".join(data.notes)
    assert "1 of 4 images have no file of labels: they count as images without objects" in notes
    assert "1 lines that repeat another" in notes
    assert "1 files of labels are of no image (the first: old.txt)" in notes
    assert "1 without area" in notes
    (tmp_path / "some.txt").write_text("3.png\n1.png\n")
    some = Detection().read({**declared, "list": "some.txt"}, tmp_path, tmp_path)
    assert some.instances.files == ("3.png", "1.png")
    assert "of no image" not in "\n".join(some.notes)


def test_classes_come_from_a_list_a_text_file_or_a_yaml(tmp_path: Path) -> None:
    """All of them are the same data."""
    declared = labelled(tmp_path, {"1": "1 0.5 0.5 0.5 0.5"})
    data = Detection().read(declared, tmp_path, tmp_path)
    texts = {
        "classes.txt": "cat\ndog\n",
        "data.yaml": "path: ../data\nval: images\nnames: [cat, dog]\n",
        "other.yml": "names:\n  1: dog\n  0: cat\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        again = Detection().read({**declared, "classes": name}, tmp_path, tmp_path)
        assert again.digest == data.digest


def test_outlines_are_masks(tmp_path: Path) -> None:
    """The polygon's pixels are the object's; a line with a box alone is refused."""
    declared = labelled(tmp_path, {"1": "0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75"})
    data = Instances().read(declared, tmp_path, tmp_path)
    assert data.instances.areas.tolist() == [40 * 20]
    assert data.instances.boxes.tolist() == [[20, 10, 40, 20]]
    (tmp_path / "labels" / "1.txt").write_text("0 0.5 0.5 0.5 0.5")
    with pytest.raises(DataError, match="4 numbers behind its class: a box"):
        Instances().read(declared, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("shape", "line", "labels"),
    [
        ([2, 3], "0 .5 .5 .5 .5 .25 .5 2 0 0 0", [True, False]),
        ([2, 3], "0 .5 .5 .5 .5 .25 .5 1 -1 -1 0", [True, False]),
        ([2, 2], "0 .5 .5 .5 .5 .25 .5 0 0", [True, False]),
        ([2, 2], "0 .5 .5 .5 .5 .25 .5 .5 0", [True, True]),
    ],
)
def test_keypoints_follow_the_box(
    tmp_path: Path, shape: list[int], line: str, labels: list[bool]
) -> None:
    """With a visibility or without; of points without one (0, 0) is not labelled. The area is the
    part of the box that Ultralytics takes, since the labels hold none.
    """
    declared = labelled(tmp_path, {"1": line}, kpt_shape=shape, sigmas=[0.05, 0.05])
    data = Pose().read(declared, tmp_path, tmp_path)
    assert data.keypoints.labelled.tolist() == [labels]
    assert data.keypoints.points[0, 0].tolist() == [20, 20]
    assert data.instances.areas.tolist() == pytest.approx([0.53 * 40 * 20])
    assert Detection().read(
        {key: value for key, value in declared.items() if key != "sigmas"}, tmp_path, tmp_path
    ).instances.boxes.tolist() == [[20, 10, 40, 20]]


def test_the_shape_of_keypoints_comes_from_the_yaml(tmp_path: Path) -> None:
    """Where it is declared nowhere, that is an error."""
    declared = labelled(tmp_path, {"1": "0 .5 .5 .5 .5 .25 .5 2"}, sigmas=[0.05])
    with pytest.raises(DataError, match="how many keypoints"):
        Pose().read(declared, tmp_path, tmp_path)
    (tmp_path / "data.yaml").write_text("kpt_shape: [1, 3]\nnames: [cat, dog]\n")
    data = Pose().read({**declared, "classes": "data.yaml"}, tmp_path, tmp_path)
    assert data.keypoints.points.tolist() == [[[20, 20]]]


def test_corners_are_oriented_boxes(tmp_path: Path) -> None:
    """In pixels, in their order, none difficult; the format is declared, for DOTA's files have the
    same ending.
    """
    declared = labelled(
        tmp_path, {"1": "1 .5 .25 .75 .5 .5 .75 .25 .5", "2": ""}, label_format="yolo"
    )
    data = OrientedBoxes().read(declared, tmp_path, tmp_path)
    assert data.objects[0].corners.tolist() == [[[40, 10], [60, 20], [40, 30], [20, 20]]]
    assert data.objects[0].categories.tolist() == [1]
    assert not data.ignored[0].any()
    assert data.classes == ("cat", "dog")
    with pytest.raises(DataError, match="'YOLO'"):
        OrientedBoxes().read({**declared, "label_format": "YOLO"}, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 320 160 40 40", "coordinate 320"),
        ("0 0.5 0.5 0.5 1.02", "coordinate 1.02"),
        ("0 0.5 0.5 0.5 0.5 0.93", "a confidence, so this is a prediction"),
        ("2 0.5 0.5 0.5 0.5", "the class 2"),
        ("0.5 0.5 0.5 0.5 0.5", "the class 0.5"),
        ("-1 0.5 0.5 0.5 0.5", "the class -1"),
        ("0 0.5 0.5 0.5", "3 numbers behind its class"),
        ("cat 0.5 0.5 0.5 0.5", "other words than numbers"),
        ("0 nan 0.5 0.5 0.5", "not finite"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    """By its file and number, with what is valid."""
    declared = labelled(tmp_path, {"1": f"0 0.5 0.5 0.5 0.5\n{text}\n"})
    with pytest.raises(DataError) as raised:
        Detection().read(declared, tmp_path, tmp_path)
    assert message in raised.value.problem
    assert raised.value.where == f"{tmp_path / 'labels' / '1.txt'}: line 2"
    assert raised.value.valid


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"annotations": "instances.json"}, "has annotations and labels"),
        ({"labels": "other"}, "there is no such folder"),
        ({"labels": "images"}, "none of 1 images has a file of labels"),
        ({"classes": []}, "classes is []"),
        ({"classes": ["cat", "cat"]}, "'cat' 2 times"),
        ({"classes": "gaps.yaml"}, "names has the numbers 0, 2"),
        ({"classes": "norway.yaml"}, "class 0 has the name False"),
        ({"classes": "broken.yaml"}, "not YAML"),
        ({"classes": "none.txt"}, "cannot be read"),
        ({"classes": "nested.yaml"}, "class 0 has the name [["),
        ({"kpt_shape": [17, 4]}, "kpt_shape is [17, 4]"),
        ({"colour": 1}, "the data set has the keys"),
    ],
)
def test_a_wrong_declaration_is_one_error(
    tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    """With what is valid; no line is read before."""
    declared = labelled(tmp_path, {"1": "0 0.5 0.5 0.5 0.5"})
    (tmp_path / "gaps.yaml").write_text("names: {0: cat, 2: dog}")
    (tmp_path / "norway.yaml").write_text("names: [no, se]")
    # Anchors that name each other: written out, the last has 4**20 letters.
    levels = [f"l{at}: &l{at} [{', '.join([f'*l{at - 1}'] * 4)}]" for at in range(1, 21)]
    nested = "\n".join(["l0: &l0 x", *levels, "names: [*l20]"])
    (tmp_path / "nested.yaml").write_text(nested)
    (tmp_path / "broken.yaml").write_text("names: [cat")
    with pytest.raises(DataError) as raised:
        Detection().read({**declared, **more}, tmp_path, tmp_path)
    assert message in raised.value.problem


def test_two_images_share_no_truth(tmp_path: Path) -> None:
    """`1.png` and `1.jpg` would both have `1.txt`; so with DOTA's lines and with masks."""
    declared = labelled(tmp_path, {"1": "0 0.5 0.5 0.5 0.5"})
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "1.jpg")
    message = r"the images 1.jpg and 1.png share a file of labels, 1.txt"
    with pytest.raises(DataError, match=message):
        Detection().read(declared, tmp_path, tmp_path)
    with pytest.raises(DataError, match=message):
        OrientedBoxes().read(declared, tmp_path, tmp_path)
    Image.fromarray(pixels).save(tmp_path / "labels" / "1.png")
    masks = {"images": "images", "masks": "labels", "classes": NAMES}
    with pytest.raises(DataError, match=r"share a mask, 1.png"):
        Segmentation().read(masks, tmp_path, tmp_path)
    (tmp_path / "some.txt").write_text("1.png\n")
    assert Detection().read({**declared, "list": "some.txt"}, tmp_path, tmp_path).annotated

"""COCO files as people have them: the right rows, or one error that names the entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.instances import read_instances
from pytest_perfgate.tasks.detection.coco_scores import evaluate
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction

from tests.tasks.pets import SIDE, data, instances, perfect

KINDS: dict[str, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
    "digits": (lambda n: f"{n:06d}", lambda n: f"{n:06d}"),
    "words": (lambda n: f"img_{n}", lambda n: f"img_{n}"),
    "mixed": (lambda n: n if n % 2 else f"img_{n}", lambda n: n if n % 2 else f"img_{n}"),
    "float": (float, float),
    "text in annotations alone": (int, str),
    "text in images alone": (lambda n: f"{n:03d}", int),
    "beyond 2**53": (lambda n: 2**53 + n, lambda n: 2**53 + n),
    "beyond 2**64": (lambda n: 2**70 + n, lambda n: 2**70 + n),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("table", ["images", "categories"])
def test_ids_of_any_kind_are_ids(kind: str, table: str) -> None:
    """Whatever they are, they only say which is which: a detector that finds all but the dogs
    scores one half.
    """
    built, named = KINDS[kind]
    coco = instances()
    for entry in coco[table]:
        entry["id"] = built(entry["id"])
    field = {"images": "image_id", "categories": "category_id"}[table]
    for entry in coco["annotations"]:
        entry[field] = named(entry[field])
    pictures = data(coco)
    accuracy = evaluate(pictures, perfect(pictures.instances, but=1))
    assert accuracy.values["map"] == pytest.approx(0.5)
    assert accuracy.per_category == pytest.approx({"cat": 1.0, "dog": 0.0})


def test_ids_above_2_53_are_not_merged() -> None:
    """A box of one image that is reported in the other is a false positive."""
    scores = []
    for first in (1, 2**53):
        coco = instances()
        for entry in coco["images"]:
            entry["id"] += first - 1
        for entry in coco["annotations"]:
            entry["image_id"] += first - 1
        pictures = data(coco)
        wrong = perfect(pictures.instances)[::-1]
        scores.append(evaluate(pictures, wrong).values["map"])
    assert scores == [0.0, 0.0]


def test_scores_have_their_own_names_in_any_order_of_categories() -> None:
    """Classes are counted in the order of the file's list unless `classes` says otherwise; the
    report says so.
    """
    coco = instances(
        categories=[{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "cow"}]
    )
    for entry, category in zip(coco["annotations"], (3, 1, 2, 3), strict=True):
        entry["category_id"] = category
    pictures = data(coco)
    rows = pictures.instances
    only_dogs = perfect(rows, but=0)
    only_dogs = [
        Prediction(one.boxes[keep], one.scores[keep], one.categories[keep])
        for one in only_dogs
        for keep in [one.categories == 1]
    ]
    accuracy = evaluate(pictures, only_dogs)
    assert accuracy.per_category == {"cat": 0.0, "dog": 1.0, "cow": 0.0}
    (note,) = accuracy.notes
    assert "cat (3), dog (1), cow (2); without classes in [suite.output]" in note


def test_an_empty_parent_category_is_no_class() -> None:
    """Annotation services write a root without boxes before the classes."""
    coco = instances()
    coco["categories"] = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
        {"id": 2, "name": "dog", "supercategory": "pets"},
    ]
    rows = data(coco).instances
    assert rows.categories == ("cat", "dog")
    assert rows.category.tolist() == [0, 1, 0, 1]
    assert "'pets'" in rows.notes[0]
    coco["annotations"][0]["category_id"] = 0  # with a box it is a class
    assert data(coco).instances.categories == ("pets", "cat", "dog")


def test_a_category_of_its_own_supercategory_is_a_class() -> None:
    """As COCO's own `person` is, with or without boxes."""
    coco = instances()
    coco["categories"].insert(0, {"id": 9, "name": "person", "supercategory": "person"})
    assert data(coco).instances.categories == ("person", "cat", "dog")


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([10, 10, 5, 0.0], "without area"),
        ([0, 0, 0, 0], "without area"),
        ([70, 3, 4, 4], "outside"),
    ],
)
def test_a_box_that_nothing_can_find_is_left_out_and_counted(box: list[float], words: str) -> None:
    """The others count, and the report says how many do not."""
    coco = instances()
    coco["annotations"].append({**coco["annotations"][0], "id": 999, "bbox": box})
    pictures = data(coco)
    accuracy = evaluate(pictures, perfect(pictures.instances))
    assert accuracy.values["map"] == pytest.approx(1.0)
    (note,) = accuracy.notes
    for word in ("5 boxes", f"1 {words}", "999"):
        assert word in note


@pytest.mark.parametrize(
    "field",
    [
        {"area": None},
        {"area": "400"},
        {"iscrowd": None},
        {"iscrowd": "0"},
        {"iscrowd": False},
        {"bbox": ["0", "0", "20", "20.0"]},
        {"bbox": np.array([0, 0, 20, 20], np.float32)},
        {"id": None},
        {"id": 2},
    ],
    ids=str,
)
def test_null_and_text_are_read_as_what_they_say(field: dict[str, Any]) -> None:
    """Null is as if the field were not there, a number in quotes is a number, and annotations need
    no ids.
    """
    coco = instances()
    coco["annotations"][0].update(field)
    rows = data(coco).instances
    assert rows.boxes[0].tolist() == [0, 0, 20, 20]
    assert rows.areas[0] == 400
    assert not rows.crowd.any()


def test_a_crowd_may_be_text() -> None:
    """One as text is a crowd, as zero is none."""
    coco = instances()
    coco["annotations"][0]["iscrowd"] = "1"
    assert data(coco).instances.crowd.tolist() == [True, False, False, False]


def test_numbers_of_numpy_have_a_digest() -> None:
    """A suite's function may build instances of numpy's numbers."""
    coco = instances()
    coco["annotations"][0]["area"] = np.float32(400)
    coco["annotations"][0]["image_id"] = np.int64(1)
    assert data(coco).digest


def _change(path: tuple[Any, ...], value: Any) -> Callable[[dict[str, Any]], None]:
    def change(coco: dict[str, Any]) -> None:
        place: Any = coco
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("categories", 1, "id"), 1, ("'cat'", "'dog'", "one id, 1")),
        (("categories", 1, "name"), "cat", ("categories[1]", "'cat'")),
        (("categories", 1, "name"), None, ("categories[1]", "None")),
        (("categories", 1), "dog", ("categories[1]", "'dog'")),
        (("categories",), {"cat": 1}, ("'categories'",)),
        (("images", 1, "id"), 1, ("'a.png'", "'b.png'", "one id, 1")),
        (("images", 1, "id"), None, ("images[1]", "None")),
        (("images", 1, "id"), [2], ("images[1]", "[2]")),
        (("images", 1, "id"), True, ("images[1]", "True")),
        (("images", 1, "width"), "wide", ("images[1]", "'wide'")),
        (("images", 1, "width"), -4, ("images[1]", "-4")),
        (("images", 1, "width"), 10**200, ("images[1]", "1000", "2,147,483,647")),
        (("annotations", 2, "bbox"), [1, 2, 3], ("annotations[2]", "[1, 2, 3]")),
        (("annotations", 2, "bbox"), {"x": 1}, ("annotations[2]", "'x'")),
        (("annotations", 2, "bbox"), [1, 2, 10**400, 4], ("annotations[2]", "1000")),
        (("annotations", 2, "category_id"), 7, ("annotations[2]", "category 7", "1 of 4")),
        (("annotations", 2, "image_id"), "c", ("annotations[2]", "image 'c'", "1 of 4")),
        (("annotations", 2), None, ("annotations[2]", "None")),
    ],
)
def test_what_cannot_be_read_is_named(
    path: tuple[Any, ...], value: Any, words: tuple[str, ...]
) -> None:
    """The entry's place, its value, and what is valid."""
    coco = instances()
    _change(path, value)(coco)
    with pytest.raises(DataError) as caught:
        read_instances(coco, 2)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.valid or caught.value.next_step


def test_boxes_of_another_convention_are_refused() -> None:
    """Fractions of the picture, and corners, would score zero without an error."""
    for convert, words in (
        (lambda x, y, w, h: [x / SIDE, y / SIDE, w / SIDE, h / SIDE], "fractions"),
        (lambda x, y, w, h: [x + 9, y + 9, x + w + 9, y + h + 9], "corners"),
    ):
        coco = instances()
        for entry in coco["annotations"]:
            entry["bbox"] = convert(*entry["bbox"])
        if words == "corners":  # those of the first column fit by chance
            coco["annotations"] = [coco["annotations"][row] for row in (1, 2, 3)]
        with pytest.raises(DataError, match=words):
            read_instances(coco, 2)


@pytest.mark.parametrize(("declared", "hint"), [((1080, 1920), "scale"), ((48, 64), "orientation")])
def test_declared_sizes_are_those_of_the_pictures(declared: tuple[int, int], hint: str) -> None:
    """Boxes of a picture that was made smaller or turned since are of other pixels."""
    coco = instances()
    coco["images"] = coco["images"][:1]
    coco["annotations"] = coco["annotations"][:2]
    coco["images"][0].update(height=declared[0], width=declared[1])
    pictures = DetectionData([np.zeros((64, 48, 3), np.uint8)], coco)
    with pytest.raises(DataError, match=f"48 x 64.*{declared[1]} x {declared[0]}") as caught:
        _ = pictures.digest
    assert "a.png" in str(caught.value)
    assert hint in caught.value.next_step
    coco["images"][0].update(height=None)
    assert DetectionData(pictures.images, coco).digest

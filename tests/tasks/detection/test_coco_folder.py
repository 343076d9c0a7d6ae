"""A folder of images and its COCO file: encodings, names, links, and files that are broken."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.detection import Detection
from pytest_perfgate.tasks.detection.coco_scores import evaluate
from pytest_perfgate.tasks.detection.data import DetectionData, Prediction

from tests.tasks.pets import SIDE, instances, perfect

SOURCE = {"images": "images", "annotations": "instances.json"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images and their instances."""
    image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[detection]'")
    (tmp_path / "images").mkdir()
    for index, name in enumerate(("a.png", "b.png")):
        pixels = np.full((SIDE, SIDE, 3), index, np.uint8)
        image.fromarray(pixels).save(tmp_path / "images" / name)
    save(tmp_path, instances())
    return tmp_path


def save(folder: Path, coco: Any, encoding: str = "utf-8", **options: Any) -> None:
    """Writes the instances."""
    (folder / "instances.json").write_text(json.dumps(coco, **options), encoding=encoding)


def load(folder: Path) -> DetectionData:
    """The declared data set."""
    return Detection().load(SOURCE, folder, folder)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_have_a_byte_order_mark(folder: Path, encoding: str) -> None:
    """Whatever the locale says; names that are not ASCII come as they are."""
    coco = instances()
    coco["categories"][0]["name"] = "Würfel"
    save(folder, coco, encoding, ensure_ascii=False)
    assert load(folder).instances.categories == ("Würfel", "dog")


def test_two_entries_of_one_picture_are_refused(folder: Path) -> None:
    """As a join of two files leaves them: each would have a part of the picture's objects."""
    coco = instances()
    coco["images"][1]["file_name"] = "./a.png"
    save(folder, coco)
    with pytest.raises(DataError, match=r"'images\[0\]' and 'images\[1\]' name one picture"):
        load(folder)


def test_names_are_utf_8_whatever_the_locale(folder: Path) -> None:
    """In a container without a locale, where Python's own default is ASCII."""
    _rename(folder, "größe.png", on_disk="größe.png")
    code = f"""
from pathlib import Path
from pytest_perfgate.tasks.detection import Detection
folder = Path({str(folder)!r})
print(Detection().load({SOURCE}, folder, folder).images[0].shape)
"""
    names = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **names},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"({SIDE}, {SIDE}, 3)\n", done.stderr


def _rename(folder: Path, name: str, *, on_disk: str = "") -> None:
    if on_disk:
        target = folder / "images" / on_disk
        target.parent.mkdir(exist_ok=True)
        (folder / "images" / "a.png").rename(target)
    coco = instances()
    coco["images"][0]["file_name"] = name
    save(folder, coco)


@pytest.mark.parametrize(
    ("name", "on_disk"),
    [
        ("deeper\\a.png", "deeper/a.png"),
        ("./a.png", ""),
        ("gro\u0308ße.png", "größe.png"),
        ("größe.png", "gro\u0308ße.png"),
    ],
)
def test_a_name_may_be_written_in_another_form(folder: Path, name: str, on_disk: str) -> None:
    """Backslashes of another system, and the other Unicode form of an accent."""
    _rename(folder, name, on_disk=on_disk)
    assert load(folder).images[0].shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize(
    ("name", "on_disk", "hint"),
    [
        ("images\\a.png", "", "'a.png'"),
        ("val/a.png", "", "'a.png'"),
        ("a.PNG", "", "'a.png'"),
        ("a%20.png", "a .png", "'a .png'"),
        ("C:/data/a.png", "", "'a.png'"),
        ("/data/a.png", "", "'a.png'"),
        ("https://example.org/a.png", "", "download"),
        ("c.png", "", "fetch"),
        ("c\0.png", "", "fetch"),
        ("c" * 5000, "", "fetch"),
        ("\ud800.png", "", "fetch"),
    ],
)
def test_a_name_that_is_not_there_has_a_remedy(
    folder: Path, name: str, on_disk: str, hint: str
) -> None:
    """The file that was meant, where the folder has one like it."""
    _rename(folder, name, on_disk=on_disk)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert hint in caught.value.next_step
    assert "instances.json" in str(caught.value)


@pytest.mark.parametrize("name", ["..\\secret.png", "x/../../secret.png", "../images2/a.png"])
def test_no_form_of_a_name_leaves_the_folder(folder: Path, name: str) -> None:
    """Also not to a folder whose name begins alike."""
    (folder / "images2").mkdir()
    for place in ("secret.png", "images2/a.png"):
        (folder / place).write_bytes((folder / "images" / "a.png").read_bytes())
    _rename(folder, name)
    with pytest.raises(DataError, match="leaves"):
        load(folder)


def test_missing_images_are_counted(folder: Path) -> None:
    """A part of the images is not there: how many, and the first."""
    (folder / "images" / "b.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images are not there; .*images\[1\], 'b.png'"):
        load(folder)
    with pytest.raises(DataError, match="no such folder"):
        Detection().load({**SOURCE, "images": "imags"}, folder, folder)


def test_links_are_followed_wherever_they_lead(folder: Path, tmp_path_factory: Any) -> None:
    """A link in the folder, the folder as a link, and an absolute path: data lie on mounts."""
    store = tmp_path_factory.mktemp("mount") / "images"
    (folder / "images").rename(store)
    assert Detection().load({**SOURCE, "images": str(store)}, folder, folder).digests
    (folder / "images").symlink_to(store)
    assert load(folder).digests
    (folder / "images").unlink()
    (folder / "images").mkdir()
    for file in store.iterdir():
        (folder / "images" / file.name).symlink_to(file)
    assert load(folder).digests


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "results of a detector"),
        ("3", "no COCO instances"),
        ("{", "not JSON"),
        ("[" * 100_000, "nested"),
        ('{"images": [{"file_name": null}]}', "None"),
        ('{"images": ["a.png"]}', "None"),
    ],
)
def test_a_file_that_holds_something_else_is_named(folder: Path, text: str, words: str) -> None:
    """One error that names the file."""
    (folder / "instances.json").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        load(folder)
    assert "instances.json" in str(caught.value)


_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "a.png", "../a.png", "1", "\0", 0, -1, 1e308, 10**400]),
)
_VALUES = st.one_of(
    _SCALARS,
    st.lists(_SCALARS, max_size=5),
    st.dictionaries(st.text(max_size=3), _SCALARS, max_size=2),
)


def _places(node: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in the instances."""
    keys = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    return [path for key, below in keys for path in ((*here, key), *_places(below, (*here, key)))]


@given(st.data())
@settings(max_examples=200, deadline=5000)
def test_a_mutated_file_is_read_or_refused(tmp_path_factory: Any, drawn: st.DataObject) -> None:
    """Any value in any place, taken out or doubled: rows that fit, or a DataError; never another
    exception, never long.
    """
    coco = copy.deepcopy(instances())
    for _ in range(drawn.draw(st.integers(1, 3))):
        path = drawn.draw(st.sampled_from(_places(coco)))
        place: Any = coco
        for key in path[:-1]:
            place = place[key]
        action = drawn.draw(st.sampled_from(["replace", "remove", "double"]))
        if action == "remove":
            del place[path[-1]]
        elif action == "double" and isinstance(place, list):
            place.append(copy.deepcopy(place[path[-1]]))
        else:
            place[path[-1]] = drawn.draw(_VALUES)
        if not _places(coco):
            break
    folder = tmp_path_factory.getbasetemp() / "mutated"
    if not folder.exists():
        image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[detection]'")
        (folder / "images").mkdir(parents=True)
        for name in ("a.png", "b.png"):
            image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(folder / "images" / name)
    save(folder, coco)
    start = time.monotonic()
    with contextlib.suppress(DataError):
        pictures = load(folder)
        rows = pictures.instances
        assert len(rows.image) == len(rows.category) == len(rows.boxes) == len(rows.crowd)
        assert np.isfinite(rows.boxes).all()
        assert (rows.boxes[:, 2:] > 0).all()
        assert rows.category.max(initial=0) < len(rows.categories)
        assert pictures.digest
        values = evaluate(pictures, perfect(rows)).values
        assert all(0 <= value <= 1 for value in values.values())
    assert time.monotonic() - start < 5


def test_a_list_takes_some_of_the_images(folder: Path) -> None:
    """With their annotations alone; categories and their order stay."""
    (folder / "some.txt").write_text("# scored\n\nb.png\n")
    data = Detection().load({**SOURCE, "list": "some.txt"}, folder, folder)
    whole = load(folder)
    assert data.instances.files == ("b.png",)
    assert data.instances.categories == whole.instances.categories
    assert len(data.instances.image) == (whole.instances.image == 1).sum() > 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("c.png\n", "0 entries of images have the listed name 'c.png'"),
        ("a.png\na.png\n", "names 'a.png' 2 times"),
        ("# none\n", "the list names no image"),
    ],
)
def test_a_list_that_does_not_fit_is_an_error(folder: Path, text: str, says: str) -> None:
    """An image is never left out in silence."""
    (folder / "some.txt").write_text(text)
    with pytest.raises(DataError, match=says):
        Detection().load({**SOURCE, "list": "some.txt"}, folder, folder)


def test_images_without_annotations_are_not_scored(folder: Path) -> None:
    """The reasons are kept by metric; a reference that finds nothing is in doubt."""
    data = Detection().load({"images": "images"}, folder, folder)
    assert data.instances.files == ("a.png", "b.png")
    predictions = perfect(load(folder).instances)
    accuracy = evaluate(data, predictions)
    assert accuracy.values == {}
    assert accuracy.unmeasured["map"] == "the data has no annotations"
    task = Detection()
    assert task.doubt(data, predictions, accuracy, task.Output()) is None
    nothing = [
        Prediction(image.boxes[:0], image.scores[:0], image.categories[:0]) for image in predictions
    ]
    doubt = task.doubt(data, nothing, evaluate(data, nothing), task.Output())
    assert doubt is not None
    assert "detects nothing" in doubt.problem

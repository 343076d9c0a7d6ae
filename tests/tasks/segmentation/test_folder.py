"""A folder of images and one of masks, as people have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.segmentation import Segmentation
from pytest_perfgate.tasks.segmentation.data import SegmentationData

Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[segmentation]'")

MASK = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
CLASSES = ["road", "car", "sky"]
COLOURS = np.array([[128, 64, 128], [0, 0, 142], [70, 130, 180]], np.uint8)
ORIENTATION = 0x0112


def save(file: Path, pixels: Any, mode: str | None = None, **options: Any) -> None:
    """A picture in a folder that is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture = Image.fromarray(pixels, "L").convert("P")
        picture.putdata(pixels.reshape(-1).tolist())
        picture.putpalette([200, 0, 0, 0, 200, 0] * 128)
    picture.save(file, **options)


def fill(folder: Path, mask: Any = MASK, mode: str | None = None) -> None:
    """Two images and their masks, one of them below a folder."""
    for grey, name in enumerate(("a", "town/b")):
        save(folder / f"images/{name}.jpg", np.full((2, 3, 3), 80 * grey, np.uint8))
        save(folder / f"masks/{name}.png", mask, mode)


def load(folder: Path, **declared: Any) -> SegmentationData:
    """The declared data set."""
    source = {"images": "images", "masks": "masks", "classes": CLASSES} | declared
    source = {key: value for key, value in source.items() if value is not None}
    return Segmentation().load(source, folder, folder)


def refusal(folder: Path, **declared: Any) -> DataError:
    """The error of a declared data set, of reading it or of its pixels."""
    with pytest.raises(DataError) as caught:
        _ = load(folder, **declared).digest
    return caught.value


@pytest.mark.parametrize("mode", [None, "P"])
def test_masks_are_read_as_ids(tmp_path: Path, mode: str | None) -> None:
    """Grey ones, and the indices of those with a palette of their own; 255 is ignored."""
    fill(tmp_path, mode=mode)
    data = load(tmp_path)
    assert len(data.images) == len(data.masks) == 2
    for index in range(2):
        np.testing.assert_array_equal(data.mask(index), [[0, 1, 2], [2, 3, 0]])
    assert data.classes == CLASSES
    assert data.digest == load(tmp_path).digest
    save(tmp_path / "masks/a.png", np.where(MASK == 2, 1, MASK))
    assert load(tmp_path).digest != data.digest


def test_copies_of_an_image_are_counted(tmp_path: Path) -> None:
    """An interval takes each of them for one more observation."""
    fill(tmp_path)
    save(tmp_path / "images/town/b.jpg", np.zeros((2, 3, 3), np.uint8))
    (note,) = load(tmp_path).notes
    assert note.startswith("1 of 2 images have the pixels of another one")


def test_masks_of_no_image_are_counted(tmp_path: Path) -> None:
    """Their images may have been lost, and the score is of the others."""
    fill(tmp_path)
    assert load(tmp_path).notes == ()
    (tmp_path / "images" / "a.jpg").unlink()
    assert load(tmp_path).notes == ("1 mask is of no image (the first: a.png)",)


def test_classes_are_lines_of_a_file(tmp_path: Path) -> None:
    """In the order of their ids."""
    fill(tmp_path)
    (tmp_path / "classes.txt").write_text("road\ncar\n\nsky\n")
    assert load(tmp_path, classes="classes.txt").classes == CLASSES
    assert "classes.txt" in refusal(tmp_path, classes="no/classes.txt").where


def test_ids_and_ignored_ids_are_those_of_the_files(tmp_path: Path) -> None:
    """Cityscapes' have gaps, ADE20K's begin at 1 and ignore 0."""
    fill(tmp_path)
    data = load(tmp_path, classes=["sky", "car"], ids=[2, 1], ignore_index=[0, 255])
    np.testing.assert_array_equal(data.mask(0), [[2, 1, 0], [0, 2, 2]])


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_colours_are_those_of_the_palette(tmp_path: Path, mode: str) -> None:
    """In the order of the classes; those of ignore_palette do not count."""
    pixels = COLOURS[np.where(MASK == 255, 0, MASK)]
    pixels[1, 1] = 0
    fill(tmp_path)
    for name in ("a", "town/b"):
        picture = Image.fromarray(pixels)
        (picture.quantize(16) if mode == "P" else picture).save(tmp_path / f"masks/{name}.png")
    declared = {"palette": COLOURS.tolist(), "ignore_palette": [[0, 0, 0]]}
    np.testing.assert_array_equal(load(tmp_path, **declared).mask(0), [[0, 1, 2], [2, 3, 0]])
    error = refusal(tmp_path, palette=COLOURS.tolist())
    assert "1 colours of no class in 1 of 6 pixels, most often [0, 0, 0]" in error.problem
    assert error.next_step == "ignore_palette = [[0, 0, 0]] leaves its pixels out"


def test_names_of_images_and_masks_may_end_otherwise(tmp_path: Path) -> None:
    """As those of Cityscapes do; a list of PASCAL VOC has no ends at all."""
    for name in ("one", "two"):
        save(tmp_path / f"images/{name}_left.png", np.zeros((2, 3, 3), np.uint8))
        save(tmp_path / f"masks/{name}_ids.png", MASK)
    save(tmp_path / "images/one_right.png", np.zeros((2, 3, 3), np.uint8))
    ends = {"image_suffix": "_left.png", "mask_suffix": "_ids.png"}
    data = load(tmp_path, **ends)
    assert len(data.images) == 2
    assert "1 image whose name does not end in '_left.png'" in data.notes[0]
    (tmp_path / "val.txt").write_text("two\n")
    assert len(load(tmp_path, list="val.txt", **ends).masks) == 1
    error = refusal(tmp_path)
    assert error.problem.startswith("3 of 3 masks are not there; the first is 'one_left.png'")
    assert "'one_ids.png'" in error.next_step


def test_without_masks_there_are_images_alone(tmp_path: Path) -> None:
    """Options of masks without masks are a mistake."""
    fill(tmp_path)
    data = load(tmp_path, masks=None, classes=None)
    assert not data.labelled
    assert data.digest
    assert "has classes and no masks" in refusal(tmp_path, masks=None).problem


def test_a_mask_of_a_turned_image_must_be_turned(tmp_path: Path) -> None:
    """The image is upright by its EXIF orientation, and so may be the mask by its own."""
    fill(tmp_path)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    save(tmp_path / "images/a.jpg", np.zeros((2, 3, 3), np.uint8), exif=exif)
    error = refusal(tmp_path)
    assert error.problem == "mask 0 has 3 x 2 pixels, and its image has 2 x 3"
    assert error.where == str(tmp_path / "masks/a.png")
    assert "EXIF" in error.next_step
    save(tmp_path / "masks/a.png", MASK, exif=exif)
    assert load(tmp_path).digest


BAD_MASKS = {
    "another size": (
        np.zeros((4, 6), np.uint8),
        "6 x 4 pixels, and its image has 3 x 2",
    ),
    "ids of no class": (
        np.array([[0, 1, 7], [9, 9, 0]], np.uint8),
        "the mask has the ids 7, 9 in 3 of 6 pixels",
    ),
    "colours without palette": (COLOURS[np.minimum(MASK, 2)], "the mask has the mode 'RGB'"),
    "16 bits": (MASK.astype(np.uint16), "the mask has 16 bits a pixel"),
}


@pytest.mark.parametrize("kind", BAD_MASKS)
def test_masks_that_cannot_be_used(tmp_path: Path, kind: str) -> None:
    """An error names the file, the value and what is valid."""
    mask, problem = BAD_MASKS[kind]
    fill(tmp_path, mask)
    error = refusal(tmp_path)
    assert problem in error.problem
    assert error.where == str(tmp_path / "masks/a.png")
    assert error.valid
    assert error.next_step


def test_files_that_are_no_masks(tmp_path: Path) -> None:
    """JPEG changes ids; a damaged file is named."""
    fill(tmp_path)
    save(tmp_path / "masks/a.png", MASK, format="JPEG")
    assert "a file of the format JPEG" in refusal(tmp_path).problem
    (tmp_path / "masks/a.png").write_bytes(b"\x89PNG\r\n\x1a\n but damaged")
    assert "the mask cannot be decoded" in refusal(tmp_path).problem
    (tmp_path / "masks/a.png").unlink()
    error = refusal(tmp_path)
    assert error.problem == "1 of 2 masks are not there; the first is 'a.png'"
    assert error.next_step.startswith("put the masks there, or list the images with a mask")
    assert error.where == str(tmp_path / "masks")


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"mask": "masks"}, "the data set has the keys"),
        ({"masks": "no"}, "there is no such folder"),
        ({"masks": "../elsewhere"}, "leaves"),
        ({"classes": 3}, "classes is 3"),
        ({"classes": ["road", "car", "road"]}, "classes has 'road' 2 times"),
        ({"classes": ["road"]}, "the classes are"),
        ({"ids": [0, 1]}, "ids is [0, 1]"),
        ({"ids": [0, 1, 256]}, "ids is [0, 1, 256]"),
        ({"ignore_index": 2}, "the id 2 is that of the class 'sky' and among ignore_index"),
        ({"ignore_index": "no"}, "ignore_index is 'no'"),
        ({"palette": [[0, 0, 0]]}, "palette is 1 colours"),
        ({"palette": [[0, 0, 0]] * 3}, "palette is 3 colours"),
        ({"palette": COLOURS.tolist(), "ids": [0, 1, 2]}, "read by the colours of palette"),
        ({"ignore_palette": [[0, 0, 0]]}, "declared without palette"),
        ({"mask_suffix": 3}, "mask_suffix is 3"),
        ({"boundary_tolerance": 2}, "boundary_tolerance is 2"),
        ({"boundary_tolerance": "wide"}, "boundary_tolerance is 'wide'"),
    ],
)
def test_declarations_that_cannot_be_used(
    tmp_path: Path, declared: dict[str, Any], problem: str
) -> None:
    """Each is an error that names the key, the value and what is valid."""
    fill(tmp_path)
    error = refusal(tmp_path, **declared)
    assert problem in error.problem
    assert error.valid or error.next_step or error.where


@pytest.mark.parametrize(
    ("masks", "options", "problem"),
    [
        ([MASK], {}, "there are 2 images and 1 masks"),
        ([MASK.astype(float)] * 2, {}, r"mask 0 has the shape \(2, 3\) and the type float64"),
        ([MASK[None]] * 2, {}, r"mask 0 has the shape \(1, 2, 3\)"),
        ([MASK + 1] * 2, {}, r"mask 0 has the id 3 in 2 of 6 pixels"),
        ([MASK.T] * 2, {}, "mask 0 has 2 x 3 pixels, and its image has 3 x 2"),
        ([MASK] * 2, {"ignore_index": 2}, "ignore_index is 2, the index of the class 'sky'"),
        ([MASK] * 2, {"classes": ["a", "a", "b"]}, "the class 'a' is named twice"),
        ([MASK] * 2, {"boundary_tolerance": 0.0}, "boundary_tolerance is 0.0"),
    ],
)
def test_data_of_a_function_is_held_to_the_same(
    masks: list[Any], options: dict[str, Any], problem: str
) -> None:
    """An error names the mask and the value."""
    images = [np.zeros((2, 3, 3), np.uint8)] * 2
    declared = {"images": images, "masks": masks, "classes": CLASSES} | options
    with pytest.raises(DataError, match=problem):
        _ = SegmentationData(**declared).digest
    assert SegmentationData(images, [MASK] * 2, CLASSES).digest

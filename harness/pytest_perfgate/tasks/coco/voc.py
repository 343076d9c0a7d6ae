"""Pascal VOC's XML files as COCO's tables, so that all that is known of those holds for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pytest_perfgate.errors import DataError, suggestion
from pytest_perfgate.tasks.declared_classes import declared_classes
from pytest_perfgate.tasks.image_decoding import upright_size
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.tasks.label_files import label_files
from pytest_perfgate.units import count_of

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_LARGEST = 1 << 24  # bytes; thousands of objects take one


@dataclass(frozen=True)
class _Object:
    """One object: the row of its class, its sides as they are written, and whether it is hard."""

    category: int
    sides: tuple[float, float, float, float]
    is_difficult: bool


def read_voc(
    source: Mapping[str, Any], folder: Path, root: Path
) -> tuple[ImageFiles, dict[str, Any]]:
    """The images of a declared data set with `label_format = "voc"`, and COCO's tables for them.

    Where all sides are whole numbers from 1 on they are VOC's own, which count pixels from 1 and
    name the last one: a box from 1 to 1 is one pixel wide.

    Raises:
        DataError: names the file, the object and what is wrong with it.
    """
    found = label_files(source, folder, root, ".xml")
    classes = declared_classes(source, folder, root)
    trees = [_tree(file) if file.is_file() else None for file in found.labels]
    objects = [
        [] if tree is None else _objects(tree, file, classes)
        for tree, file in zip(trees, found.labels, strict=True)
    ]
    every = [side for own in objects for one in own for side in one.sides]
    from_one = bool(every) and min(every) >= 1 and all(side == int(side) for side in every)
    notes = list(found.notes)
    if from_one:
        notes.append("sides of boxes are whole numbers from 1: pixels are counted from 1, as VOC's")
    if hard := sum(one.is_difficult for own in objects for one in own):
        notes.append(f"nothing to find, as COCO's crowds: {count_of(hard, 'difficult object')}")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    rows = zip(found.files, trees, objects, strict=True)
    for index, (file, tree, own) in enumerate(rows, 1):
        height, width = _declared_size(tree) or upright_size(file)
        name = file.relative_to(found.place).as_posix()
        images.append({"id": index, "file_name": name, "height": height, "width": width})
        for one in own:
            left, top, right, bottom = one.sides
            box = [left - from_one, top - from_one]
            box += [right - box[0], bottom - box[1]]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index,
                    "category_id": one.category + 1,
                    "bbox": box,
                    "iscrowd": int(one.is_difficult),
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    tables = {"images": images, "annotations": annotations, "categories": categories}
    return ImageFiles(found.files, notes), tables


def _declared_size(tree: ElementTree.Element | None) -> tuple[Any, Any] | None:
    """Height and width as a file has them, which are compared with the picture; None: it does not
    say, or has zeros, as tools write that do not know.
    """
    if tree is None:
        return None
    texts = [tree.findtext(f"size/{side}") for side in ("height", "width")]
    height, width = ((text or "").strip() for text in texts)
    return None if height in ("", "0") or width in ("", "0") else (height, width)


def _objects(top: ElementTree.Element, file: Path, classes: tuple[str, ...]) -> list[_Object]:
    """The objects of a file.

    Raises:
        DataError: one of them is wrong.
    """
    objects = []
    for number, element in enumerate(top.iterfind("object"), 1):
        where = f"{file}: object {number}"
        name = (element.findtext("name") or "").strip()
        if name not in classes:
            raise DataError(
                f"the name {name!r} is not among the classes",
                where=where,
                valid=suggestion(name, classes),
            )
        texts = [(element.findtext(f"bndbox/{side}") or "").strip() for side in _SIDES]
        try:
            left, up, right, down = (float(text) for text in texts)
        except ValueError:
            raise DataError(
                f"the sides of the box are {texts}", where=where, valid=", ".join(_SIDES)
            ) from None
        if not (left <= right and up <= down):  # also what is not a number
            raise DataError(
                f"the sides of the box are {texts}",
                where=where,
                valid="xmin up to xmax, ymin up to ymax, in pixels",
            )
        difficult = (element.findtext("difficult") or "0").strip()
        if difficult not in ("0", "1"):
            raise DataError(f"difficult is {difficult!r}", where=where, valid="0 or 1")
        sides = (left, up, right, down)
        objects.append(_Object(classes.index(name), sides, difficult == "1"))
    return objects


def names_of_objects(file: Path) -> list[str]:
    """The name of each object of a file, in its order.

    Raises:
        DataError: it is no annotation of VOC's.
    """
    return [(one.findtext("name") or "").strip() for one in _tree(file).iterfind("object")]


def _tree(file: Path) -> ElementTree.Element:
    """The file's top element. A document type, which can name other files and unfold to gigabytes,
    has no place in such a file.
    """
    try:
        if file.stat().st_size > _LARGEST:
            raise DataError(
                f"the file has {file.stat().st_size:,} bytes",
                where=str(file),
                valid=f"up to {_LARGEST:,}",
            )
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(file)) from error
    if b"<!DOCTYPE" in content.upper().replace(b"\0", b""):
        raise DataError(
            "the file has a document type", where=str(file), next_step="take the line <!DOCTYPE out"
        )
    try:
        top = ElementTree.fromstring(content)  # noqa: S314 - no document type: nothing unfolds
    except ElementTree.ParseError as error:
        raise DataError(f"the file is not XML: {error}", where=str(file)) from error
    if top.tag != "annotation":
        raise DataError(
            f"the file's element is {top.tag[:80]!r}", where=str(file), valid="<annotation> of VOC"
        )
    return top

"""Files of COCO annotations, and the pictures that they name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.ids import short
from pytest_perfgate.tasks.coco.instances import of_images
from pytest_perfgate.tasks.coco.voc import read_voc
from pytest_perfgate.tasks.coco.yolo import read_yolo, refuse_both
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path, hint, listed_file
from pytest_perfgate.tasks.image_folder import (
    declared_folder,
    listed_files,
    listed_names,
    other_types_note,
    pictures,
    refuse_other_keys,
    refuse_twice,
)
from pytest_perfgate.tasks.yolo_labels import KEYS, Kind

Data = TypeVar("Data")


def read_coco(
    source: Mapping[str, Any],
    folder: Path,
    root: Path,
    make: Callable[[ImageFiles, dict[str, Any], bool], Data],
    more: Sequence[str] = (),
    kind: Kind = "boxes",
) -> Data:
    """A declared data set: `{ images = "folder", annotations = "instances.json" }`, or with YOLO's
    `labels` and `classes`. Without either nothing is known of the images below the folder. `list`
    names a text file with some of the images. `make` takes the images, COCO's tables and whether
    there are annotations; `more` are further keys of the task; `kind` is what labels must hold.

    Raises:
        DataError: names the file, the entry and what is wrong with it.
    """
    refuse_other_keys(source, ("images", "annotations", "list", *KEYS, *more))
    refuse_both(source)
    if "labels" in source:
        form = source.get("label_format", "yolo")
        if form == "voc" and kind == "boxes":
            return make(*read_voc(source, folder, root), True)
        if form != "yolo":
            valid = '"yolo", or "voc"' if kind == "boxes" else '"yolo"'
            raise DataError(f"label_format is {form!r}", valid=valid)
        return make(*read_yolo(source, folder, root, kind), True)
    place = declared_folder(source, folder, root)
    names = listed_names(source, folder, root)
    if "annotations" not in source:
        return make(*pictures_alone(place, names), False)
    file = declared_path(folder, str(source["annotations"]), root)
    coco = read_instances_file(file)
    try:
        if names is not None:
            coco = of_images(coco, names)
        return make(ImageFiles(picture_files(coco["images"], place)), coco, True)
    except DataError as error:
        raise error.at(str(file)) from None


def pictures_alone(place: Path, names: list[str] | None) -> tuple[ImageFiles, dict[str, Any]]:
    """The pictures below a folder, or those of a list, and COCO's entries for them without any
    annotation.

    Raises:
        DataError: there are none, or one is not there.
    """
    files, others = pictures(place) if names is None else (listed_files(place, names), {})
    if not files:
        raise DataError("there are no images", where=str(place))
    coco = {
        "images": [
            {"id": row + 1, "file_name": name if names else file.relative_to(place).as_posix()}
            for row, (file, name) in enumerate(zip(files, names or map(str, files), strict=True))
        ],
        "annotations": [],
        "categories": [{"id": 1, "name": "unknown"}],
    }
    return ImageFiles(files, other_types_note(others)), coco


def read_instances_file(file: Path) -> dict[str, Any]:
    """The JSON of the file: UTF-8, with a byte order mark or without, or UTF-16.

    Raises:
        DataError: it cannot be read, or holds no COCO instances.
    """
    try:
        coco = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(file)) from error
    except RecursionError as error:
        raise DataError("the file is nested too deeply", where=str(file)) from error
    except ValueError as error:
        raise DataError(f"the file is not JSON: {error}", where=str(file)) from error
    if isinstance(coco, list):
        raise DataError(
            "the file holds a list: these are results of a detector, not instances",
            where=str(file),
            valid="a table of images, annotations and categories",
        )
    if not isinstance(coco, dict) or not isinstance(coco.get("images"), list):
        raise DataError(
            "the file holds no COCO instances",
            where=str(file),
            valid="a table of images, annotations and categories",
        )
    return coco


def picture_files(entries: list[Any], place: Path) -> list[Path]:
    """The file of each entry of `images`.

    Raises:
        DataError: an entry names none, or one is not there.
    """
    files: list[Path] = []
    missing: list[tuple[int, str]] = []
    for row, entry in enumerate(entries):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise DataError(f"images[{row}] has the file_name {short(name)}", valid="a path")
        file = listed_file(place, name)
        if file is None:
            missing.append((row, name))
        else:
            files.append(file)
    if missing:
        row, name = missing[0]
        raise DataError(
            f"{len(missing)} of {len(entries)} images are not there; the first is images[{row}], "
            f"{short(name)}",
            where=str(place),
            next_step=hint(place, name)
            or "fetch them, or take their entries and annotations out of the file",
        )
    refuse_twice(files, [f"images[{row}]" for row in range(len(files))])
    return files

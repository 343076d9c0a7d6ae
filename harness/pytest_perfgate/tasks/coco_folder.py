"""A declared data set of detection: a folder of images, and a file of COCO instances."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco_instances import short
from pytest_perfgate.tasks.detection_data import DetectionData
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path, hint, listed_file


def read_folder(source: Mapping[str, Any], folder: Path, root: Path) -> DetectionData:
    """A declared data set: `{ images = "folder", annotations = "instances.json" }`.

    Raises:
        DataError: names the file, the entry and what is wrong with it.
    """
    if source.keys() != {"images", "annotations"}:
        raise DataError(f"the data set has the keys {sorted(source)}", valid="images, annotations")
    file = declared_path(folder, str(source["annotations"]), root)
    pictures = declared_path(folder, str(source["images"]), root)
    coco = _parsed(file)
    try:
        return DetectionData(images=ImageFiles(_files(coco["images"], pictures)), coco=coco)
    except DataError as error:
        raise error.at(str(file)) from None


def _parsed(file: Path) -> dict[str, Any]:
    """The JSON of the file: UTF-8, with a byte order mark or without, or UTF-16."""
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


def _files(entries: list[Any], pictures: Path) -> list[Path]:
    """The file of each image entry."""
    if not pictures.is_dir():
        raise DataError("there is no such folder", where=str(pictures))
    files: list[Path] = []
    missing: list[tuple[int, str]] = []
    for row, entry in enumerate(entries):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise DataError(f"images[{row}] has the file_name {short(name)}", valid="a path")
        file = listed_file(pictures, name)
        if file is None:
            missing.append((row, name))
        else:
            files.append(file)
    if missing:
        row, name = missing[0]
        raise DataError(
            f"{len(missing)} of {len(entries)} images are not there; the first is images[{row}], "
            f"{short(name)}",
            where=str(pictures),
            next_step=hint(pictures, name)
            or "fetch them, or take their entries and annotations out of the file",
        )
    return files

"""YOLO's text labels as COCO's tables, so that all that is known of those holds for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.image_decoding import upright_size
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.tasks.yolo_labels import Kind, Labelled, Row, is_labelled, read_labels

_OF_THE_BOX = 0.53
"""Area of a person as a fraction of its box. These labels hold no areas, which the similarity of
keypoints divides by; Ultralytics takes this one, and so the figures are comparable with its own."""


def read_yolo(
    source: Mapping[str, Any], folder: Path, root: Path, kind: Kind
) -> tuple[ImageFiles, dict[str, Any]]:
    """The images of a declared data set with `labels`, and COCO's tables for them.

    Raises:
        DataError: names the file, the line and what is wrong with it.
    """
    labelled = read_labels(source, folder, root, kind)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, (file, rows) in enumerate(zip(labelled.files, labelled.rows, strict=True), 1):
        height, width = upright_size(file)
        images.append(
            {
                "id": index,
                "file_name": file.relative_to(labelled.place).as_posix(),
                "height": height,
                "width": width,
            }
        )
        annotations += [
            {
                "id": len(annotations) + at,
                "image_id": index,
                "category_id": row.category + 1,
                **_object(row, kind, (width, height), labelled),
            }
            for at, row in enumerate(rows, 1)
        ]
    return labelled.images, {
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name} for number, name in enumerate(labelled.classes, 1)
        ],
    }


def _object(row: Row, kind: Kind, size: tuple[int, int], labelled: Labelled) -> dict[str, Any]:
    """The fields of an object in a picture of a width and height in pixels."""
    numbers = row.numbers
    points = [(x * size[0], y * size[1]) for x, y in zip(numbers[::2], numbers[1::2], strict=False)]
    if kind == "outlines":
        return {"segmentation": [[value for point in points for value in point]]}
    keypoints = labelled.keypoints
    is_box = len(numbers) == 4 or (keypoints and len(numbers) == 4 + keypoints[0] * keypoints[1])
    if is_box:
        box = pixels_of_box(numbers, size)
    else:
        left, top = (min(values) for values in zip(*points, strict=True))
        right, bottom = (max(values) for values in zip(*points, strict=True))
        box = [left, top, right - left, bottom - top]
    area = box[2] * box[3]
    if kind != "keypoints" or keypoints is None:
        return {"bbox": box, "area": area}
    triples: list[float] = []
    for at in range(4, len(numbers), keypoints[1]):
        point = numbers[at : at + keypoints[1]]
        seen = (point[2] if len(point) == 3 else 2) if is_labelled(point) else 0
        triples += [point[0] * size[0], point[1] * size[1], seen] if seen else [0, 0, 0]
    return {"bbox": box, "area": area * _OF_THE_BOX, "keypoints": triples}


def pixels_of_box(numbers: Sequence[float], size: tuple[int, int]) -> list[float]:
    """Left, top, width and height in pixels of a box that is given by its centre and size, as
    fractions of a picture of width and height `size`.
    """
    x, y, width, height = (number * size[at % 2] for at, number in enumerate(numbers[:4]))
    return [x - width / 2, y - height / 2, width, height]


def refuse_both(source: Mapping[str, Any]) -> None:
    """Check that a data set's truth is in one format.

    Raises:
        DataError: it names COCO's annotations and YOLO's labels.
    """
    if "annotations" in source and "labels" in source:
        raise DataError(
            "the data set has annotations and labels",
            valid="annotations (COCO's JSON), or labels (YOLO's or VOC's files)",
        )

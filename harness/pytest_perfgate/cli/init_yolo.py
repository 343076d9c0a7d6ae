"""YOLO's text labels beside folders of images, for `pytest-perfgate init`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pytest_perfgate.cli.init_facts import (
    DETECTION,
    INSTANCES,
    ORIENTED,
    POSE,
    DataFacts,
)
from pytest_perfgate.cli.init_folders import names_beside
from pytest_perfgate.cli.init_pairs import Pair, of_pairs, with_labels
from pytest_perfgate.errors import DataError

_LABELS = ("labels", "label", "labels_yolo", "yolo")
_BOX, _CORNERS = 4, 8  # numbers behind a line's class
_CLASSES = 100_000
"""More than any network has: the number before is of something else."""

_TASKS = {
    "keypoints": (POSE, DETECTION),
    "corners": (ORIENTED,),
    "outlines": (INSTANCES, DETECTION),
    "boxes": (DETECTION,),
}


@dataclass(frozen=True)
class _Described:
    """What a data set's YAML says: its file, the names of classes, kpt_shape, and the folders of
    its `val` and `train` where they are there with their labels.
    """

    file: Path | None = None
    classes: tuple[str, ...] = ()
    keypoints: tuple[int, int] | None = None
    pairs: tuple[Pair, ...] = ()
    problem: str = ""


def yolo(folder: Path) -> Iterator[DataFacts]:
    """What the labels can be the truth of. Four points are the corners of a rotated box or an
    outline: both are told.
    """
    declared = _described(folder).pairs
    for kind in _TASKS:
        read = partial(_labels, folder, kind)
        data = of_pairs(folder, _LABELS, read, declared=declared, beside_images=True)
        if data is not None:
            yield data


def _labels(folder: Path, kind: str, pair: Pair, training: Pair | None) -> DataFacts | None:
    import numpy as np

    from pytest_perfgate.tasks.image_folder import pictures

    files = [file.relative_to(pair.images).as_posix() for file in pictures(pair.images)[0]]
    lines = {name: _lines((pair.truth / name).with_suffix(".txt")) for name in files}
    described = _described(folder)
    read = [one for one in lines.values() if one is not None]
    counts = {len(line) - 1 for one in read for line in one}
    if not counts or not _is(kind, counts, described.keypoints):
        return None
    notes = [described.problem] if described.problem else []
    validation, calibration = with_labels(pair, training, files, len(read), notes)
    last = max(int(line[0]) for one in read for line in one)
    classes = described.classes or names_beside(folder, pair.truth.parent, pair.truth)
    unknown = []
    if len(classes) <= last:
        classes = tuple(f"class {index}" for index in range(last + 1))
        unknown.append(
            "the names of the classes: there is no data.yaml or classes.txt; labels have numbers "
            f"up to {last}. Set classes = [...] in [suite.data]"
        )
    objects = np.zeros((len(validation.names), len(classes)), dtype=np.int64)
    for row, name in enumerate(validation.names):
        for line in lines[name] or ():
            objects[row, int(line[0])] += 1
    truth: dict[str, Any] = {"labels": pair.truth}
    if described.file is not None and described.classes == classes:
        truth["classes"] = described.file
    if kind == "corners":
        truth["label_format"] = "yolo"
    return DataFacts(
        _TASKS[kind],
        validation,
        calibration,
        truth=truth,
        classes=classes,
        keypoints=described.keypoints[0] if kind == "keypoints" and described.keypoints else 0,
        objects=objects,
        notes=tuple(notes),
        unknown=tuple(unknown),
    )


def _is(kind: str, counts: set[int], keypoints: tuple[int, int] | None) -> bool:
    """Whether lines with so many numbers behind their class have what a kind needs."""
    if keypoints is not None and counts == {_BOX + keypoints[0] * keypoints[1]}:
        return kind == "keypoints"
    outlines = all(count >= 6 and count % 2 == 0 for count in counts)
    if kind == "corners":
        return counts == {_CORNERS}
    if kind == "outlines":
        return outlines
    boxes = all(count == _BOX or (count >= 6 and count % 2 == 0) for count in counts)
    return kind == "boxes" and boxes and not outlines


def _lines(file: Path) -> list[list[float]] | None:
    """The numbers of each line, none of a line of another kind; None: there is no file."""
    if not file.is_file():
        return None
    lines = []
    for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        if not line.strip():
            continue
        try:
            numbers = [float(word) for word in line.split()]
        except ValueError:
            numbers = []
        is_class = bool(numbers) and 0 <= numbers[0] < _CLASSES and numbers[0].is_integer()
        lines.append(numbers if is_class else [])
    return lines


def _described(folder: Path) -> _Described:
    """What the first YAML with names in the folder says."""
    from pytest_perfgate.tasks.declared_classes import class_names, read_yaml
    from pytest_perfgate.tasks.yolo_labels import keypoints_shape

    problem = ""
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            table = read_yaml(file)
            if "names" in table:
                shape = keypoints_shape(table.get("kpt_shape"))
                pairs, problem = _declared_pairs(file, table)
                return _Described(file, class_names(table["names"]), shape, pairs, problem)
        except DataError as error:
            problem = f"{file.name} is not used: {error.problem}"
    return _Described(problem=problem)


def _declared_pairs(file: Path, table: Mapping[str, Any]) -> tuple[tuple[Pair, ...], str]:
    """The folders of `val`, or `test`, and of `train`, as Ultralytics looks them up; and what to
    say of held-out images that are not there.
    """
    pairs = {key: _declared_pair(file.parent, table, key) for key in ("val", "test", "train")}
    scored = pairs["val"] or pairs["test"]
    if scored is not None:
        return tuple(pair for pair in (scored, pairs["train"]) if pair is not None), ""
    said = table.get("val")
    problem = "" if said is None else f"{file.name} has val = {str(said)[:80]!r}, which is not read"
    return (), problem and f"{problem}: it is no folder of images with one of labels beside it"


def _declared_pair(folder: Path, table: Mapping[str, Any], key: str) -> Pair | None:
    """Images of a key, and their labels: `images` in the path becomes `labels`, or both lie in one
    folder. A path that leads out of the data set, as Roboflow writes it, is looked up within.
    """
    said = table.get(key)
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if not isinstance(said, str) or not said:
        return None
    base = Path(str(table.get("path") or "."))
    inside = Path(*[part for part in Path(said).parts if part not in {"..", "/"}])
    for images in (folder / base / said, folder / said, folder / inside):
        parts = images.parts
        if not images.is_dir() or not images.resolve().is_relative_to(folder.resolve()):
            continue
        if "images" in parts[len(folder.parts) :]:
            at = len(parts) - 1 - parts[::-1].index("images")
            labels = Path(*parts[:at], "labels", *parts[at + 1 :])
        else:
            labels = images
        if labels.is_dir():
            return Pair(images, labels, "train" if key == "train" else key)
    return None

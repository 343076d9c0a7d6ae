"""Files of annotations in a folder of data, for `pytest-perfgate init`: COCO's instances, keypoints
and panoptic segments, and tracks of COCO-VID.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.cli.init_facts import (
    DETECTION,
    INSTANCES,
    PANOPTIC,
    POSE,
    TRACKING,
    DataFacts,
    Pictures,
    chosen,
    listable,
)
from pytest_perfgate.cli.init_splits import training_beside
from pytest_perfgate.errors import DataError

_JSON_FILES = 20  # that are read: a folder may have one for each image
_TRIED = 20  # entries that are looked at, and file names that are looked up in a folder
_PERSON = 17  # COCO's keypoints, whose sigmas are known
_SIGMA = 0.05

Coco = Mapping[str, Any]


def annotated(folder: Path) -> Iterator[DataFacts]:
    """What each file of annotations knows, those of held-out images first.

    Raises:
        DataError: its images are not there, or an entry is wrong.
    """
    yielded = False
    for file in _json_files(folder):
        coco = _tables(file)
        if coco is None:
            continue
        try:
            data = _of_file(folder, file, coco)
        except DataError as error:
            if yielded:  # of other images than those that are there
                continue
            raise (error if error.where else error.at(str(file))) from None
        yielded = True
        yield data


def _json_files(folder: Path) -> list[Path]:
    """Files that may hold annotations, those of held-out images first."""
    files = [*folder.glob("*.json"), *folder.glob("*/*.json")]

    def order(file: Path) -> tuple[bool, bool, bool, str]:
        name = f"{file.parent.name}/{file.name}".lower()
        held_out = any(word in name for word in ("val", "test"))
        return "train" in name, not held_out, "instances" not in name, str(file)

    files = [file for file in files if not file.name.startswith(".")]
    return sorted(files, key=order)[:_JSON_FILES]


def _tables(file: Path) -> Coco | None:
    """COCO's tables with boxes, segments or tracks; None: the file holds something else."""
    from pytest_perfgate.tasks.coco.files import read_instances_file

    try:
        coco = read_instances_file(file)
    except DataError:
        return None
    annotations = coco.get("annotations")
    if not isinstance(annotations, list) or not isinstance(coco.get("categories"), list):
        return None
    if not annotations or _any(coco, "bbox") or _any(coco, "segments_info"):
        return coco
    return None


def _any(coco: Coco, key: str) -> bool:
    """Whether one of the first annotations has a value for the key."""
    return any(isinstance(entry, dict) and entry.get(key) for entry in coco["annotations"][:_TRIED])


def _of_file(folder: Path, file: Path, coco: Coco) -> DataFacts:
    from pytest_perfgate.tasks.image_files import listed_file

    names = [
        str(entry["file_name"])
        for entry in coco["images"]
        if isinstance(entry, dict) and entry.get("file_name")
    ]
    maps = _maps_of(file, coco) if _any(coco, "segments_info") else None
    place = _place_of(folder, file, names, maps)
    if isinstance(coco.get("videos"), list):
        return _videos(file, place, coco, names)
    present = [name for name in names if listable(name) and listed_file(place, name) is not None]
    notes = []
    if len(present) < len(names):
        notes.append(
            f"{len(present)} of {len(names)} images of {file.name} are there and can be listed"
        )
    validation, calibration = chosen(place, present, training_beside(place), notes)
    whole = validation.whole and len(validation.names) == len(names)
    validation = Pictures(place, validation.names, whole)
    if maps is not None:
        return _panoptic(file, coco, maps, validation, calibration, notes)
    return _instances(file, coco, validation, calibration, notes)


def _instances(
    file: Path,
    coco: Coco,
    validation: Pictures,
    calibration: Pictures | None,
    notes: list[str],
) -> DataFacts:
    """Boxes, and what else of masks and keypoints the annotations have."""
    import numpy as np

    from pytest_perfgate.tasks.coco.instances import of_images, read_instances

    subset = of_images(coco, validation.names)
    instances = read_instances(subset, len(validation.names))
    objects = np.zeros((len(validation.names), len(instances.categories)), dtype=np.int64)
    rows = ~instances.crowd
    np.add.at(objects, (instances.image[rows], instances.category[rows]), 1)
    if not objects.any():
        notes.append(f"{file.name} has no objects in these images: nothing can be scored")
        return DataFacts((), validation, calibration, notes=tuple(notes))
    tasks = [INSTANCES] if _any(coco, "segmentation") else []
    keypoints = max(
        (len(one.get("keypoints") or ()) for one in coco["categories"] if isinstance(one, dict)),
        default=0,
    )
    if keypoints and _any(coco, "keypoints"):
        tasks.append(POSE)
    return DataFacts(
        (*tasks, DETECTION),  # boxes are of all of them, and so the last
        validation,
        calibration,
        truth={"annotations": file},
        classes=instances.categories,
        keypoints=keypoints,
        objects=objects,
        notes=tuple(notes),
    )


def sigmas(keypoints: int) -> list[float]:
    """A tolerance for each keypoint of a data set; none where they are COCO's, which are known."""
    return [] if keypoints == _PERSON else [_SIGMA] * keypoints


def _panoptic(
    file: Path,
    coco: Coco,
    maps: Path,
    validation: Pictures,
    calibration: Pictures | None,
    notes: list[str],
) -> DataFacts:
    """COCO's panoptic segments, with the folder of their maps."""
    truth: dict[str, Any] = {"annotations": file}
    if maps != file.with_suffix(""):
        truth["maps"] = maps
    categories = [entry for entry in coco["categories"] if isinstance(entry, dict)]
    return DataFacts(
        (PANOPTIC,),
        validation,
        calibration,
        truth=truth,
        classes=tuple(str(entry.get("name")) for entry in categories),
        things=tuple(bool(entry.get("isthing")) for entry in categories),
        notes=tuple(notes),
    )


def _maps_of(file: Path, coco: Coco) -> Path:
    """The folder with the maps of panoptic segments.

    Raises:
        DataError: no folder near the file has the first of them.
    """
    first = next(
        str(entry["file_name"])
        for entry in coco["annotations"]
        if isinstance(entry, dict) and entry.get("file_name")
    )
    near = [file.with_suffix(""), *sorted(path for path in file.parent.glob("*/") if path.is_dir())]
    near += sorted(path for path in file.parent.parent.glob("*/") if path.is_dir())
    for place in near:
        if (place / first).is_file():
            return place
    raise DataError(
        f"no folder near it has the map {first!r}",
        where=str(file),
        valid=f"a folder of PNGs beside it, such as {file.stem}/",
    )


def _videos(file: Path, place: Path, coco: Coco, names: Sequence[str]) -> DataFacts:
    """Tracks of a COCO-VID file, which has no list: all of its videos are scored."""
    classes = tuple(
        str(entry.get("name")) for entry in coco["categories"] if isinstance(entry, dict)
    )
    return DataFacts(
        (TRACKING,),
        Pictures(place, tuple(str(video.get("name")) for video in coco["videos"]), True),
        None,
        truth={"annotations": file},
        classes=classes,
        notes=(f"all {len(names)} frames of {file.name} are scored: none calibrates",),
    )


def _place_of(folder: Path, file: Path, names: Sequence[str], maps: Path | None) -> Path:
    """The folder that the file names of images are relative to. `maps` is none of images, though
    its files may have their names.

    Raises:
        DataError: there are no entries, or none of the first is in a folder near the file.
    """
    from pytest_perfgate.tasks.image_files import listed_file

    if not names:
        raise DataError("no entry of images has a file_name", where=str(file))
    near = [file.parent, folder, *sorted(path for path in folder.glob("*/") if path.is_dir())]
    near += sorted(path for path in folder.glob("*/*/") if path.is_dir())
    stem = file.stem.rpartition("_")[2]  # instances_val2017.json lies beside val2017
    near.sort(key=lambda path: path.name != stem)
    counts: dict[Path, int] = {}
    for place in near:
        if place == maps:
            continue
        try:
            counts[place] = sum(listed_file(place, name) is not None for name in names[:_TRIED])
        except DataError:  # a name that leads out of this folder
            continue
    best = max(counts, key=lambda place: counts[place], default=folder)
    if not counts.get(best):
        raise DataError(
            f"no folder near it has the image {names[0]!r}",
            where=str(file),
            valid="images below the folder of data, by the file_name of their entries",
        )
    return best

"""Sequences in MOTChallenge's folders: `img1/`, `gt/gt.txt` and `seqinfo.ini` in each."""

from __future__ import annotations

import configparser
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path
from pytest_perfgate.tasks.image_folder import is_hidden
from pytest_perfgate.tasks.sequences import frame_files
from pytest_perfgate.tasks.tracking.data import OTHER, Objects, TrackingData
from pytest_perfgate.units import count_of

_KEYS = ("sequences", "classes", "ids", "ignored")
_PEDESTRIAN = ("pedestrian",)
_DISTRACTORS = (2, 7, 8, 12)
"""Of MOT16, MOT17 and MOT20: persons on vehicles, static persons, distractors, reflections."""
_LINE = "frame, id, left, top, width, height, conf, class, visibility"


@dataclass(frozen=True)
class _Classes:
    """What the eighth column says: names, the id of each, and ids of objects that are ignored."""

    names: tuple[str, ...]
    ids: tuple[int, ...]
    ignored: tuple[int, ...]

    def category(self, number: int, *, counts: bool) -> int:
        """The index of a class, or `OTHER`."""
        number = self.ids[0] if number < 0 else number  # files without classes have -1
        return self.ids.index(number) if counts and number in self.ids else OTHER


def read_mot(source: Mapping[str, Any], folder: Path, root: Path) -> TrackingData:
    """A declared data set: `{ sequences = "folder" }`, a folder of sequences in the order of their
    names. `classes` names the classes, `ids` says which number each has in `gt.txt` (default: 1, 2,
    …), and `ignored` which numbers objects have on which boxes do not count. Without `classes` the
    class 1 is counted as pedestrian, and MOTChallenge's distractors are ignored. Objects with a
    `conf` of 0 are not counted.

    Raises:
        DataError: names the file, the line, the value, and what is valid.
    """
    if not source.keys() <= set(_KEYS):
        raise DataError(f"the data set has the keys {sorted(source)}", valid=", ".join(_KEYS))
    place = declared_path(folder, str(source["sequences"]), root)
    if not place.is_dir():
        raise DataError("there is no such folder", where=str(place))
    folders = sorted(one for one in place.iterdir() if one.is_dir() and not is_hidden(one.name))
    if not folders:
        raise DataError(
            "there are no sequences", where=str(place), valid="SEQUENCE/img1/000001.jpg"
        )
    classes = _classes(source)
    files: list[Path] = []
    lengths: list[int] = []
    objects: list[Objects] = []
    counts: Counter[str] = Counter()
    with_truth = [one for one in folders if (one / "gt" / "gt.txt").is_file()]
    if with_truth and len(with_truth) < len(folders):
        missing = next(one for one in folders if one not in with_truth)
        raise DataError("there is no gt/gt.txt, and other sequences have one", where=str(missing))
    for one in folders:
        images, size = _images(one)
        files += images
        lengths.append(len(images))
        if with_truth:
            objects += _objects(one / "gt" / "gt.txt", len(images), classes, counts)
        _refuse_other_size(images[0], size)
    left_out = [f"{words}: {count_of(counts[words], 'box', 'boxes')}" for words in sorted(counts)]
    names = [one.name for one in folders]
    return TrackingData(ImageFiles(files), lengths, objects, classes.names, names, left_out)


def _classes(source: Mapping[str, Any]) -> _Classes:
    declared = source.get("classes")
    names = _PEDESTRIAN if declared is None else tuple(map(str, declared))
    ids = tuple(source.get("ids", range(1, len(names) + 1)))
    ignored = tuple(source.get("ignored", _DISTRACTORS if declared is None else ()))
    if isinstance(declared, str) or not names or len(set(names)) != len(names):
        raise DataError(f"classes is {declared!r}", valid="a list of names")
    if len(ids) != len(names) or not all(isinstance(one, int) for one in (*ids, *ignored)):
        raise DataError(
            f"ids is {list(ids)} and ignored is {list(ignored)}",
            valid=f"{len(names)} numbers of the column class, and the numbers that are ignored",
        )
    if both := sorted(set(ids) & set(ignored)):
        raise DataError(f"class {both[0]} is counted and ignored", valid="one of the two")
    return _Classes(names, ids, ignored)


def _images(folder: Path) -> tuple[list[Path], tuple[int, int] | None]:
    """The frames of a sequence, and their declared width and height."""
    info, file = configparser.ConfigParser(interpolation=None), folder / "seqinfo.ini"
    try:
        info.read_string(file.read_text(encoding="utf-8-sig") if file.is_file() else "[Sequence]")
        keys = info["Sequence"]
        length = keys.getint("seqLength", fallback=0)
        width, height = (keys.getint(key, fallback=0) for key in ("imWidth", "imHeight"))
    except (configparser.Error, KeyError, ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f"it cannot be read: {error}",
            where=str(file),
            valid="[Sequence] with imDir, seqLength, imWidth and imHeight",
        ) from error
    images = folder / keys.get("imDir", "img1")
    if not images.is_dir():
        raise DataError("there is no such folder of frames", where=str(images))
    files = frame_files(images)
    if length and length != len(files):
        raise DataError(
            f"seqLength = {length}, and {images.name} has {count_of(len(files), 'frame')}",
            where=str(file),
            next_step="restore the frames, or correct seqLength",
        )
    return files, (width, height) if width and height else None


def _refuse_other_size(file: Path, size: tuple[int, int] | None) -> None:
    from PIL import Image

    try:
        with Image.open(file) as image:
            own = image.size
    except Exception:  # noqa: BLE001 - decoding it says what is wrong with it
        return
    if size is not None and own != size:
        raise DataError(
            f"the frame has {own[0]} x {own[1]} pixels, and seqinfo.ini says {size[0]} x {size[1]}",
            where=str(file),
            next_step="correct imWidth and imHeight, or scale the boxes to the frames",
        )


def _objects(file: Path, frames: int, classes: _Classes, counts: Counter[str]) -> list[Objects]:
    """The objects of each frame of a `gt.txt`."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"it cannot be read: {error}", where=str(file)) from error
    rows: list[dict[int, tuple[list[float], int, bool]]] = [{} for _ in range(frames)]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        frame, own, box, conf, kind = _row(line, f"{file}: line {number}")
        if not 1 <= frame <= frames:
            raise DataError(
                f"it is of frame {frame}", where=f"{file}: line {number}", valid=f"1 to {frames}"
            )
        if own in rows[frame - 1]:
            raise DataError(
                f"frame {frame} has two boxes of the object {own}", where=f"{file}: line {number}"
            )
        if box[2] <= 0 or box[3] <= 0:
            counts["left out of the objects, for they have no area"] += 1
            continue
        ignored = kind in classes.ignored
        category = classes.category(kind, counts=conf != 0 and not ignored)
        if category == OTHER and not ignored:
            counts["not counted, for their conf is 0 or their class is another"] += 1
        corners = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
        rows[frame - 1][own] = corners, category, ignored
    return [
        Objects.of(
            [box for box, _, _ in row.values()],
            list(row),
            [category for _, category, _ in row.values()],
            [ignored for _, _, ignored in row.values()],
        )
        for row in rows
    ]


def _row(line: str, where: str) -> tuple[int, int, Sequence[float], float, int]:
    """Frame, id, box, conf and class of a line."""
    try:
        values = [float(part) for part in line.split(",")]
        if not 6 <= len(values) <= 10 or not all(map(math.isfinite, values)):
            raise ValueError
        frame, own = int(values[0]), int(values[1])
        if (frame, own) != (values[0], values[1]):
            raise ValueError
    except ValueError:
        raise DataError(f"the line is {line[:80]!r}", where=where, valid=_LINE) from None
    # A file of MOT15 ends on world coordinates, three numbers of -1 where nobody knows them.
    conf = values[6] if len(values) > 6 else 1.0
    kind = int(values[7]) if len(values) in {8, 9} else -1
    return frame, own, values[2:6], conf, kind

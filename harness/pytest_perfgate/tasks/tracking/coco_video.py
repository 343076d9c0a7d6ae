"""Sequences as frames in a folder and a COCO-VID file: `videos`, and a track's number in each
annotation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.coco.ids import short
from pytest_perfgate.tasks.coco.instances import Instances, read_instances
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path, hint, listed_file
from pytest_perfgate.tasks.sequences import refuse_gap
from pytest_perfgate.tasks.tracking.data import Objects, TrackingData

_KEYS = ("images", "annotations")
_TRACK = ("instance_id", "track_id")
"""A track's number: MMTracking's key, and that of TAO and BURST."""


def read_coco_video(source: Mapping[str, Any], folder: Path, root: Path) -> TrackingData:
    """A declared data set: `{ images = "folder", annotations = "videos.json" }`. Each image has
    `video_id` and `frame_id`, each annotation `instance_id` or `track_id`; crowds are ignored.

    Raises:
        DataError: names the file, the entry, its value, and what is valid.
    """
    if source.keys() != set(_KEYS):
        raise DataError(f"the data set has the keys {sorted(source)}", valid=", ".join(_KEYS))
    place = declared_path(folder, str(source["images"]), root)
    if not place.is_dir():
        raise DataError("there is no such folder", where=str(place))
    file = declared_path(folder, str(source["annotations"]), root)
    try:
        coco = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"it cannot be read: {error}", where=str(file)) from error
    try:
        if not isinstance(coco, Mapping) or not isinstance(coco.get("videos"), list):
            raise DataError(
                "the file has no list 'videos'",
                valid="a COCO-VID file: videos, images, annotations, categories",
                next_step='MOTChallenge folders are declared as { sequences = "folder" }',
            )
        return data_of(coco, lambda images: ImageFiles(_files(place, images)))
    except DataError as error:
        raise error.at(str(file)) from None


def data_of(coco: Mapping[str, Any], images_of: Any) -> TrackingData:
    """The data of a parsed file; `images_of` gives the images of its entries, in an order.

    Raises:
        DataError: an entry is wrong.
    """
    instances = read_instances(coco, len(coco.get("images", ())))
    entries: Sequence[Mapping[str, Any]] = coco["images"]
    order, lengths, names = _order(coco["videos"], entries)
    tracks = _tracks(coco["annotations"], instances)
    return TrackingData(
        images_of([entries[row] for row in order]),
        lengths,
        [_objects(instances, tracks, row) for row in order],
        instances.categories,
        names,
        instances.notes,
    )


def _order(
    videos: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]]
) -> tuple[list[int], list[int], list[str]]:
    """Rows of images, video by video and frame by frame; the videos' lengths and names."""
    rows: dict[Any, list[int]] = {video.get("id"): [] for video in videos}
    for row, entry in enumerate(entries):
        if entry.get("video_id") not in rows:
            raise DataError(
                f"images[{row}] names the video {short(entry.get('video_id'))}, which is not there",
                valid=", ".join(map(short, list(rows)[:20])),
            )
        frame = entry.get("frame_id")
        if isinstance(frame, bool) or not isinstance(frame, int):
            raise DataError(
                f"images[{row}] has the frame_id {short(frame)}", valid="a whole number"
            )
        rows[entry["video_id"]].append(row)
    order, lengths, names = [], [], []
    for video in videos:
        own = sorted(rows[video.get("id")], key=lambda row: entries[row]["frame_id"])
        name = str(video.get("name", video.get("id")))
        if not own:
            raise DataError(f"the video {short(name)} has no images")
        frames = [entries[row]["frame_id"] for row in own]
        if len(set(frames)) != len(frames):
            double = next(one for one, other in pairwise(frames) if one == other)
            raise DataError(f"two images of the video {short(name)} are frame {double}")
        refuse_gap(frames, f"video {name}")
        order += own
        lengths.append(len(own))
        names.append(name)
    return order, lengths, names


def _tracks(annotations: Sequence[Mapping[str, Any]], instances: Instances) -> Any:
    """The number of the track of each object, int64 (K,)."""
    numbers = []
    for row in instances.rows.tolist():
        key = next((key for key in _TRACK if key in annotations[row]), _TRACK[0])
        number = annotations[row].get(key)
        if isinstance(number, bool) or not isinstance(number, int):
            raise DataError(
                f"annotations[{row}] (id {short(annotations[row].get('id'))}) has the {key} "
                f"{short(number)}",
                valid=f"{' or '.join(_TRACK)}, a whole number, the same in all frames of a video",
            )
        numbers.append(number)
    return np.array(numbers, np.int64)


def _objects(instances: Instances, tracks: Any, row: int) -> Objects:
    own = np.flatnonzero(instances.image == row)
    boxes = instances.boxes[own].copy()
    boxes[:, 2:] += boxes[:, :2]
    # Crowds are regions: several may have one number, and none is counted.
    crowd = instances.crowd[own]
    ids = tracks[own].copy()
    ids[crowd] = -1 - np.arange(int(crowd.sum()))
    categories = np.where(crowd, -1, instances.category[own])
    try:
        return Objects.of(boxes, ids, categories, crowd)
    except DataError as error:
        raise error.at(f"images[{row}]") from None


def _files(folder: Path, entries: Sequence[Mapping[str, Any]]) -> list[Path]:
    files = []
    for entry in entries:
        name = str(entry.get("file_name") or "")
        file = listed_file(folder, name)
        if file is None:
            raise DataError(f"the image {name!r} is not in {folder}", next_step=hint(folder, name))
        files.append(file)
    return files

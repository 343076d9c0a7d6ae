"""A declared data set of clips: a folder for each class, in it a folder of frames for each clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.clip_classification.data import ClipData
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path
from pytest_perfgate.tasks.image_folder import is_hidden, loose_note
from pytest_perfgate.tasks.sequences import frame_files

_LAYOUT = "CLASS/CLIP/000001.jpg"


def read_clips(source: Mapping[str, Any], folder: Path, root: Path) -> ClipData:
    """A declared data set: `{ clips = "folder" }`, a folder for each class in the order of their
    names as text, in it a folder of numbered frames for each clip. With `labels = false` the folder
    has those of the clips.

    Raises:
        DataError: names the folder, and what is wrong with it.
    """
    if "clips" not in source or not source.keys() <= {"clips", "labels"}:
        raise DataError(f"the data set has the keys {sorted(source)}", valid="clips, labels")
    labelled = source.get("labels", True)
    if not isinstance(labelled, bool):
        raise DataError(f"labels is {labelled!r}", valid="true, false")
    place = declared_path(folder, str(source["clips"]), root)
    if not place.is_dir():
        raise DataError("there is no such folder", where=str(place))
    classes = _folders(place) if labelled else [place]
    clips = [(label, clip) for label, one in enumerate(classes) for clip in _folders(one)]
    if not clips:
        raise DataError("there are no clips", where=str(place), valid=_LAYOUT)
    frames = [frame_files(clip) for _, clip in clips]
    loose = [note for one in {*classes, place} for note in loose_note(one, "clip")]
    return ClipData(
        ImageFiles([file for of_clip in frames for file in of_clip], sorted(loose)),
        [len(of_clip) for of_clip in frames],
        [label for label, _ in clips] if labelled else (),
        [one.name for one in classes] if labelled else (),
    )


def _folders(place: Path) -> list[Path]:
    return sorted(one for one in place.iterdir() if one.is_dir() and not is_hidden(one.name))

"""Folders of truth beside folders of images, for `pytest-perfgate init`: masks of classes, DOTA's
text files, MOTChallenge's sequences, and clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.cli.init_facts import (
    CLIPS,
    ORIENTED,
    SEGMENTATION,
    TRACKING,
    DataFacts,
    Key,
    Pictures,
)
from pytest_perfgate.cli.init_pairs import Pair, of_pairs, split
from pytest_perfgate.cli.init_splits import below, is_held_out, scored_and_training
from pytest_perfgate.tasks.declared_classes import NAMES_FILES

MASKS = ("masks", "mask", "annotations", "labels", "segmentationclass", "gtfine")
LABELS = ("labeltxt", "labeltxt-v1.0", "labels", "annfiles")
_READ = 40  # masks whose ids are looked at
_IGNORED = 255
_CORNERS = 8  # numbers before the category of DOTA's lines


def masks(folder: Path) -> DataFacts | None:
    """Images, and a PNG of class ids for each."""
    return of_pairs(folder, MASKS, lambda pair, training: _masks(folder, pair, training))


def _masks(folder: Path, pair: Pair, training: Pair | None) -> DataFacts | None:
    from pytest_perfgate.tasks.image_folder import pictures

    files = [file.relative_to(pair.images).as_posix() for file in pictures(pair.images)[0]]
    present = {
        file.relative_to(pair.truth).as_posix()
        for file in pictures(pair.truth)[0]
        if file.suffix.lower() == ".png"
    }
    ends = _ends(files, present)
    if ends is None:
        return None
    names = [name for name in files if name.endswith(ends[0]) and _truth_of(name, *ends) in present]
    notes = [] if len(names) == len(files) else [f"{len(names)} of {len(files)} images have a mask"]
    validation, calibration = split(pair, training, names, notes)
    validation = Pictures(
        validation.folder, validation.names, validation.whole and len(names) == len(files)
    )
    truth: dict[str, Any] = {"masks": pair.truth}
    if ends[0]:
        truth["image_suffix"] = ends[0]
    if ends[1] != ".png":
        truth["mask_suffix"] = ends[1]
    ids = _ids([pair.truth / _truth_of(name, *ends) for name in validation.names])
    if ids is None:
        notes.append(
            f"masks in {pair.truth.name} are colours: declare palette = [[r, g, b], ...] and "
            "classes, as docs/segmentation.md shows"
        )
        return DataFacts((), validation, calibration, notes=tuple(notes))
    if ids == {0, _IGNORED}:  # black and white
        truth |= {"ids": [0, _IGNORED], "ignore_index": []}
        ids = {0, 1}
    classes = names_beside(folder, pair.truth.parent)
    last = max(ids - {_IGNORED}, default=0)
    unknown = []
    if len(classes) <= last:
        classes = tuple(f"class {index}" for index in range(last + 1))
        unknown.append(
            f"the names of the classes: there is no {' or '.join(NAMES_FILES[:3])}; masks have ids "
            f"up to {last}. Set classes = [...] in [suite.data]"
        )
    return DataFacts(
        (SEGMENTATION,),
        validation,
        calibration,
        truth=truth,
        classes=classes,
        notes=tuple(notes),
        unknown=tuple(unknown),
    )


def _ends(files: list[str], present: set[str]) -> tuple[str, str] | None:
    """The ends of names that an image and its mask differ by; None: no mask fits the images."""
    for name in files:
        if _truth_of(name, "", ".png") in present:
            return "", ".png"
    for name in files[:1]:
        image = Path(name).with_suffix("").as_posix()
        near = max(present, key=lambda mask: _shared(image, mask), default="")
        shared = _shared(image, near)
        ends = name[shared:] if shared < len(image) else "", near[shared:]
        fitting = sum(one.endswith(ends[0]) and _truth_of(one, *ends) in present for one in files)
        if shared and 2 * fitting > len(files):  # the number of an image is no end
            return ends
    return None


def _shared(one: str, other: str) -> int:
    """How many characters two names begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def _truth_of(name: str, image_end: str, end: str) -> str:
    """The name of an image's mask or labels."""
    stem = name.removesuffix(image_end) if image_end else Path(name).with_suffix("").as_posix()
    return stem + end


def _ids(files: list[Path]) -> set[int] | None:
    """The ids in some masks; None: they are colours."""
    import numpy as np
    from PIL import Image

    ids: set[int] = set()
    for file in files[:: max(1, len(files) // _READ)]:
        with Image.open(file) as mask:
            if mask.mode not in {"L", "P", "1"}:
                return None
            ids |= {int(value) for value in np.unique(np.asarray(mask).astype(np.uint8))}
    return ids


def names_beside(*folders: Path) -> tuple[str, ...]:
    """Names of classes, one a line, in a text file of one of the folders."""
    for folder in folders:
        for name in NAMES_FILES:
            if (folder / name).is_file():
                lines = (folder / name).read_text(encoding="utf-8-sig").splitlines()
                return tuple(line.strip() for line in lines if line.strip())
    return ()


def labels(folder: Path) -> DataFacts | None:
    """Images, and a text file of DOTA's for each."""
    return of_pairs(folder, LABELS, _labels)


def _labels(pair: Pair, training: Pair | None) -> DataFacts | None:
    import numpy as np

    from pytest_perfgate.tasks.image_folder import pictures

    files = [file.relative_to(pair.images).as_posix() for file in pictures(pair.images)[0]]
    kinds = {
        name: _categories(pair.truth / _truth_of(name, "", ".txt"))
        for name in files
        if (pair.truth / _truth_of(name, "", ".txt")).is_file()
    }
    if not any(kinds.values()) or None in kinds.values():
        return None
    notes = [] if len(kinds) == len(files) else [f"{len(kinds)} of {len(files)} images have labels"]
    validation, calibration = split(pair, training, list(kinds), notes)
    validation = Pictures(
        validation.folder, validation.names, validation.whole and len(kinds) == len(files)
    )
    classes = sorted({kind for few in kinds.values() for kind in few or ()})
    objects = np.zeros((len(validation.names), len(classes)), dtype=np.int64)
    for row, name in enumerate(validation.names):
        for kind in kinds[name] or ():
            objects[row, classes.index(kind)] += 1
    return DataFacts(
        (ORIENTED,),
        validation,
        calibration,
        truth={"labels": pair.truth},
        classes=tuple(classes),
        objects=objects,
        notes=tuple(notes),
    )


def _categories(file: Path) -> list[str] | None:
    """The category of each line of DOTA's; None: the lines are others."""
    kinds = []
    for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        words = line.split()
        if not words or ":" in words[0]:  # imagesource:, gsd:
            continue
        try:
            [float(word) for word in words[:_CORNERS]]
        except ValueError:
            return None
        if len(words) <= _CORNERS or words[_CORNERS].replace(".", "").isdigit():
            return None
        kinds.append(words[_CORNERS])
    return kinds


def sequences(folder: Path) -> DataFacts | None:
    """MOTChallenge's folders: `SEQUENCE/img1/000001.jpg` and `SEQUENCE/gt/gt.txt`."""
    places = [place for place in (folder, *below(folder).values()) if _sequences(place)]
    known = [place for place in places if all(_truth(one) for one in _sequences(place))]
    if not places:
        return None
    held_out = [place for place in known if is_held_out(place.name)]
    scored = (held_out or known or places)[0]
    others = [place for place in places if place != scored]
    notes = [f"all sequences of {scored.name} are scored"]
    calibration = _folders(others[0], _sequences(others[0]), "sequences") if others else None
    if calibration is None:
        notes[0] += ", and none is left to calibrate with: put some into a folder beside it"
    validation = _folders(scored, _sequences(scored), "sequences")
    if scored not in known:
        return DataFacts((), validation, calibration, notes=tuple(notes))
    ids = sorted({number for one in _sequences(scored) for number in _numbers(_truth(one))})
    classes = names_beside(folder, scored)
    truth: dict[str, Any] = {}
    unknown = []
    if not classes and ids in ([1], []):
        classes = ("pedestrian",)  # MOTChallenge's own, with its distractors
    elif len(classes) >= len(ids):
        truth = {"classes": list(classes)}
    else:
        classes = tuple(f"class {number}" for number in ids)
        truth = {"classes": list(classes), "ids": ids}
        unknown.append(f"the names of the classes {ids} in gt.txt: set classes in [suite.data]")
    return DataFacts(
        (TRACKING,),
        validation,
        calibration,
        truth=truth,
        classes=classes,
        notes=tuple(notes),
        unknown=tuple(unknown),
    )


def _sequences(place: Path) -> list[Path]:
    """The folders of sequences in a folder; none: it holds something else."""
    return [one for one in below(place).values() if (one / "img1").is_dir()]


def _truth(sequence: Path) -> Path | None:
    file = sequence / "gt" / "gt.txt"
    return file if file.is_file() else None


def _numbers(file: Path | None) -> set[int]:
    """Numbers of classes in a `gt.txt`: of MOTChallenge the objects that count."""
    numbers = set()
    for line in file.read_text(encoding="utf-8-sig").splitlines() if file else ():
        parts = line.split(",")
        if len(parts) in {8, 9} and parts[6].strip() not in {"0", "0.0"}:
            numbers.add(int(float(parts[7])))
    return {number for number in numbers if number > 0}


def clips(folder: Path) -> DataFacts | None:
    """A folder for each class, in it a folder of frames for each clip; or clips alone."""
    held_out, training = scored_and_training(below(folder))
    base = held_out or folder
    classes = below(base)
    frames: Mapping[str, list[Path]] = {
        name: [clip for clip in below(one).values() if _has_pictures(clip)]
        for name, one in classes.items()
    }
    labelled = bool(frames) and all(frames.values())
    present = [clip for few in frames.values() for clip in few]
    if not labelled:
        present = [clip for clip in classes.values() if _has_pictures(clip)]
    if not present:
        return None
    notes = [f"all clips of {base.name} are scored"]
    calibration = None
    if training is not None:
        deeper = [clip for one in below(training).values() for clip in below(one).values()]
        calibration = _folders(training, deeper or list(below(training).values()), "clips")
    else:
        notes[0] += ", and none is left to calibrate with: make folders train and val"
    return DataFacts(
        (CLIPS,) if labelled else (),
        _folders(base, present, "clips"),
        calibration,
        classes=tuple(one.name for one in classes.values()) if labelled else (),
        notes=tuple(notes),
    )


def _has_pictures(folder: Path) -> bool:
    from pytest_perfgate.tasks.image_folder import TYPES

    return any(file.suffix.lower() in TYPES for file in folder.iterdir() if file.is_file())


def _folders(place: Path, folders: list[Path], key: Key) -> Pictures:
    names = tuple(folder.relative_to(place).as_posix() for folder in folders)
    return Pictures(place, names, True, key)

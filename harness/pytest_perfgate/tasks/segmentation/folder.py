"""A declared data set of segmentation: a folder of images, and one of masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.declared_classes import declared_classes
from pytest_perfgate.tasks.image_files import ImageFiles, declared_path, listed_file
from pytest_perfgate.tasks.image_folder import (
    declared_folder,
    listed_files,
    listed_names,
    other_types_note,
    pictures,
    refuse_other_keys,
    refuse_shared,
)
from pytest_perfgate.tasks.segmentation.data import (
    BOUNDARY_TOLERANCE,
    IGNORE_INDEX,
    SegmentationData,
)
from pytest_perfgate.tasks.segmentation.masks import IGNORED, MaskCode, MaskFiles
from pytest_perfgate.units import count_of

_OF_MASKS = (
    "masks",
    "classes",
    "ids",
    "ignore_index",
    "palette",
    "ignore_palette",
    "mask_suffix",
    "boundary_tolerance",
)
_KEYS = ("images", "list", "image_suffix", *_OF_MASKS)
_MOST = 256  # ids of 8 bits, and values of a colour's channel


def read_folder(source: Mapping[str, Any], folder: Path, root: Path) -> SegmentationData:
    """A declared data set: `{ images = "folder", masks = "folder", classes = [...] }`; without
    `masks` the images alone. The mask of `images/a/b.jpg` is `masks/a/b.png`; `image_suffix` and
    `mask_suffix` replace the ends of the two names.

    Raises:
        DataError: names the file or the key, and what is wrong with it.
    """
    refuse_other_keys(source, _KEYS)
    place = declared_folder(source, folder, root)
    suffix = _text(source, "image_suffix", "")
    names = listed_names(source, folder, root)
    notes: list[str] = []
    if names is None:
        files, others = pictures(place)
        notes += other_types_note(others)
        left = [file for file in files if not file.name.endswith(suffix)]
        files = [file for file in files if file.name.endswith(suffix)]
        if left:
            notes.append(
                f"left out of the files: {count_of(len(left), 'image')} whose name does not end "
                f"in {suffix!r}"
            )
    else:
        # Lists of PASCAL VOC have names without a suffix.
        names = [name if name.endswith(suffix) else f"{name}{suffix}" for name in names]
        files = listed_files(place, names)
    if not files:
        raise DataError("there are no images", where=str(place))
    images = ImageFiles(files, notes)
    if "masks" not in source:
        if useless := sorted(source.keys() & {*_OF_MASKS}):
            raise DataError(
                f"the data set has {', '.join(useless)} and no masks", valid='masks = "folder"'
            )
        return SegmentationData(images)
    masks = declared_path(folder, str(source["masks"]), root)
    if not masks.is_dir():
        raise DataError("there is no such folder", where=str(masks))
    relative = names or [file.relative_to(place).as_posix() for file in files]
    ending = _text(source, "mask_suffix", ".png")
    wanted = [_mask_name(name, suffix, ending) for name in relative]
    found = _mask_files(masks, wanted)
    refuse_shared(files, found, "mask")
    if names is None:
        images = ImageFiles(files, [*notes, *_of_no_image(masks, found, ending)])
    code = _code(source, folder, root)
    return SegmentationData(
        images,
        MaskFiles(found, code),
        code.classes,
        ignore_index=IGNORED,
        boundary_tolerance=_tolerance(source),
    )


def _mask_name(name: str, suffix: str, ending: str) -> str:
    stem = name[: -len(suffix)] if suffix else name[: -len(Path(name).suffix)]
    return f"{stem}{ending}"


def _mask_files(place: Path, names: Sequence[str]) -> list[Path]:
    """The file of each mask.

    Raises:
        DataError: some are not there; names the first, and how many.
    """
    files: list[Path] = []
    missing: list[str] = []
    for name in names:
        file = listed_file(place, name)
        if file is None:
            missing.append(name)
        else:
            files.append(file)
    if missing:
        present, _ = pictures(place)
        near = present[0].relative_to(place).as_posix() if present else ""
        step = "the folder has no masks"
        if files:  # names fit
            step = 'put the masks there, or list the images with a mask: list = "masked.txt"'
        elif near:
            step = f"the folder has files such as {near!r}: declare the end of their names as "
            step += "mask_suffix, and that of the images as image_suffix"
        raise DataError(
            f"{len(missing)} of {count_of(len(names), 'mask')} are not there; the first is "
            f"{missing[0]!r}",
            where=str(place),
            valid="a mask of the same name for each image, in PNG",
            next_step=step,
        )
    return files


def _of_no_image(place: Path, masks: Sequence[Path], ending: str) -> list[str]:
    """What to say of masks without an image: images may have been lost."""
    known = set(masks)
    alone = [file for file in pictures(place)[0] if file.name.endswith(ending)]
    alone = [file for file in alone if file not in known]
    if not alone:
        return []
    first = alone[0].relative_to(place).as_posix()
    return [f"{count_of(len(alone), 'mask is', 'masks are')} of no image (the first: {first})"]


def _code(source: Mapping[str, Any], folder: Path, root: Path) -> MaskCode:
    classes = list(declared_classes(source, folder, root))
    ignored = source.get("ignore_index", IGNORE_INDEX)
    ignored = [ignored] if isinstance(ignored, int) else ignored
    # More than 255 classes leave no id for pixels that do not count, unless one is declared.
    if "ignore_index" not in source and len(classes) == _MOST:
        ignored = []
    _check_numbers("ignore_index", ignored, 0)
    ids = source.get("ids", list(range(len(classes))))
    if "ids" not in source and len(classes) > _MOST:
        raise DataError(f"there are {len(classes)} classes", valid=f"at most {_MOST}: 8 bits")
    _check_numbers("ids", ids, len(classes))
    if both := sorted({*ids} & {*ignored}):
        raise DataError(
            f"the id {both[0]} is that of the class {classes[ids.index(both[0])]!r} and among "
            "ignore_index",
            valid="ids of classes that are not in ignore_index",
        )
    palette = _colours(source, "palette", len(classes))
    if palette and source.keys() & {"ids", "ignore_index"}:
        raise DataError(
            "masks are read by the colours of palette, and ids or ignore_index is declared",
            valid="palette and ignore_palette, or ids and ignore_index",
        )
    others = _colours(source, "ignore_palette", 0)
    if others and not palette:
        raise DataError("ignore_palette is declared without palette", valid="palette = [...]")
    if shared := [colour for colour in palette if colour in others]:
        raise DataError(
            f"the colour {list(shared[0])} is in palette and in ignore_palette", valid="in one"
        )
    return MaskCode(classes, ids, ignored, palette, others)


def _check_numbers(key: str, numbers: Any, count: int) -> None:
    """Check a list of different ids: `count` of them, or any number where it is 0."""
    right = isinstance(numbers, list) and all(
        isinstance(number, int) and not isinstance(number, bool) and 0 <= number < _MOST
        for number in numbers
    )
    if not right or len({*numbers}) != len(numbers) or (count and len(numbers) != count):
        raise DataError(
            f"{key} is {numbers!r}",
            valid=f"{count or 'some'} different numbers from 0 to {_MOST - 1}",
        )


def _colours(source: Mapping[str, Any], key: str, count: int) -> list[tuple[int, int, int]]:
    """Different colours: `count` of them, or any number where it is 0; none: not declared."""
    if key not in source:
        return []
    declared = source[key]
    right = isinstance(declared, list) and all(
        isinstance(colour, list)
        and len(colour) == 3
        and all(isinstance(value, int) and 0 <= value < _MOST for value in colour)
        for colour in declared
    )
    colours = [(red, green, blue) for red, green, blue in declared] if right else []
    if not colours or len({*colours}) != len(colours) or (count and len(colours) != count):
        shown = f"{len(colours)} colours" if colours else repr(declared)
        raise DataError(
            f"{key} is {shown}",
            valid=f"{count or 'some'} different colours of red, green and blue, one a class: "
            "[[0, 0, 0], [128, 64, 128]]",
        )
    return colours


def _text(source: Mapping[str, Any], key: str, default: str) -> str:
    value = source.get(key, default)
    if not isinstance(value, str) or (key in source and not value):
        raise DataError(f"{key} is {value!r}", valid="the end of a file name, such as _mask.png")
    return value


def _tolerance(source: Mapping[str, Any]) -> float:
    value = source.get("boundary_tolerance", BOUNDARY_TOLERANCE)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(
            f"boundary_tolerance is {value!r}", valid="a fraction of the diagonal, such as 0.008"
        )
    return float(value)

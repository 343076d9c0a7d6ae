"""Folders of images with one of their truth, and which of them are scored, for
`pytest-perfgate init`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_perfgate.cli.init_facts import DataFacts, Pictures, chosen, listable
from pytest_perfgate.cli.init_splits import below, is_training, ordered

_IMAGES = ("images", "image", "imgs", "img", "jpegimages", "leftimg8bit")
_LISTS = ("Main", "Segmentation")  # folders of VOC's ImageSets
_SETS = ("val", "test", "train", "trainval")


@dataclass(frozen=True)
class Pair:
    """Images, and the folder with the truth of each; `split` is a name such as "val", or ""."""

    images: Path
    truth: Path
    split: str


def _pairs(folder: Path, names: tuple[str, ...]) -> Iterator[Pair]:
    """Folders of images with one of truth beside them, whose splits are above or below both; those
    of held-out images first, and those of training last.
    """
    outer = below(folder)
    found = []
    for split in ("", *outer):
        outside = below(outer[split]) if split else outer
        images = next((outside[name] for name in _IMAGES if name in outside), None)
        for name in names:
            if images is None or name not in outside:
                continue
            inside, truths = below(images), below(outside[name])
            common = [one for one in ordered(inside) if one in truths]
            found += [Pair(inside[one], truths[one], one) for one in common]
            if not common:
                found.append(Pair(images, outside[name], split))
    splits = ordered({pair.split for pair in found if pair.split})
    for split in ("", *splits):
        yield from (pair for pair in found if pair.split == split)


def _beside_images(folder: Path) -> list[Pair]:
    """Folders whose images have their truth beside them, as labelImg and Darknet write it."""
    splits = below(folder)
    return [*(Pair(splits[one], splits[one], one) for one in ordered(splits))] or [
        Pair(folder, folder, "")
    ]


def of_pairs(
    folder: Path,
    names: tuple[str, ...],
    read: Callable[[Pair, Pair | None], DataFacts | None],
    *,
    declared: Sequence[Pair] = (),
    beside_images: bool = False,
) -> DataFacts | None:
    """What is read of the first pair that has the truth; of training images none is scored where
    there are others. Splits that are neither scored nor calibrate with are named in its notes.

    Args:
        folder: of the data.
        names: of folders of truth.
        read: what is known of a pair, with that of training images; None: it is of another kind.
        declared: pairs that a file of the data set names: no others are looked for.
        beside_images: whether the files of truth may lie among the images.
    """
    groups = [list(declared) or list(_pairs(folder, names))]
    if beside_images and not declared:
        groups.append(_beside_images(folder))
    for pairs in groups:
        scored = [pair for pair in pairs if not is_training(pair.split)] or pairs
        for pair in scored:
            trained = [one for one in pairs if is_training(one.split) and one.truth != pair.truth]
            data = read(pair, trained[0] if trained else None)
            if data is not None:
                used = [pair, *trained[:1]]
                left = [one.split for one in pairs if one not in used and one.truth != pair.truth]
                return _noted(data, pair, left)
    return None


def _noted(data: DataFacts, pair: Pair, left: list[str]) -> DataFacts:
    if not left:
        return data
    names = ", ".join(dict.fromkeys(left))
    note = f"scored are the images of {pair.split}; those of {names} are not read"
    return replace(data, notes=(*data.notes, note))


def image_sets(pair: Pair, names: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Held-out and training images by VOC's lists, `ImageSets/Main/val.txt` beside the images;
    None: there are none, or they name other images.
    """
    for folder in (pair.images.parent / "ImageSets" / name for name in _LISTS):
        lists = {file.stem.lower(): file for file in sorted(folder.glob("*.txt"))}
        stems = {one: _stems(file) for one, file in lists.items() if one in _SETS}
        of_list = {one: [name for name in names if _stem(name) in stems[one]] for one in stems}
        held_out = of_list.get("val") or of_list.get("test") or []
        training = of_list.get("train") or of_list.get("trainval") or []
        training = [name for name in training if name not in set(held_out)]
        if held_out and training:
            return held_out, training
    return None


def _stem(name: str) -> str:
    return Path(name).with_suffix("").as_posix()


def _stems(file: Path) -> set[str]:
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return {line.split()[0] for line in lines if line.strip()}


def with_labels(
    pair: Pair, training: Pair | None, files: list[str], labelled: int, notes: list[str]
) -> tuple[Pictures, Pictures | None]:
    """Validation and calibration images of a pair whose images without a file of labels have no
    objects; how many there are goes to `notes`.
    """
    if labelled < len(files):
        notes.append(
            f"{len(files) - labelled} of {len(files)} images have no file of labels: they count as "
            "images without objects"
        )
    return split(pair, training, files, notes)


def split(
    pair: Pair, training: Pair | None, files: list[str], notes: list[str]
) -> tuple[Pictures, Pictures | None]:
    """Validation and calibration images of a pair: those of the training's folder, or of VOC's
    lists, calibrate where there are such.
    """
    names = [name for name in files if listable(name)]
    lists = image_sets(pair, names) if training is None else None
    if lists is None:
        return chosen(pair.images, names, training.images if training else None, notes)
    held_out, trained = lists
    notes.append(f"ImageSets has {len(held_out)} held-out images and {len(trained)} of training")
    validation, calibration = chosen(pair.images, held_out, pair.images, notes, trained)
    whole = validation.whole and len(held_out) == len(files)
    return Pictures(pair.images, validation.names, whole), calibration

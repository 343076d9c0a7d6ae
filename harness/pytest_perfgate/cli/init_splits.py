"""Folders of held-out and of training images, by their names, for `pytest-perfgate init`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_HELD_OUT = ("val", "valid", "validation", "dev", "eval", "test", "testing")  # the likeliest first
_TRAINING = ("train", "training", "trainval")
_SPLIT = re.compile(r"([a-z]+?)[-_ ]?(?:images?|imgs?|set|split|data|dev)?[-_ ]?\d*")
"""Not `test_tube` or `train station`, which are classes."""


def below(folder: Path) -> dict[str, Path]:
    """The folders in a folder, by their names in lower case."""
    if not folder.is_dir():
        return {}
    return {one.name.lower(): one for one in sorted(folder.iterdir()) if one.is_dir()}


def _word(name: str) -> str:
    """The word of a split: of val2017, valid_images and test-dev val, valid and test."""
    name = name.lower()
    found = _SPLIT.fullmatch(name)
    return name if found is None or name in _HELD_OUT else found.group(1)


def is_held_out(name: str) -> bool:
    """Whether images in a folder of this name are held out."""
    return _word(name) in _HELD_OUT


def is_training(name: str) -> bool:
    """Whether images in a folder of this name are those of a training."""
    return _word(name) in _TRAINING


def ordered(names: Iterable[str]) -> list[str]:
    """Names of folders that are splits, those of held-out images first and those of training last.
    Between them are folders of any other name where one is of training: these are held out from it.
    """
    every = list(names)
    training = [name for name in every if is_training(name)]
    held_out = [name for name in every if is_held_out(name)]
    held_out.sort(key=lambda name: _HELD_OUT.index(_word(name)))
    others = [name for name in every if training and name not in training and name not in held_out]
    return [*held_out, *others, *training]


def scored_and_training(splits: Mapping[str, Path]) -> tuple[Path | None, Path | None]:
    """Of the folders in a folder, by their names in lower case, that of held-out images and that of
    training images; None for one that is not there. One of any name is held out from a training's
    whose folders, those of classes, it has too.
    """
    names = ordered(splits)
    training = next((name for name in names if is_training(name)), None)
    for name in names:
        classes = set(below(splits[name]))
        like = training and name != training and classes & set(below(splits[training]))
        if is_held_out(name) or like:
            return splits[name], splits[training] if training else None
    return None, None


def training_beside(place: Path) -> Path | None:
    """The folder of training images beside one of held-out images."""
    if not is_held_out(place.name):
        return None
    return next((one for name, one in below(place.parent).items() if is_training(name)), None)

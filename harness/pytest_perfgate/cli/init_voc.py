"""Pascal VOC's XML files beside a folder of images, for `pytest-perfgate init`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pytest_perfgate.cli.init_facts import DETECTION, DataFacts
from pytest_perfgate.cli.init_folders import names_beside
from pytest_perfgate.cli.init_pairs import Pair, of_pairs, with_labels
from pytest_perfgate.errors import DataError

_FOLDERS = ("annotations", "labels", "xml", "xmls")


def voc(folder: Path) -> DataFacts | None:
    """Images, and an XML file of VOC's for each that has objects."""
    return of_pairs(folder, _FOLDERS, partial(_of_pair, folder), beside_images=True)


def _of_pair(folder: Path, pair: Pair, training: Pair | None) -> DataFacts | None:
    import numpy as np

    from pytest_perfgate.tasks.coco.voc import names_of_objects
    from pytest_perfgate.tasks.image_folder import pictures

    files = [file.relative_to(pair.images).as_posix() for file in pictures(pair.images)[0]]
    present = {name: (pair.truth / name).with_suffix(".xml") for name in files}
    try:
        kinds = {name: names_of_objects(file) for name, file in present.items() if file.is_file()}
    except DataError:
        return None
    if not any(kinds.values()):
        return None
    notes: list[str] = []
    validation, calibration = with_labels(pair, training, files, len(kinds), notes)
    found = sorted({kind for own in kinds.values() for kind in own})
    classes = names_beside(folder, pair.truth.parent, pair.truth)
    unknown = []
    if not set(found) <= set(classes):
        classes = tuple(found)
        unknown.append(
            "the order of the network's classes: there is no classes.txt with all names of the "
            "files, so they are in their order as text. Set classes = [...] in [suite.data]"
        )
    objects = np.zeros((len(validation.names), len(classes)), dtype=np.int64)
    for row, name in enumerate(validation.names):
        for kind in kinds.get(name, ()):
            objects[row, classes.index(kind)] += 1
    return DataFacts(
        (DETECTION,),
        validation,
        calibration,
        truth={"labels": pair.truth, "label_format": "voc"},
        classes=classes,
        objects=objects,
        notes=tuple(notes),
        unknown=tuple(unknown),
    )

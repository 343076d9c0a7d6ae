"""Scenes of handwritten digits on photographs with a mask of each digit, the same every time.

They are composed as those of the segmenter (`suites.segments.data`). A mask is the ink of one digit
without its soft edge. Scenes are made on first use and kept below `$PERFGATE_CACHE`, or
`.perfgate` in the project's root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from suites.digits import data as digits
from suites.digits.data import CLASSES, Split
from suites.made_once import made_once
from suites.segments import data as segments
from suites.segments.data import MaskComposer, MaskedScene

if TYPE_CHECKING:
    from pytest_perfgate.tasks.instances.data import InstanceData

SPLITS = digits.splits_of("instances", calibration=(96, 32), validation=(300, 33))


def calibration() -> InstanceData:
    """96 scenes for calibrating quantizers."""
    return _load(SPLITS["calibration"])


def validation() -> InstanceData:
    """300 scenes for measuring accuracy."""
    return _load(SPLITS["validation"])


def instances(scenes: Sequence[MaskedScene]) -> dict[str, Any]:
    """COCO instances of some scenes, with run-length encodings; image ids count from 1."""
    listed: list[dict[str, Any]] = []
    for index, scene in enumerate(scenes):
        for row, label in enumerate(scene.labels):
            ink = scene.digit(row)
            if not ink.any():  # a digit so small that all of it is soft edge
                continue
            listed.append(
                {
                    "id": len(listed) + 1,
                    "image_id": index + 1,
                    "category_id": label + 1,
                    "bbox": list(scene.boxes[row]),
                    "area": int(ink.sum()),
                    "iscrowd": 0,
                    "segmentation": {"size": list(ink.shape), "counts": _runs(ink)},
                }
            )
    return {
        "images": [
            {"id": index + 1, "width": scene.mask.shape[1], "height": scene.mask.shape[0]}
            for index, scene in enumerate(scenes)
        ],
        "annotations": listed,
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(CLASSES)],
    }


def _runs(ink: npt.NDArray[np.uint8]) -> list[int]:
    """Lengths of runs down the columns, the first without ink."""
    flat = np.concatenate([[0], ink.T.reshape(-1)])
    edges = np.flatnonzero(np.diff(flat))
    lengths: list[int] = np.diff(np.concatenate([[0], edges, [ink.size]])).tolist()
    return lengths


def _load(split: Split) -> InstanceData:
    from pytest_perfgate.tasks.instances.data import InstanceData

    sources = (__file__, segments.__file__, digits.__file__)
    kept = made_once(split.name, lambda: _make(split), *sources)
    return InstanceData(images=kept["images"], coco=kept["annotations"])


def _make(split: Split) -> dict[str, Any]:
    composer = MaskComposer(split, split.seed)
    scenes = [composer.masked() for _ in range(split.scenes)]
    return {
        "images": np.stack([scene.image for scene in scenes]),
        "annotations": instances(scenes),
    }

"""Outputs of a batch that no scale of a batch explains: missing numbers, and answers of another
image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.workloads.evaluated_outputs import EvaluatedImage, EvaluatedOutputs
from pytest_perfgate.workloads.output_comparison import compare_varied

Rows = Sequence[Any]
"""The outputs of one image of a batch, an array each."""

_SPREADS, _MOVES = 3.0, 4.0
"""Times what repeats and variations of an image differ, beyond which images are told apart."""
_STEPS = 1 / 64
"""Of the largest value, four steps of 8 bits: so far apart are images where the lowest bits of some
changed no output, so that the steps of the network are not known."""
_RICH = 4  # different values of an output that two images do not share by rounding alone
_SOME = 2_048
_FEWEST = 6  # images with one answer of fewer values, for which chance is no explanation


def refuse_not_finite(image: EvaluatedImage, rows: Rows, size: int, look: str) -> None:
    """Check that an image's outputs in a batch are finite where they were finite at evaluation,
    whatever the others of the batch are. Detections may come in another order: of those, as many
    values may be not finite as were so at evaluation.

    Raises:
        RuntimeFault: one is not.
    """
    import numpy as np

    for number, (kept, output) in enumerate(zip(image.outputs, rows, strict=False)):
        if output.shape != kept.shape:
            continue
        before, now = np.isfinite(kept.values), np.isfinite(output[kept.index])
        lost = before & ~now
        if now.sum() >= before.sum():
            continue
        at = int(np.argmax(lost))
        place = ", ".join(str(int(axis[at])) for axis in kept.index)
        raise RuntimeFault(
            f"the timed output of a batch of {size} is not finite where the evaluated one was: "
            f"validation image {image.index}, output {number} at ({place}) was "
            f"{kept.values[at]:.6g} when accuracy was evaluated and {output[kept.index][at]:.6g} "
            "when timed",
            next_step=look,
        )


def refuse_any_not_finite(
    images: Sequence[EvaluatedImage], arrays: Sequence[Any], size: int, look: str
) -> None:
    """Check outputs that are not one row per image: of images whose outputs were all finite at
    evaluation they are finite too.

    Raises:
        RuntimeFault: one is not.
    """
    import numpy as np

    for number, array in enumerate(arrays):
        before = [image.outputs[number] for image in images if number < len(image.outputs)]
        finite = all(kept.whole and np.isfinite(kept.values).all() for kept in before)
        lost = ~np.isfinite(array)
        if finite and len(before) == len(images) and lost.any():
            raise RuntimeFault(
                f"the timed output of a batch of {size} is not finite where the evaluated one was: "
                f"output {number} has {int(lost.sum())} such values of {lost.size}, and alone its "
                "images had none",
                next_step=look,
            )


def refuse_copies(
    shown: Sequence[tuple[EvaluatedImage, Rows]], evaluated: EvaluatedOutputs, size: int, look: str
) -> None:
    """Check that images of a batch have no answer in common, to the last bit, that is the answer
    of one of them alone. Differences count and not levels, which an offset may make alike.

    Two images that were told apart at evaluation may be rounded to one answer where activations
    are quantized by the range of a batch. Then they were a few steps apart, and so are an image
    and its variations; and of many values not all are rounded alike.

    Raises:
        RuntimeFault: half or more of the images with one answer had another at evaluation.
    """
    apart = max(
        _SPREADS * evaluated.spread,
        _MOVES * evaluated.moved,
        0.0 if evaluated.responds else _STEPS,
    )
    answers: dict[bytes, dict[int, tuple[EvaluatedImage, Rows]]] = {}
    for image, rows in shown:
        key = b"".join(_some(array) for array in rows)
        answers.setdefault(key, {})[image.index] = image, rows
    images = {image.index for image, _ in shown}
    for sharing in answers.values():
        if len(sharing) < 2:
            continue
        gaps = {
            index: compare_varied(image.outputs, rows, apart).value
            for index, (image, rows) in sharing.items()
        }
        owner = min(gaps, key=lambda index: gaps[index])
        # What the batch did to the one whose answer it is, it may have done to the others.
        lost = [index for index, gap in gaps.items() if gap - gaps[owner] > apart]
        if 2 * len(lost) < len(sharing):
            continue
        whole = len(sharing) == len(images) >= _FEWEST
        if not whole and _values(next(iter(sharing.values()))[1]) < _RICH:
            continue
        raise RuntimeFault(
            f"{len(sharing)} of {size} images of a batch have one answer, to the last bit: "
            f"validation image {lost[0]} has that of image {owner}, and when accuracy was "
            f"evaluated they differed by {gaps[lost[0]]:.2g} of the largest value by root mean "
            "square",
            next_step=look,
        )


def _some(array: Any) -> bytes:
    """Values all over an array, which is large where a network answers with a map."""
    content: bytes = array.reshape(-1)[:: max(1, array.size // _SOME)].tobytes()
    return content


def _values(rows: Rows) -> int:
    """How many different values an image's outputs have."""
    import numpy as np

    return sum(len(np.unique(array)) for array in rows)

"""Large pictures in overlapping tiles, each an input of its own, at the picture's own scale.

As SAHI cuts pictures (Akyon et al. 2022) and MMSegmentation's `slide_inference`: tiles stand a step
apart, the last one ends with the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_perfgate.errors import RecipeError

if TYPE_CHECKING:
    from pytest_perfgate.tasks import Task

TILES = "tiles"
"""The method of `resize`."""


def starts(side: int, tile: int, overlap: float) -> list[int]:
    """Where tiles begin along a side of a picture, in pixels; two neighbours share at least
    `overlap` of a tile's length, rounded down.
    """
    if side <= tile:
        return [0]
    return [*range(0, side - tile, tile - int(overlap * tile)), side - tile]


def check_tiles(task: Task, pixels: Any, output: Any) -> None:
    """Check that a task can merge what is predicted of tiles, and that nothing which is told to the
    network or done with its outputs is of the whole picture.

    Raises:
        RecipeError: names the key and what to write.
    """
    if getattr(pixels, "resize", "") != TILES:
        return
    if not task.merges_tiles:
        raise RecipeError(
            f"the task {task.name!r} does not merge predictions of tiles",
            where="suite.input.resize",
            valid="the other methods of resizing; tiles for detection, oriented boxes and "
            "segmentation",
        )
    for name, other in pixels.others.items():
        if other.rule in {"original_size", "resized_size"}:
            raise RecipeError(
                f"rule = {other.rule!r} is of the whole picture, and the network sees tiles",
                where=f"suite.input.others.{name}",
                valid='rule = "network_size", with boxes in pixels of the input',
            )
    if output.postprocess:
        raise RecipeError(
            "a function of the project gets the outputs of each tile, and tiles are merged by the "
            "declared post-processing",
            where="suite.output.postprocess",
            valid="a decoder",
        )

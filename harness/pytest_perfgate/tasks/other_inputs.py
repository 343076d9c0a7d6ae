"""Usual ways to prepare pixels, to try beside the declared one when scores are in doubt."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_perfgate.tasks.input_options import Input


def other_inputs(options: Input) -> Iterator[tuple[str, Input]]:
    """Each usual way to prepare pixels that is not the declared one, as the line of the suite file
    that asks for it.
    """
    swapped = "BGR" if options.color == "RGB" else "RGB"
    yield f'[suite.input] color = "{swapped}"', options.model_copy(update={"color": swapped})
    for mean, std in (
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    ):
        if (mean, std) != (options.mean, options.std):
            shown = [[float(f"{part:.6g}") for part in side] for side in (mean, std)]
            yield (
                f"[suite.input] mean = {shown[0]}, std = {shown[1]}",
                options.model_copy(update={"mean": mean, "std": std}),
            )
    if options.size is not None:
        resized = "stretch" if options.resize == "letterbox" else "letterbox"
        yield f'[suite.input] resize = "{resized}"', options.model_copy(update={"resize": resized})

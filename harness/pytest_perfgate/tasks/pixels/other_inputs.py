"""Usual ways to prepare pixels, to try beside the declared one when scores are in doubt."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.replaced_keys import shown


def other_inputs(options: Input) -> Iterator[tuple[str, Input]]:
    """Each usual way to prepare pixels that is not the declared one, as the line of the suite file
    that asks for it.
    """
    if options.preprocess:
        return
    if options.color != "grey":
        swapped = "BGR" if options.color == "RGB" else "RGB"
        yield f'[suite.input] color = "{swapped}"', options.model_copy(update={"color": swapped})
    declared = (options.scale, *options.normalisation)
    plain = (1, (0.0,) * options.channels, (1.0,) * options.channels)
    if options.dtype in {None, "float32"} and declared == plain:
        # Of a .tflite file in 8 bits; networks of floats refuse bytes.
        yield '[suite.input] dtype = "uint8"', options.model_copy(update={"dtype": "uint8"})
    for scale, mean, std in (
        (1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        (1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        (1, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        (255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ):
        usual = (scale, mean[: options.channels], std[: options.channels])
        if options.dtype != "uint8" and usual != declared:
            keys = {"scale": scale, "mean": usual[1], "std": usual[2]}
            line = ", ".join(
                f"{name} = {shown(value)}"
                for name, value in keys.items()
                if name != "scale" or value != options.scale
            )
            yield f"[suite.input] {line}", options.model_copy(update=keys)
    if options.size is not None and options.resize in {"stretch", "letterbox"}:
        resized = "stretch" if options.resize == "letterbox" else "letterbox"
        yield f'[suite.input] resize = "{resized}"', options.model_copy(update={"resize": resized})
    if options.resize == "letterbox":
        pad = "end" if options.pad == "around" else "around"
        yield f'[suite.input] pad = "{pad}"', options.model_copy(update={"pad": pad})
        value = 0 if options.pad_value == 114 else 114
        yield f"[suite.input] pad_value = {value}", options.model_copy(update={"pad_value": value})

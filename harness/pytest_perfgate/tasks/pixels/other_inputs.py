"""Usual ways to prepare pixels and inputs, to try beside the declared one when scores are in doubt.

A network takes pictures in a few conventions, and training decided which. A wrong one gives no
error, only a lower score.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.replaced_keys import shown

_PLAIN = (1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_IMAGENET = (1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_AROUND_ZERO = (1, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_BYTES = (255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_CAFFE = {"color": "BGR", "scale": 255, "mean": (103.53, 116.28, 123.675), "std": (1.0, 1.0, 1.0)}
_SIZES = ("original_size", "network_size", "resized_size")
_GREY = 114
"""What YOLO's letterbox pads with."""


def other_inputs(options: Input) -> Iterator[tuple[str, Input]]:
    """Each usual way to prepare pixels that is not the declared one, as the line of the suite file
    that asks for it; then the other rules of further inputs.
    """
    if not options.preprocess:
        yield from _colours(options)
        yield from _values(options)
        yield from _places(options)
    yield from _others(options)


def _colours(options: Input) -> Iterator[tuple[str, Input]]:
    if options.color in {"RGB", "BGR"}:
        yield _changed(options, {"color": "BGR" if options.color == "RGB" else "RGB"})


def _values(options: Input) -> Iterator[tuple[str, Input]]:
    """Other scales, means and standard deviations."""
    declared = (options.scale, *options.normalisation)
    plain = (1, (0.0,) * options.channels, (1.0,) * options.channels)
    if options.dtype in {None, "float32"} and declared == plain:
        # Of a .tflite file in 8 bits; networks of floats refuse bytes.
        yield _changed(options, {"dtype": "uint8"})
    if options.dtype == "uint8":
        return
    for scale, mean, std in (_PLAIN, _IMAGENET, _AROUND_ZERO, _BYTES):
        usual = (scale, (*mean, 0.0)[: options.channels], (*std, 1.0)[: options.channels])
        if usual != declared:
            keys = {"scale": scale, "mean": usual[1], "std": usual[2]}
            if scale == options.scale:
                del keys["scale"]
            yield _changed(options, keys)
    if options.color == "RGB" and options.scale == 1:
        yield _changed(options, dict(_CAFFE))


def _places(options: Input) -> Iterator[tuple[str, Input]]:
    """The other method of resizing, and the other ways to pad."""
    if options.size is not None and options.resize in {"stretch", "letterbox"}:
        other = "stretch" if options.resize == "letterbox" else "letterbox"
        yield _changed(options, {"resize": other})
    if options.resize == "letterbox":
        yield _changed(options, {"pad": "end" if options.pad == "around" else "around"})
        yield _changed(options, {"pad_value": 0 if options.pad_value == _GREY else _GREY})


def _others(options: Input) -> Iterator[tuple[str, Input]]:
    """The other order of sizes that the network is told, and the sizes of something else."""
    for name, other in options.others.items():
        if other.rule is None:
            continue
        orders = ("wh", "hw") if other.order == "hw" else ("hw", "wh")
        rules = (other.rule, *(rule for rule in _SIZES if rule != other.rule))
        for rule in rules if other.rule in _SIZES else (other.rule,):
            for order in orders:
                if (rule, order) == (other.rule, other.order):
                    continue
                changed = other.model_copy(update={"rule": rule, "order": order})
                others = {**options.others, name: changed}
                yield (
                    f'[suite.input.others] {name} = {{ rule = "{rule}", order = "{order}" }}',
                    options.model_copy(update={"others": others}),
                )


def _changed(options: Input, keys: dict[str, Any]) -> tuple[str, Input]:
    line = ", ".join(f"{name} = {shown(value)}" for name, value in keys.items())
    return f"[suite.input] {line}", options.model_copy(update=keys)

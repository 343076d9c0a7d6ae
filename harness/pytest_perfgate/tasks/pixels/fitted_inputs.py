"""What a model's file says of its inputs beside what `[suite.input]` declares of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.tasks.pixels.geometry import PICTURES, Geometry
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.network_options import Codes, ImageType, OtherInput, OtherType

_TABLE = "suite.input"
_DEFAULTS = {"dtype": "float32", "layout": "NCHW"}

_COLOURS: Mapping[Any, str] = {1: '"grey"', 3: '"RGB" or "BGR"', 4: '"RGBA"'}
"""The colours that have so many channels."""

_USUAL: Mapping[str, Mapping[str, Any]] = {
    "orig_target_sizes": {"rule": "original_size", "order": "wh"},
    "orig_size": {"rule": "original_size", "order": "wh"},
    "original_size": {"rule": "original_size"},
    "image_shape": {"rule": "original_size"},
    "scale_factor": {"rule": "scale"},
    "im_shape": {"rule": "resized_size"},
    "target_size": {"rule": "network_size"},
}
"""Inputs of known exports: RT-DETR, YOLOv3 of the ONNX model zoo, PaddleDetection."""


def fitted(options: Input, taken: Sequence[Tensor]) -> dict[str, Any]:
    """The keys of `[suite.input]` that the file says, for those that are left out.

    Args:
        options: those of `[suite.input]`.
        taken: the network's inputs.

    Raises:
        RecipeError: the file says something else, or leaves open what no key declares; names both
            sides and the key.
    """
    known = {tensor.name: tensor for tensor in taken}
    for name in options.others:
        if name not in known:
            raise RecipeError(
                f"the network has no input {name!r}",
                where=f"{_TABLE}.others.{name}",
                valid=", ".join(known) or "a network with inputs",
            )
    image = _image([tensor for tensor in taken if tensor.name not in options.others])
    keys: dict[str, Any] = {"dtype": _type(options, image), "layout": _layout(options, image)}
    _check_size(options, image, keys["layout"])
    if keys["dtype"] == "int8":
        keys["codes"] = _codes(options, image).model_dump()
    if options.others:
        keys["others"] = {
            name: {**other.model_dump(exclude_none=True), "dtype": _other(name, other, known[name])}
            for name, other in options.others.items()
        }
    return {key: value for key, value in keys.items() if _DEFAULTS.get(key) != value}


def _image(free: Sequence[Tensor]) -> Tensor:
    """The input that takes the images: the one that is not declared."""
    if not free:
        raise RecipeError(
            "no input of the network is left for the images",
            where=f"{_TABLE}.others",
            next_step="leave out the input that takes the images",
        )
    image = images_of(free)
    others = [tensor for tensor in free if tensor is not image]
    if others:
        raise RecipeError(
            f"the network takes {', '.join(map(str, others))} beside the images, "
            f"{image}: no key declares what that is",
            where=f"{_TABLE}.others",
            valid="a rule or a value for each: original_size, network_size, resized_size, scale, "
            "value = […]",
            next_step=f"add to [{_TABLE}.others]: {'; '.join(map(_line, others))}",
        )
    return image


def images_of(taken: Sequence[Tensor]) -> Tensor:
    """The input that takes the images: the first of four axes, or of any number of them.

    Raises:
        RecipeError: there is none.
    """
    for tensor in taken:
        if tensor.shape is None or len(tensor.shape) == 4:
            return tensor
    raise RecipeError(
        f"the network takes {', '.join(map(str, taken)) or 'no input'}, and no images",
        where=_TABLE,
        valid="an input of images: (N, 3, H, W) or (N, H, W, 3)",
    )


def guessed(tensor: Tensor) -> tuple[dict[str, Any], bool]:
    """The keys that usually describe an input of that name, and whether the name is known; else a
    guess by its type.
    """
    usual = _USUAL.get(tensor.name)
    if usual is not None:
        return dict(usual), True
    if tensor.kind.startswith("float"):
        return {"value": _filled(tensor.shape or ())}, False
    return {"rule": "original_size"}, False


def _filled(shape: Sequence[int | str]) -> Any:
    """0.5 in every place of a shape; lengths that are not known are 1."""
    if not shape:
        return 0.5
    return [_filled(shape[1:])] * (shape[0] if isinstance(shape[0], int) else 1)


def _line(tensor: Tensor) -> str:
    """The line of `[suite.input.others]` for an input, as far as it can be guessed."""
    keys = ", ".join(f"{key} = {json.dumps(value)}" for key, value in guessed(tensor)[0].items())
    name = (
        tensor.name if re.fullmatch(r"[\w-]+", tensor.name, re.ASCII) else json.dumps(tensor.name)
    )
    return f'{name} = {{ {keys}, dtype = "{tensor.kind}" }}'


def _type(options: Input, image: Tensor) -> str:
    if image.kind not in get_args(ImageType):
        raise RecipeError(
            f"the network takes {image}",
            where=f"{_TABLE}.dtype",
            valid=", ".join(get_args(ImageType)),
            next_step="export the model with an input of one of these types",
        )
    if image.takes_floats and options.dtype in {None, "float32"}:
        return "float32"
    if image.takes_floats and options.dtype != image.kind:
        raise RecipeError(
            f"dtype = {options.dtype!r} is declared, and the file takes {image}",
            where=f"{_TABLE}.dtype",
            valid=f'dtype = "{image.kind}" for pixels as they are, or "float32", of which codes '
            "are made",
        )
    if options.dtype not in {None, image.kind}:
        raise RecipeError(
            f"dtype = {options.dtype!r} is declared, and the file takes {image}",
            where=f"{_TABLE}.dtype",
            valid=f'dtype = "{image.kind}", or leave it out',
        )
    return image.kind


def _layout(options: Input, image: Tensor) -> str:
    """The layout whose axis of channels can be the colour's."""
    count = options.channels
    # The project's own function may give any number of channels.
    usual = {1, 3} if options.preprocess else {count}
    shape = image.shape or ("?",) * 4
    lengths = {"NCHW": shape[1], "NHWC": shape[3]}
    fixed = [layout for layout, length in lengths.items() if length in usual]
    fits = [
        layout
        for layout, length in lengths.items()
        if layout in fixed or isinstance(length, str) or options.preprocess
    ]
    if not fits:
        raise RecipeError(
            f"color = {options.color!r} has {count} channels, and the file takes {image}",
            where=f"{_TABLE}.color",
            valid=f"an input (N, {count}, H, W) or (N, H, W, {count})",
            next_step=next(
                (f"set color = {_COLOURS[one]}" for one in lengths.values() if one in _COLOURS), ""
            ),
        )
    if options.layout not in {None, *(fixed if len(fixed) == 1 else fits)}:
        raise RecipeError(
            f"layout = {options.layout!r} is declared, and the file takes {image}",
            where=f"{_TABLE}.layout",
            valid=f'layout = "{(fixed or fits)[0]}", or leave it out',
        )
    return options.layout or (fixed or fits)[0]


def _check_size(options: Input, image: Tensor, layout: str) -> None:
    """Check that a size which is the same for every picture is one that the network takes."""
    if options.preprocess or image.shape is None:
        return
    sizes = {Geometry(options).place(*picture).network for picture in PICTURES}
    first = 2 if layout == "NCHW" else 1
    taken = image.shape[first : first + 2]
    for size in sizes if len(sizes) == 1 else ():
        if any(
            isinstance(side, int) and side != own for side, own in zip(taken, size, strict=True)
        ):
            raise RecipeError(
                f"every picture becomes {size[0]} x {size[1]} pixels, and the file takes {image}",
                where=f"{_TABLE}.{'crop' if options.crop else 'size'}",
                valid=f"[{taken[0]}, {taken[1]}], height and width",
            )


def _codes(options: Input, image: Tensor) -> Codes:
    """The scale of an int8 input: the file's, or the declared one."""
    if image.codes is None and options.codes is None:
        raise RecipeError(
            f"the file takes {image}, and holds no scale for it: which numbers the codes stand for "
            "is not known",
            where=f"{_TABLE}.codes",
            valid="codes = { scale = 0.0078125, zero_point = 0 }: number = scale * (code - "
            "zero_point)",
        )
    if image.codes is None or options.codes is None:
        scale, zero_point = image.codes or (0.0, 0)
        return options.codes or Codes(scale=scale, zero_point=zero_point)
    declared = options.codes.scale, options.codes.zero_point
    if abs(declared[0] - image.codes[0]) > 1e-6 * image.codes[0] or declared[1] != image.codes[1]:
        raise RecipeError(
            f"codes = {{ scale = {declared[0]:g}, zero_point = {declared[1]} }} is declared, and "
            f"the file has the scale {image.codes[0]:g} and the zero point {image.codes[1]}",
            where=f"{_TABLE}.codes",
            next_step="leave it out: the file's is taken",
        )
    return options.codes


def _other(name: str, other: OtherInput, tensor: Tensor) -> str:
    """The type of an input beside the images, checked with its shape."""
    where = f"{_TABLE}.others.{name}"
    if tensor.kind not in get_args(OtherType):
        raise RecipeError(
            f"the network takes {tensor}", where=where, valid=", ".join(get_args(OtherType))
        )
    if other.dtype not in {None, tensor.kind}:
        raise RecipeError(
            f"dtype = {other.dtype!r} is declared, and the file takes {tensor}",
            where=where,
            valid=f'dtype = "{tensor.kind}", or leave it out',
        )
    shape = _shape(other)
    if tensor.shape is not None and not _alike(shape, tensor.shape):
        given = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise RecipeError(
            f"{other.rule or 'the value'} gives ({given}), and the file takes {tensor}",
            where=where,
            next_step=""
            if other.rule
            else "write the value in the file's shape; per_image = true puts N before it",
        )
    return tensor.kind


def _shape(other: OtherInput) -> tuple[int | str, ...]:
    if other.rule is not None:
        return "N", 2
    shape = other.constant().shape
    return ("N", *shape) if other.per_image else tuple(shape)


def _alike(ours: Sequence[int | str], theirs: Sequence[int | str]) -> bool:
    return len(ours) == len(theirs) and all(
        isinstance(one, str) or isinstance(other, str) or one == other
        for one, other in zip(ours, theirs, strict=True)
    )


def refuse_others(taken: Sequence[Tensor]) -> Mapping[str, Any]:
    """No keys, for a task without keys of the network's inputs.

    Raises:
        RecipeError: the network takes something else than one batch of images in floats.
    """
    shape = taken[0].shape if len(taken) == 1 else ()
    channels = "?" if shape is None else shape[1] if len(shape) == 4 else 0
    if (isinstance(channels, str) or channels == 3) and taken[0].kind in {"float32", "float16"}:
        return {}
    raise RecipeError(
        f"the network takes {', '.join(map(str, taken)) or 'no input'}",
        valid="one input of images: float32 (N, 3, H, W)",
    )

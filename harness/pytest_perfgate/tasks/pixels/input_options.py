"""Options of `[suite.input]`: how decoded pixels become the network's input."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pytest_perfgate.artifact import OptionsModel, import_path
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.tasks.pixels.network_options import Codes, ImageType, Layout, OtherInput
from pytest_perfgate.tasks.pixels.replaced_keys import refuse_replaced, shown
from pytest_perfgate.tasks.pixels.tiles import TILES

_WHERE = "suite.input"
_LARGEST_SIDE = 65_536
_NO_MEAN, _NO_DEVIATION = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_Mean = Annotated[float, Field(ge=-1e6, le=1e6)]
_Deviation = Annotated[float, Field(ge=1e-6, le=1e6)]  # pixels are divided by it, in float32

Rounding = Literal["ultralytics", "mmdetection", "torchvision", "transformers", "paddle"]

_ROUNDED_AS: dict[str, Rounding] = {
    "stretch": "torchvision",
    "letterbox": "ultralytics",
    "longer_side": "ultralytics",
    "shorter_side": "torchvision",
    "fixed_height": "paddle",
    "tiles": "ultralytics",
}
"""The library whose rounding each method of resizing has by default."""

_REPLACED = (
    *(
        "size",
        "resize",
        "scale_up",
        "scale_down",
        "longest",
        "crop",
        "overlap",
        "tile_batch",
        "rounding",
        "filter",
        "by",
        "antialias",
    ),
    *("multiple", "multiple_by", "pad_to", "pad_value", "pad", "color", "scale", "mean", "std"),
)
"""What a function of the project takes the place of."""

_ONE_SIDE = frozenset({"shorter_side", "longer_side"})


def _sides(value: Any) -> Any:
    """One side as a tuple of one.

    Raises:
        PydanticCustomError: it is neither one side nor two.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if not isinstance(value, (list, tuple)) or len(value) not in {1, 2}:
        raise PydanticCustomError(
            "sides", "it is no size in pixels", {"expected": "[height, width], or one side"}
        )
    return tuple(value)


def _padding(value: Any) -> Any:
    """A pixel value, or "mean".

    Raises:
        PydanticCustomError: it is neither.
    """
    if value != "mean" and not (type(value) is int and 0 <= value <= 255):
        raise PydanticCustomError(
            "padding", "it is no value of a pixel", {"expected": '0 to 255, or "mean"'}
        )
    return value


_Side = Annotated[int, Field(ge=1, le=_LARGEST_SIDE)]
_Sides = Annotated[tuple[_Side, ...], BeforeValidator(_sides)]


class Input(OptionsModel):
    """How decoded pixels become the network's input: `[suite.input]`."""

    size: _Sides | None = Field(
        None,
        description="height and width; for `shorter_side` and `longer_side` the length of that "
        "side; default: those of the image",
    )
    resize: Literal[
        "stretch", "letterbox", "shorter_side", "longer_side", "fixed_height", "tiles"
    ] = Field(
        "stretch",
        description="method of resizing to `size`; tiles: none, the picture is cut into "
        "overlapping tiles of that size, each an input",
    )
    overlap: float = Field(
        0.2, ge=0, le=0.9, description="share of a tile's sides that neighbouring `tiles` share"
    )
    tile_batch: int = Field(
        1, ge=1, le=4_096, description="`tiles` of a picture that share an inference"
    )
    scale_up: bool = Field(
        True, description="whether `letterbox` and the methods of one side enlarge small images"
    )
    scale_down: bool = Field(
        True, description="whether `letterbox` and the methods of one side shrink large images"
    )
    longest: int | None = Field(
        None,
        ge=1,
        le=_LARGEST_SIDE,
        description="largest length of the other side for `shorter_side`",
    )
    crop: _Sides | None = Field(
        None,
        description="height and width, or the side of a square, that is cut from the middle after "
        "resizing; a smaller image is padded",
    )
    rounding: Rounding | None = Field(
        None,
        description="library whose rules round lengths of sides and the place of `crop`; default: "
        "ultralytics for `letterbox` and `longer_side`, torchvision for `shorter_side` and "
        "`crop`, paddle for `fixed_height`",
    )
    filter: Literal["nearest", "bilinear", "bicubic", "area", "lanczos"] = Field(
        "bilinear", description="resampling filter"
    )
    by: Literal["pillow", "opencv", "torch", "torch_bytes"] = Field(
        "pillow",
        description="library that resizes and makes grey; their pixels differ. torch computes in "
        "floats, as transforms of tensors did; torch_bytes as `torchvision.transforms.v2`",
    )
    antialias: bool | None = Field(
        None,
        description="whether the filter widens where an image becomes smaller; default: as the "
        "library does, true for pillow and torch, false for opencv",
    )
    multiple: int = Field(
        1, ge=1, le=4_096, description="pad height and width up to a multiple of this"
    )
    multiple_by: Literal["pad", "resize"] = Field(
        "pad",
        description='"resize": the methods of one side, and images without `size`, are resized to '
        "the nearest multiples instead",
    )
    pad_to: Literal["size", "multiple"] = Field(
        "size",
        description='what `letterbox` and `fixed_height` pad up to: "multiple", the next multiple '
        "of the resized image, so that inputs have several sizes",
    )
    pad_value: Annotated[int | Literal["mean"], BeforeValidator(_padding)] = Field(
        0,
        description='value of padded pixels, 0 to 255, often 114; "mean": that of `mean`, which is '
        "0 after normalisation",
    )
    pad: Literal["end", "around"] = Field(
        "end",
        description='where `letterbox` pads: "end", right and below; "around", the picture is in '
        "the middle",
    )
    color: Literal["RGB", "BGR", "RGBA", "grey"] = Field(
        "RGB",
        description='order of the channels; RGBA: four, of a data set with alpha = "keep", or '
        "opaque; grey: one channel, the luma",
    )
    scale: Literal[1, 255] = Field(
        1, description="largest value of a pixel; `mean` and `std` are on the same scale"
    )
    mean: tuple[_Mean, ...] = Field(
        _NO_MEAN, description="mean of each channel, on the scale 0 to `scale`"
    )
    std: tuple[_Deviation, ...] = Field(
        _NO_DEVIATION,
        description="standard deviation of each channel, on the scale 0 to `scale`",
    )
    preprocess: str = Field(
        "",
        description='"package.module:function" in place of the keys above: from a uint8 (H, W, 3) '
        "RGB image to an array (C, h, w), and what post-processing needs to know",
    )
    layout: Layout | None = Field(
        None, description="order of the axes; default: the file's, else NCHW"
    )
    dtype: ImageType | None = Field(
        None,
        description="type of the images: uint8 is pixels from 0 to 255, int8 has `codes`; default: "
        "the file's, else float32",
    )
    codes: Codes | None = Field(
        None, description="`scale` and `zero_point` of int8; default: the file's"
    )
    others: dict[str, OtherInput] = Field(
        default_factory=dict, description="inputs beside the images, by the network's names"
    )

    @field_validator("preprocess")
    @classmethod
    def _is_import_path(cls, value: str) -> str:
        return import_path(value) if value else ""

    @model_validator(mode="after")
    def _fits_together(self) -> Input:
        """Check that no key contradicts another.

        Raises:
            RecipeError: the first that does.
        """
        if self.codes is not None and self.dtype not in {None, "int8"}:
            raise self._error("dtype", "`codes` are those of int8", "leave codes out")
        if self.preprocess:
            refuse_replaced(self, "preprocess", _REPLACED, _WHERE)
            return self
        self._check_size()
        self._check_padding()
        self._check_filter()
        self._check_values()
        return self

    def _check_size(self) -> None:
        method, size = self.resize, self.size
        one = method in _ONE_SIDE
        if size is None and method != "stretch":
            raise self._error("resize", "there is no `size`", _size_text(one))
        if size is not None and len(size) != (1 if one else 2):
            raise self._error("size", f'for resize = "{method}"', _size_text(one))
        for name, methods in (
            ("longest", ("shorter_side",)),
            ("scale_up", ("letterbox", *sorted(_ONE_SIDE))),
            ("scale_down", ("letterbox", *sorted(_ONE_SIDE))),
            ("crop", ("stretch", "shorter_side")),
            ("pad_to", ("letterbox", "fixed_height")),
            ("overlap", (TILES,)),
            ("tile_batch", (TILES,)),
        ):
            if getattr(self, name) != type(self).model_fields[name].default and (
                method not in methods
            ):
                valid = ", ".join(f'resize = "{other}"' for other in methods)
                raise self._error(name, f'for resize = "{method}"', valid)
        if method == TILES and self.multiple != 1:
            raise self._error("multiple", "tiles have one size", "a `size` that is a multiple")
        if self.longest is not None and size is not None and self.longest < size[0]:
            raise self._error("longest", f"below size = {size[0]}", f"{size[0]} or more")

    def _check_padding(self) -> None:
        if self.multiple_by == "resize":
            other = self.crop or self.longest or (self.size and self.resize not in _ONE_SIDE)
            if other or self.multiple == 1:
                raise self._error(
                    "multiple_by",
                    f'for resize = "{self.resize}", multiple = {self.multiple}',
                    'a `multiple`, and resize = "longer_side" or "shorter_side" without `longest` '
                    "and `crop`, or no `size`",
                )
        if self.pad_value == "mean" and not any(self.mean):
            raise self._error("pad_value", "there is no `mean`", "pad_value = 0, or a `mean`")

    def _check_filter(self) -> None:
        if self.by in {"torch", "torch_bytes"} and self.filter == "lanczos":
            raise self._error("filter", "torch has no such filter", 'by = "pillow" or "opencv"')
        if self.antialias is None or self.filter in {"nearest", "area"}:
            if self.antialias is not None:
                raise self._error(
                    "antialias",
                    f'filter = "{self.filter}" has no such variant',
                    "leave antialias out",
                )
            return
        if self.by == "pillow" and not self.antialias:
            raise self._error("antialias", "Pillow always antialiases", 'by = "opencv" or "torch"')
        if self.by == "opencv" and self.antialias:
            raise self._error(
                "antialias",
                f"OpenCV's {self.filter} never antialiases",
                'filter = "area", or by = "pillow" or "torch"',
            )

    def _check_values(self) -> None:
        if self.dtype == "uint8":
            for name in sorted({"mean", "std"} & self.changed):
                raise self._error(
                    name,
                    "the network takes uint8, pixels from 0 to 255 as they are",
                    f"leave {name} out",
                )
        for name in ("mean", "std"):
            if name in self.model_fields_set and len(getattr(self, name)) != self.channels:
                raise self._error(
                    name,
                    f'color = "{self.color}"',
                    f"a list of {self.channels}, one number per channel",
                )

    def _error(self, name: str, problem: str, valid: str) -> RecipeError:
        return RecipeError(
            f"{name} = {shown(getattr(self, name))}: {problem}",
            where=f"{_WHERE}.{name}",
            valid=valid,
        )

    @property
    def channels(self) -> int:
        """Number of channels of the network's input."""
        return {"grey": 1, "RGBA": 4}.get(self.color, 3)

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel."""
        mean, deviation = (*self.mean, 0.0), (*self.std, 1.0)  # of alpha, where three are written
        return mean[: self.channels], deviation[: self.channels]

    @property
    def rounds_as(self) -> Rounding:
        """The library whose rules round sides and places."""
        return self.rounding or _ROUNDED_AS[self.resize]


def _size_text(one: bool) -> str:
    return "size = 256, the length of that side" if one else "size = [height, width]"

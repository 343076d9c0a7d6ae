"""Options of `[suite.input]`: how decoded pixels become the network's input."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pytest_perfgate.artifact import OptionsModel

_Side = Annotated[int, Field(ge=1, le=65_536)]
_Mean = Annotated[float, Field(ge=-1e6, le=1e6)]
_Deviation = Annotated[float, Field(ge=1e-6, le=1e6)]  # pixels are divided by it, in float32


class Input(OptionsModel):
    """How decoded pixels become the network's input: `[suite.input]`."""

    size: tuple[_Side, _Side] | None = Field(
        None, description="height and width; default: those of the image"
    )
    resize: Literal["stretch", "letterbox"] = Field(
        "stretch", description="method of resizing to `size`"
    )
    multiple: int = Field(
        1, ge=1, le=4_096, description="pad height and width up to a multiple of this"
    )
    pad_value: int = Field(0, ge=0, le=255, description="value of padded pixels; often 114")
    pad: Literal["end", "around"] = Field(
        "end",
        description='where `letterbox` pads: "end", right and below; "around", the picture is in '
        "the middle",
    )
    color: Literal["RGB", "BGR"] = Field("RGB", description="order of the channels")
    mean: tuple[_Mean, _Mean, _Mean] = Field(
        (0.0, 0.0, 0.0), description="mean of each channel, on the scale 0 to 1"
    )
    std: tuple[_Deviation, _Deviation, _Deviation] = Field(
        (1.0, 1.0, 1.0), description="standard deviation of each channel, on the scale 0 to 1"
    )

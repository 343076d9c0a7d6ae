"""From prepared pixels to a network's arrays: type, layout, and inputs beside the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.errors import DataError, InputError, RecipeError
from pytest_perfgate.tasks.classification import Classification, Input, Output


def prepared(images: list[Any], **options: Any) -> Any:
    """The inputs of a network for images, with `[suite.input]` as given."""
    pipeline = Classification().pipeline(Input.model_validate(options), Output())
    return pipeline.preprocess(images)[0]


def noise(height: int = 16, width: int = 24) -> Any:
    """An image with every value of a byte in it."""
    values = np.random.default_rng(0).permutation(height * width * 3) % 256
    return values.reshape(height, width, 3).astype(np.uint8)


def test_bytes_are_the_pixels_as_they_are() -> None:
    """0 to 255, in the order of channels and axes that is declared."""
    image = noise()
    assert len(np.unique(image)) == 256
    inputs = prepared([image, image], dtype="uint8", layout="NHWC", color="BGR")
    assert inputs.images.dtype == np.uint8
    assert inputs.images.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(inputs.images, np.stack([image[..., ::-1]] * 2))
    assert (inputs.layout, inputs.channels, inputs.size) == ("NHWC", 3, (16, 24))


def test_padding_of_bytes_is_its_value() -> None:
    """114 stays 114."""
    inputs = prepared([noise()], dtype="uint8", size=(32, 32), resize="letterbox", pad_value=114)
    assert (inputs.images[0, :, -1] == 114).all()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_floats_are_scaled_and_normalised(dtype: str, layout: str) -> None:
    """(pixel / 255 - mean) / std, rounded to the type at the end."""
    image = noise()
    inputs = prepared([image], dtype=dtype, layout=layout, mean=(0.5,) * 3, std=(0.25,) * 3)
    assert inputs.images.dtype == dtype
    assert inputs.images.flags["C_CONTIGUOUS"]
    pixels = inputs.images if layout == "NHWC" else inputs.images.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(pixels[0], (image / 255 - 0.5) / 0.25, atol=2e-3)


@pytest.mark.parametrize("options", [{}, {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}])
def test_both_layouts_have_the_same_numbers(options: dict[str, Any]) -> None:
    """To the last bit, padding too."""
    more = {"size": (32, 32), "resize": "letterbox", "pad": "around", "pad_value": 114, **options}
    first, last = (prepared([noise()] * 2, layout=name, **more).images for name in ("NCHW", "NHWC"))
    np.testing.assert_array_equal(first, last.transpose(0, 3, 1, 2))


def test_int8_has_codes() -> None:
    """The nearest code, and the ends of the range for what lies beyond it."""
    image = np.array([[[0, 128, 255]]], np.uint8)
    codes = {"scale": 1 / 255, "zero_point": -128}
    assert prepared([image], dtype="int8", codes=codes).images.ravel().tolist() == [-128, 0, 127]
    coarse = prepared([image], dtype="int8", codes={"scale": 0.001}, mean=(0.5,) * 3)
    assert coarse.images.ravel().tolist() == [-128, 2, 127]


@pytest.mark.parametrize(
    ("other", "dtype", "wanted"),
    [
        ({"rule": "original_size"}, "int64", [[20, 40], [20, 40]]),
        ({"rule": "original_size", "order": "wh", "dtype": "int32"}, "int32", [[40, 20]] * 2),
        ({"rule": "network_size"}, "int64", [[64, 64]] * 2),
        ({"rule": "resized_size", "dtype": "float32"}, "float32", [[32, 64]] * 2),
        ({"rule": "scale"}, "float32", [[1.6, 1.6]] * 2),
        ({"value": [0.5]}, "float32", [0.5]),
        ({"value": 3, "dtype": "int32"}, "int32", 3),
        ({"value": [True]}, "bool", [True]),
        ({"value": [640, 640], "per_image": True}, "int64", [[640, 640]] * 2),
    ],
)
def test_an_input_beside_the_images_follows_its_rule(
    other: dict[str, Any], dtype: str, wanted: Any
) -> None:
    """Two images of 20 x 40, letterboxed to 64 x 64: height first unless the order is "wh"."""
    inputs = prepared(
        [np.zeros((20, 40, 3), np.uint8)] * 2,
        size=(64, 64),
        resize="letterbox",
        others={"extra": other},
    )
    extra = inputs.others["extra"]
    assert extra.dtype == dtype
    np.testing.assert_allclose(extra, wanted)
    whole = "value" in other and not other.get("per_image")
    assert inputs.constants == (frozenset({"extra"}) if whole else frozenset())


def test_scales_of_height_and_width_are_told_apart() -> None:
    """Stretched: each side by its own factor, that of the height first."""
    inputs = prepared(
        [np.zeros((20, 40, 3), np.uint8)], size=(40, 120), others={"s": {"rule": "scale"}}
    )
    np.testing.assert_allclose(inputs.others["s"], [[2, 3]])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dtype": "uint8", "mean": (0.5, 0.5, 0.5)}, "takes uint8, pixels from 0 to 255"),
        ({"dtype": "uint8", "codes": {"scale": 0.1}}, "`codes` are those of int8"),
        ({"others": {"x": {}}}, "a rule or a value"),
        ({"others": {"x": {"rule": "scale", "value": 1}}}, "a rule or a value"),
        ({"others": {"x": {"rule": "scale", "per_image": True}}}, "option of a value"),
        ({"others": {"x": {"value": 1, "order": "wh"}}}, "option of a rule"),
        ({"others": {"x": {"value": ["a"]}}}, "else than numbers"),
        ({"others": {"x": {"value": [[1], [1, 2]]}}}, "inhomogeneous"),
        ({"others": {"x": {"value": 300, "dtype": "uint8"}}}, "not of the type uint8"),
        ({"others": {"x": {"value": 0.5, "dtype": "int64"}}}, "not of the type int64"),
    ],
)
def test_what_makes_no_sense_is_an_error(options: dict[str, Any], says: str) -> None:
    """Before anything is built."""
    with pytest.raises((ValidationError, RecipeError), match=says):
        Input.model_validate(options)


def test_a_grey_image_of_bytes_has_one_channel() -> None:
    """The last axis of channels last."""
    inputs = prepared([noise()], dtype="uint8", layout="NHWC", color="grey")
    assert inputs.images.shape == (1, 16, 24, 1)
    assert inputs.images.dtype == np.uint8


def test_a_function_of_the_project_gives_what_the_network_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes go to a network of bytes as they are; another type, and a rule without a place, are
    errors.
    """
    (tmp_path / "own_bytes.py").write_text(
        "import numpy as np\n\n\ndef prepare(image):\n"
        "    return np.ascontiguousarray(image.transpose(2, 0, 1)), 'nothing'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own = {"preprocess": "own_bytes:prepare"}
    image = noise()
    inputs = prepared([image], dtype="uint8", layout="NHWC", **own)
    np.testing.assert_array_equal(inputs.images[0], image)
    with pytest.raises(InputError, match="the network takes float32; it is given uint8"):
        prepared([image], **own)
    with pytest.raises(DataError, match="needs an image's size"):
        prepared([image], dtype="uint8", others={"s": {"rule": "scale"}}, **own)

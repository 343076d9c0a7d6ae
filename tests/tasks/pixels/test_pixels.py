"""Declared pre-processing: sizes, places, filters, values, and the errors of wrong keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pytest_perfgate import registry
from pytest_perfgate.errors import DataError, RecipeError
from pytest_perfgate.suite.preloads import preloads
from pytest_perfgate.suite.requirements import lacking
from pytest_perfgate.tasks.pixels.filters import required, resizer
from pytest_perfgate.tasks.pixels.geometry import Geometry
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.other_inputs import other_inputs
from pytest_perfgate.tasks.pixels.preprocessing import Pixels

from tests.suite.texts import FP32, SUITE, read


def noise(height: int, width: int) -> Any:
    """A uint8 (H, W, 3) picture of noise."""
    return np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)


SIDES = [
    # torchvision's Resize(256): the other side is cut off; Resize(800, max_size=1333)
    ({"resize": "shorter_side", "size": 256}, (333, 500), (256, 384)),
    ({"resize": "shorter_side", "size": 800, "longest": 1333}, (333, 1000), (443, 1333)),
    # transformers' shortest_edge = 800, longest_edge = 1333
    (
        {"resize": "shorter_side", "size": 800, "longest": 1333, "rounding": "transformers"},
        (333, 1000),
        (444, 1333),
    ),
    (
        {"resize": "shorter_side", "size": 800, "longest": 1333, "rounding": "mmdetection"},
        (333, 500),
        (800, 1201),
    ),
    ({"resize": "longer_side", "size": 1024}, (333, 500), (682, 1024)),
    ({"resize": "longer_side", "size": 1024, "scale_up": False}, (333, 500), (333, 500)),
    # PaddleOCR: nearest multiples of what is cut off to whole pixels, at least one
    (
        {"resize": "longer_side", "size": 960, "scale_up": False, "multiple": 32}
        | {"multiple_by": "resize"},
        (700, 1000),
        (672, 960),
    ),
    (
        {"resize": "shorter_side", "size": 64, "scale_down": False, "multiple": 32}
        | {"multiple_by": "resize"},
        (100, 209),
        (96, 224),
    ),
    ({"multiple": 32, "multiple_by": "resize"}, (10, 47), (32, 32)),
    # Half a pixel: to even, and up
    ({"resize": "letterbox", "size": (10, 10)}, (5, 20), (2, 10)),
    ({"resize": "letterbox", "size": (10, 10), "rounding": "mmdetection"}, (5, 20), (3, 10)),
    ({"resize": "letterbox", "size": (64, 64), "scale_up": False}, (30, 20), (30, 20)),
    # PaddleOCR: the next whole pixel, and at most the width
    ({"resize": "fixed_height", "size": (48, 192)}, (31, 50), (48, 78)),
    ({"resize": "fixed_height", "size": (48, 192)}, (10, 500), (48, 192)),
    ({"resize": "fixed_height", "size": (48, 192)}, (4000, 1), (48, 1)),
]


@pytest.mark.parametrize(("keys", "original", "resized"), SIDES)
def test_sides_are_rounded_as_the_library_rounds_them(
    keys: dict[str, Any], original: tuple[int, int], resized: tuple[int, int]
) -> None:
    """Height and width of the resized picture."""
    assert Geometry(Input.model_validate(keys)).place(*original).resized == resized


@pytest.mark.parametrize(
    ("keys", "original", "network", "offset"),
    [
        # Ultralytics' auto=True: 640 x 427, 427 to 448; 10 above and 11 below
        (
            {"resize": "letterbox", "size": (640, 640), "pad_to": "multiple", "pad": "around"},
            (334, 500),
            (448, 640),
            (0, 10),
        ),
        ({"resize": "letterbox", "size": (640, 640)}, (334, 500), (640, 640), (0, 0)),
        (
            {"resize": "fixed_height", "size": (48, 640), "pad_to": "multiple"},
            (30, 50),
            (64, 96),
            (0, 0),
        ),
        ({"crop": (20, 10), "multiple": 1}, (30, 27), (20, 10), (-8, -5)),
        ({"crop": 20, "multiple": 1}, (23, 23), (20, 20), (-2, -2)),
        ({"crop": 20, "rounding": "transformers", "multiple": 1}, (23, 23), (20, 20), (-1, -1)),
        ({"crop": 20, "multiple": 1}, (15, 40), (20, 20), (-10, 2)),
    ],
)
def test_a_picture_lies_where_the_library_puts_it(
    keys: dict[str, Any], original: tuple[int, int], network: Any, offset: Any
) -> None:
    """Size of the input, and the corner of the picture in it; outside of it where it is cropped."""
    place = Geometry(Input.model_validate({"multiple": 32, **keys})).place(*original)
    assert (place.network, place.offset) == (network, offset)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    keys=st.sampled_from(
        [
            {"resize": "letterbox", "size": (64, 96), "pad": "around"},
            {"resize": "letterbox", "size": (64, 96), "pad_to": "multiple", "multiple": 8},
            {"resize": "fixed_height", "size": (32, 96)},
            {"resize": "shorter_side", "size": 32, "crop": (24, 40), "pad_value": 9},
            {"resize": "shorter_side", "size": 32, "longest": 64, "multiple": 16},
            {"resize": "longer_side", "size": 50, "scale_up": False},
            {"resize": "longer_side", "size": 64, "multiple": 32, "multiple_by": "resize"},
            {"crop": 50},
            {"multiple": 32},
        ]
    ),
)
def test_every_pixel_is_picture_or_padding(height: int, width: int, keys: dict[str, Any]) -> None:
    """The visible part is white, all else has the padding's value, whatever the shape."""
    options = Input.model_validate({"pad_value": 7, **keys})
    batch, (place,) = Pixels(options).read([np.full((height, width, 3), 255, np.uint8)])
    rows, columns = place.visible
    assert batch.shape == (1, 3, *place.network)
    assert (batch[:, :, rows, columns] == 1.0).all()
    assert batch[:, :, rows, columns].size > 0
    batch[:, :, rows, columns] = np.nan
    rest = batch[~np.isnan(batch)]
    np.testing.assert_allclose(rest, int(str(options.pad_value)) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("by", "filter_", "antialias", "reference"),
    [
        ("pillow", "area", None, "pillow:BOX"),
        ("pillow", "lanczos", None, "pillow:LANCZOS"),
        ("pillow", "nearest", None, "pillow:NEAREST"),
        ("opencv", "bilinear", None, "cv2:INTER_LINEAR"),
        ("opencv", "bicubic", False, "cv2:INTER_CUBIC"),
        ("opencv", "area", None, "cv2:INTER_AREA"),
        ("opencv", "lanczos", None, "cv2:INTER_LANCZOS4"),
        ("opencv", "nearest", None, "cv2:INTER_NEAREST"),
        ("torch", "bilinear", None, "torch:bilinear:True"),
        ("torch", "bilinear", False, "torch:bilinear:False"),
        ("torch", "bicubic", None, "torch:bicubic:True"),
        ("torch", "nearest", None, "torch:nearest"),
        ("torch", "area", None, "torch:area"),
        ("torch_bytes", "bicubic", None, "bytes:bicubic:True"),
        ("torch_bytes", "area", None, "torch:area"),
    ],
)
def test_each_filter_is_the_librarys_own(
    by: str, filter_: str, antialias: bool | None, reference: str
) -> None:
    """The library's own call gives the same bytes, of three channels and of one."""
    library, kernel, *more = reference.split(":")
    image = noise(61, 47)
    keys = {"by": by, "filter": filter_, "antialias": antialias, "size": (29, 33)}
    options = Input.model_validate(keys)
    if library == "pillow":
        from PIL import Image

        theirs = np.asarray(
            Image.fromarray(image).resize((33, 29), getattr(Image.Resampling, kernel))
        )
    elif library == "cv2":
        cv2 = pytest.importorskip("cv2", reason="pip install 'pytest-perfgate[opencv]'")
        theirs = cv2.resize(image, (33, 29), interpolation=getattr(cv2, kernel))
    else:
        torch = pytest.importorskip("torch", reason="pip install 'pytest-perfgate[torch]'")
        planes = torch.from_numpy(image).permute(2, 0, 1)[None]
        planes = planes if library == "bytes" else planes.float()
        keys = {"antialias": more[0] == "True"} if more else {}
        small = torch.nn.functional.interpolate(planes, (29, 33), mode=kernel, **keys)
        theirs = small[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
    resize = resizer(options)
    np.testing.assert_array_equal(resize(image, 29, 33), theirs)
    np.testing.assert_array_equal(resize(image[:, :, 1], 29, 33), theirs[:, :, 1])
    assert resize(image, 61, 47) is image


def test_the_library_of_a_filter_is_a_requirement_with_its_command() -> None:
    """Declared by `by`; a function of the project needs none of them."""
    assert required(Input(by="opencv"))[0].module == "cv2"
    assert "pytest-perfgate[torch]" in required(Input(by="torch"))[0].install
    assert required(Input(preprocess="own.pixels:prepare")) == ()


def test_recipes_are_skipped_with_the_command_where_the_library_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every recipe of the suite; where it is there, workers import it before an arm's time."""
    suite = read(tmp_path, f'{SUITE}[suite.input]\nby = "opencv"\n{FP32}').suite
    assert suite is not None
    assert "cv2" in preloads(suite, suite.recipes["fp32"])
    absent = property(lambda requirement: requirement.module == "cv2")
    monkeypatch.setattr(registry.Requirement, "missing", absent)
    reason = lacking(suite, suite.recipes["fp32"])
    assert reason is not None
    assert reason.missing == ("cv2",)
    assert "pytest-perfgate[opencv]" in reason.next_step


@pytest.mark.parametrize("by", ["pillow", "opencv", "torch"])
def test_grey_is_one_channel_of_luma(by: str) -> None:
    """0.299 R + 0.587 G + 0.114 B, in the rounding of each library; one mean and std."""
    pytest.importorskip({"pillow": "PIL", "opencv": "cv2"}.get(by, by))
    image = noise(20, 30)
    options = Input.model_validate({"by": by, "color": "grey", "mean": [0.5], "std": [0.25]})
    batch, _ = Pixels(options).read([image])
    luma = (image @ np.array([0.299, 0.587, 0.114])) / 255
    assert batch.shape == (1, 1, 20, 30)
    np.testing.assert_allclose(batch[0, 0], (luma - 0.5) / 0.25, atol=1.05 * 4 / 255)


def test_mean_and_std_on_either_scale_give_one_input() -> None:
    """What a library writes as 123.675 and 58.395 is 0.485 and 0.229 of another."""
    image = noise(8, 8)
    small, _ = Pixels(Input(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))).read([image])
    large, _ = Pixels(
        Input(scale=255, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    ).read([image])
    np.testing.assert_allclose(small, large, atol=1e-5)
    plain, _ = Pixels(Input(scale=255)).read([image])
    np.testing.assert_array_equal(plain[0].transpose(1, 2, 0), image)


def test_padding_with_the_mean_is_zero_after_normalisation() -> None:
    """Exactly, though no pixel has the value 123.675."""
    options = Input(size=(32, 32), resize="letterbox", pad_value="mean", mean=(0.485, 0.456, 0.406))
    batch, _ = Pixels(options).read([noise(10, 20)])
    assert (batch[:, :, 16:] == 0).all()
    assert (batch[:, :, :16] != 0).all()


WRONG = [
    ('resize = "letterbox"', "suite.input.resize", "there is no `size`", "size = [height, width]"),
    ('resize = "shorter_side"\nsize = [256, 256]', "suite.input.size", "[256, 256]", "size = 256"),
    ("size = 640", "suite.input.size", "640", "size = [height, width]"),
    ("size = [1, 2, 3]", "suite.input.size", "[1, 2, 3]", "[height, width]"),
    ("crop = 0", "suite.input.crop[0]", "0", "greater than or equal to 1"),
    ('resize = "fit"', "suite.input.resize", "'fit'", "fixed_height"),
    ('size = [9, 9]\nresize = "letterbox"\ncrop = 8', "suite.input.crop", "8", "shorter_side"),
    ("size = [9, 9]\nlongest = 9", "suite.input.longest", "9", "shorter_side"),
    ('resize = "shorter_side"\nsize = 9\nlongest = 8', "suite.input.longest", "8", "9 or more"),
    ("size = [9, 9]\nscale_up = false", "suite.input.scale_up", "false", "letterbox"),
    ('size = [9, 9]\npad_to = "multiple"', "suite.input.pad_to", '"multiple"', "letterbox"),
    ("size = [9, 9]\nscale_down = false", "suite.input.scale_down", "false", "letterbox"),
    ('multiple_by = "resize"', "suite.input.multiple_by", "multiple = 1", "a `multiple`"),
    (
        'size = [9, 9]\nmultiple = 2\nmultiple_by = "resize"',
        "suite.input.multiple_by",
        '"stretch"',
        "longer_side",
    ),
    ('pad_value = "mean"', "suite.input.pad_value", "no `mean`", "pad_value = 0"),
    ("pad_value = 300", "suite.input.pad_value", "300", '0 to 255, or "mean"'),
    ('filter = "cubic"', "suite.input.filter", "'cubic'", "bicubic"),
    ('filter = "lanczos"\nby = "torch"', "suite.input.filter", '"lanczos"', '"opencv"'),
    ("antialias = false", "suite.input.antialias", "false", 'by = "opencv"'),
    ('antialias = true\nby = "opencv"', "suite.input.antialias", "true", 'filter = "area"'),
    ('antialias = true\nfilter = "nearest"', "suite.input.antialias", "true", "leave"),
    ('by = "cv2"', "suite.input.by", "'cv2'", "opencv"),
    ("scale = 256", "suite.input.scale", "256", "255"),
    ("mean = [0.5]", "suite.input.mean", "[0.5]", "a list of 3"),
    ('color = "grey"\nstd = [1, 1, 1]', "suite.input.std", "[1.0, 1.0, 1.0]", "a list of 1"),
    ('preprocess = "pixels"', "suite.input.preprocess", "'pixels'", "package.module:function"),
    (
        'preprocess = "a.b:c"\nsize = [9, 9]',
        "suite.input.size",
        'beside preprocess = "a.b:c"',
        "preprocess",
    ),
]


@pytest.mark.parametrize(("keys", "place", "value", "valid"), WRONG)
def test_a_wrong_key_is_named_with_its_value_and_what_is_valid(
    tmp_path: Path, keys: str, place: str, value: str, valid: str
) -> None:
    """When the suite is read, before any work."""
    result = read(tmp_path, f"{SUITE}[suite.input]\n{keys}\n{FP32}")
    text = str(result.suite_problems[0])
    assert f"suites/demo/recipes.toml: {place}" in text
    assert value in text.partition("\n")[0]
    assert valid in text


def test_bytes_are_an_alternative_to_floats_without_mean_and_std() -> None:
    """A network in 8 bits takes them as they are, beside floats; bytes have no `mean`."""
    name = '[suite.input] dtype = "uint8"'
    assert name in dict(other_inputs(Input()))
    assert name in dict(other_inputs(Input(dtype="float32", color="grey")))
    for options in (Input(dtype="uint8"), Input(mean=(0.5,) * 3), Input(scale=255)):
        assert name not in dict(other_inputs(options))


def test_every_alternative_is_a_valid_input() -> None:
    """Those of a letterbox on the scale 255, of grey; a function of the project has none."""
    for keys in (
        {"size": (9, 9), "resize": "letterbox", "scale": 255},
        {"color": "grey", "size": 8, "resize": "shorter_side"},
    ):
        options = Input.model_validate(keys)
        lines = list(other_inputs(options))
        assert len(lines) >= 3
        for line, other in lines:
            assert line.startswith("[suite.input] ")
            assert Input.model_validate(other.model_dump(exclude_unset=True)) != options
    assert list(other_inputs(Input(preprocess="a.b:c"))) == []
    with pytest.raises(ValidationError):
        Input.model_validate({"color": "gray"})


def test_a_batch_of_several_sizes_is_refused_with_both() -> None:
    """One array holds one size."""
    pixels = Pixels(Input(size=32, resize="longer_side"))
    with pytest.raises(DataError, match=r"\(16, 32\) and \(32, 32\)"):
        pixels.read([noise(32, 32), noise(16, 32)])
    with pytest.raises(RecipeError, match="there is no `size`"):
        Input(resize="longer_side")


def test_four_channels_are_prepared_as_three_and_alpha() -> None:
    """Transparency is a channel like the others; three written means leave it as it is. A picture
    without it is opaque.
    """
    picture = np.dstack([noise(8, 8), noise(8, 9)[:, :8, 0]])
    options = Input(color="RGBA", mean=(0.1, 0.2, 0.3, 0.5), std=(0.5, 0.5, 0.5, 0.25))
    batch, _ = Pixels(options).read([picture])
    assert batch.shape == (1, 4, 8, 8)
    alpha = (picture[:, :, 3] / 255 - 0.5) / 0.25
    np.testing.assert_allclose(batch[0, 3], alpha, atol=1e-6)
    plain = Pixels(Input(color="RGBA"))
    np.testing.assert_allclose(plain.read([picture])[0][0, 3], picture[:, :, 3] / 255, atol=1e-6)
    opaque, _ = plain.read([noise(8, 8)])
    assert (opaque[0, 3] == 1).all()
    np.testing.assert_array_equal(opaque[0, :3], Pixels(Input()).read([noise(8, 8)])[0][0])
    for _, other in other_inputs(options):
        assert Pixels(other).read([picture])[0].shape[1] == 4


@pytest.mark.parametrize("color", ["RGB", "BGR", "grey"])
def test_transparency_without_a_channel_for_it_is_refused(color: Any) -> None:
    """The data set keeps it, and the network has no such input: both ways out are named."""
    with pytest.raises(DataError, match="alpha channel") as caught:
        Pixels(Input(color=color)).read([np.zeros((4, 4, 4), np.uint8)])
    assert 'alpha = "drop"' in caught.value.valid
    assert 'color = "RGBA"' in caught.value.valid

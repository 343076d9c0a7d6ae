"""The blocks of docs/pixels.md give the pixels of the libraries that they are for.

Each block is read from the page. Where a library is not installed, its published formula stands for
it, on OpenCV; torchvision and timm are compared by `tox run -e torchvision`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.preprocessing import Pixels

PAGE = Path(__file__).parents[3] / "docs" / "pixels.md"
BLOCKS = dict(
    re.findall(r'^```toml title="([^"]+)"\n(.*?)^```', PAGE.read_text("utf-8"), re.M | re.S)
)
SHAPES = [(333, 500), (500, 333), (48, 31), (719, 1283), (64, 64)]
"""Odd and even remainders, either orientation, smaller and larger than the inputs."""

shapes = pytest.mark.parametrize("shape", SHAPES)


def picture(shape: tuple[int, int]) -> Any:
    """A uint8 (H, W, 3) RGB picture with smooth and sharp parts."""
    random = np.random.default_rng(shape[0])
    height, width = shape
    ramp = np.linspace(0, 255, height * width).reshape(height, width)
    noise = random.integers(0, 256, (height, width))
    return np.stack([ramp, noise, (ramp + noise) / 2], axis=2).astype(np.uint8)


def ours(name: str, image: Any) -> Any:
    """The input (C, h, w) of the page's block."""
    options = Input.model_validate(tomllib.loads(BLOCKS[name])["suite"]["input"])
    return Pixels(options).read([image])[0][0]


def check(name: str, image: Any, theirs: Any) -> None:
    """Equal but for the last bit of float32."""
    np.testing.assert_allclose(ours(name, image), theirs, rtol=1e-5, atol=2e-6)


def letterbox(image: Any, *, auto: bool) -> Any:
    """Ultralytics' `LetterBox((640, 640), auto=auto, stride=32)`, from its published formula."""
    cv2 = pytest.importorskip("cv2")
    height, width = image.shape[:2]
    ratio = min(640 / height, 640 / width)
    inner = round(width * ratio), round(height * ratio)
    room = [640 - side for side in inner]
    if auto:
        room = [side % 32 for side in room]
    left, top = (round(side / 2 - 0.1) for side in room)
    right, bottom = (round(side / 2 + 0.1) for side in room)
    if (width, height) != inner:
        image = cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR)
    padded = cv2.copyMakeBorder(
        image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114,) * 3
    )
    return padded.transpose(2, 0, 1).astype(np.float32) / 255


@shapes
def test_ultralytics(shape: tuple[int, int]) -> None:
    """A fixed size, and the next multiple of the stride."""
    image = picture(shape)
    check("Ultralytics", image, letterbox(image, auto=False))
    check("Ultralytics, auto=True", image, letterbox(image, auto=True))


@shapes
def test_mmdetection(shape: tuple[int, int]) -> None:
    """Mmcv's `imrescale` and `impad`; `DetDataPreprocessor` normalises first, then pads."""
    cv2 = pytest.importorskip("cv2")
    image = picture(shape)
    mean, deviation = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])

    def rescaled(long: int, short: int) -> Any:
        ratio = min(long / max(shape), short / min(shape))
        inner = [int(side * ratio + 0.5) for side in (shape[1], shape[0])]
        return cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR)

    inner = rescaled(640, 640)
    padded = np.full((640, 640, 3), 114, np.uint8)
    padded[: inner.shape[0], : inner.shape[1]] = inner
    check(
        "MMDetection, RTMDet", image, ((padded - mean) / deviation)[:, :, ::-1].transpose(2, 0, 1)
    )
    inner = rescaled(1333, 800)
    sides = [-(-side // 32) * 32 for side in inner.shape[:2]]
    network = np.zeros((*sides, 3), np.float32)
    network[: inner.shape[0], : inner.shape[1]] = (inner - mean) / deviation
    check("MMDetection, Faster R-CNN", image, network.transpose(2, 0, 1))


@shapes
def test_torchvision(shape: tuple[int, int]) -> None:
    """`weights.transforms()`, on PIL images and on tensors."""
    torchvision = pytest.importorskip(
        "torchvision", reason="tox run -e torchvision", exc_type=ImportError
    )
    import torch
    from PIL import Image
    from torchvision.transforms._presets import ImageClassification

    image = picture(shape)
    transform = ImageClassification(crop_size=224)
    check("torchvision", image, transform(Image.fromarray(image)).numpy())
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    check("torchvision, tensors", image, transform(tensor).numpy())
    assert torchvision.__version__


@shapes
def test_timm(shape: tuple[int, int]) -> None:
    """`create_transform` of a model's configuration for evaluation."""
    pytest.importorskip("torchvision", reason="tox run -e torchvision", exc_type=ImportError)
    pytest.importorskip("timm", reason="tox run -e torchvision", exc_type=ImportError)
    from PIL import Image
    from timm.data import create_transform

    image = picture(shape)
    transform = create_transform(input_size=(3, 224, 224), interpolation="bicubic", crop_pct=0.875)
    check("timm", image, transform(Image.fromarray(image)).numpy())


@shapes
def test_transformers(shape: tuple[int, int]) -> None:
    """Processors of a fixed size, of a crop, and of two edges, on PIL."""
    transformers = pytest.importorskip(
        "transformers", reason="pip install 'pytest-perfgate[transformers]'"
    )
    image = picture(shape)
    for name, processor in (
        ("transformers, ViT", transformers.ViTImageProcessorPil()),
        ("transformers, CLIP", transformers.CLIPImageProcessorPil()),
        ("transformers, DETR", transformers.DetrImageProcessorPil()),
    ):
        check(name, image, processor(image, return_tensors="np")["pixel_values"][0])


@shapes
def test_paddle_detection(shape: tuple[int, int]) -> None:
    """`Resize(keep_ratio=False, interp=2)` by factors, `NormalizeImage` by 1/255, `Permute`."""
    cv2 = pytest.importorskip("cv2")
    image = picture(shape)
    factors = {"fx": 640 / shape[1], "fy": 640 / shape[0]}
    resized = cv2.resize(image, None, None, **factors, interpolation=2)
    check("PaddleDetection, PP-YOLOE+", image, resized.transpose(2, 0, 1).astype(np.float32) / 255)


@shapes
def test_paddle_ocr(shape: tuple[int, int]) -> None:
    """The text direction classifier's own `resize_norm_img`, and the detector's `DetResizeForTest`,
    as rapidocr carries them.
    """
    pytest.importorskip("cv2")
    pytest.importorskip("rapidocr", reason="pip install 'pytest-perfgate[demo]'")
    from rapidocr.ch_ppocr_cls.main import TextClassifier

    image = picture(shape)
    classifier = SimpleNamespace(cls_image_shape=[3, 48, 192])
    theirs = TextClassifier.resize_norm_img(classifier, image[:, :, ::-1])
    check("PaddleOCR, text direction", image, theirs)
    from rapidocr.ch_ppocr_det.utils import DetPreProcess

    theirs = DetPreProcess(736, "min")(image[:, :, ::-1])[0]
    check("PaddleOCR, text detection", image, theirs)


def test_every_block_of_the_page_is_compared() -> None:
    """A block without a test would be a promise."""
    text = Path(__file__).read_text("utf-8")
    assert [name for name in BLOCKS if f'"{name}"' not in text] == []
    assert len(BLOCKS) >= 12

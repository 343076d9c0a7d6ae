"""The blocks of docs/pixels.md give the pixels of the libraries that they are for.

Each block is read from the page. `tox run -e torchvision` has the libraries that pin others than
the tests do: torchvision, timm, Ultralytics, mmcv and mmengine, PaddleDetection. Elsewhere the
published formulas of the last three stand for them, on OpenCV.
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


def ours(name: str, image: Any, **changed: Any) -> Any:
    """The input (C, h, w) of the page's block; `changed` are other values of its keys, None for a
    key that is left out.
    """
    keys = tomllib.loads(BLOCKS[name])["suite"]["input"] | changed
    given = {key: value for key, value in keys.items() if value is not None}
    return Pixels(Input.model_validate(given)).read([image])[0][0]


def check(name: str, image: Any, theirs: Any, **changed: Any) -> None:
    """Equal but for the last bit of float32."""
    np.testing.assert_allclose(ours(name, image, **changed), theirs, rtol=1e-5, atol=2e-6)


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
    """A fixed size, and the next multiple of the stride; RT-DETR's pictures are stretched."""
    cv2 = pytest.importorskip("cv2")
    image = picture(shape)
    stretched = cv2.resize(image, (640, 640), interpolation=cv2.INTER_LINEAR)
    check("Ultralytics, RT-DETR", image, stretched.transpose(2, 0, 1).astype(np.float32) / 255)
    check("Ultralytics", image, letterbox(image, auto=False))
    check("Ultralytics, auto=True", image, letterbox(image, auto=True))


@shapes
def test_ultralytics_itself(shape: tuple[int, int]) -> None:
    """Its `LetterBox`, and for a classifier `classify_transforms`."""
    pytest.importorskip("torchvision", reason="tox run -e torchvision", exc_type=ImportError)
    augment = pytest.importorskip("ultralytics.data.augment", reason="tox run -e torchvision")
    from PIL import Image

    image = picture(shape)
    for name, auto in (("Ultralytics", False), ("Ultralytics, auto=True", True)):
        boxed = augment.LetterBox((640, 640), auto=auto, stride=32)(image=image)
        check(name, image, boxed.transpose(2, 0, 1).astype(np.float32) / 255)
    small = augment.LetterBox((640, 640), auto=False, scaleup=False)(image=image)
    # As `RTDETRPredictor.scale_fill` has it
    filled = augment.LetterBox((640, 640), auto=False, scale_fill=True)(image=image)
    check("Ultralytics, RT-DETR", image, filled.transpose(2, 0, 1).astype(np.float32) / 255)
    theirs = small.transpose(2, 0, 1).astype(np.float32) / 255
    check("Ultralytics", image, theirs, scale_up=False)
    theirs = augment.classify_transforms(224)(Image.fromarray(image)).numpy()
    check("torchvision", image, theirs, size=224, mean=None, std=None)


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
def test_mmdetection_itself(shape: tuple[int, int]) -> None:
    """The transforms of mmcv and the data preprocessor of mmengine that its own derive from."""
    transforms = pytest.importorskip("mmcv.transforms", reason="tox run -e torchvision")
    import torch
    from mmengine.model import ImgDataPreprocessor

    image = picture(shape)
    mean, deviation = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]

    def prepared(scale: tuple[int, int], *steps: Any, **keys: Any) -> Any:
        """A file is read as BGR."""
        result = {"img": image[:, :, ::-1].copy(), "img_shape": shape}
        for step in (transforms.Resize(scale=scale, keep_ratio=True), *steps):
            result = step(result)
        planes = torch.from_numpy(result["img"].transpose(2, 0, 1).copy())
        return ImgDataPreprocessor(**keys)({"inputs": [planes]})["inputs"][0].numpy()

    pad = transforms.Pad(size=(640, 640), pad_val={"img": (114, 114, 114)})
    theirs = prepared((640, 640), pad, mean=mean[::-1], std=deviation[::-1])
    check("MMDetection, RTMDet", image, theirs)
    keys = {"mean": mean, "std": deviation, "bgr_to_rgb": True, "pad_size_divisor": 32}
    check("MMDetection, Faster R-CNN", image, prepared((1333, 800), **keys))


@shapes
def test_torchvision(shape: tuple[int, int]) -> None:
    """`weights.transforms()`, on PIL images and on tensors, and the newer transforms."""
    torchvision = pytest.importorskip(
        "torchvision", reason="tox run -e torchvision", exc_type=ImportError
    )
    import torch
    from PIL import Image
    from torchvision.transforms import v2
    from torchvision.transforms._presets import ImageClassification

    image = picture(shape)
    transform = ImageClassification(crop_size=224)
    check("torchvision", image, transform(Image.fromarray(image)).numpy())
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    check("torchvision, tensors", image, transform(tensor).numpy())
    theirs = v2.functional.resize(tensor, [256])
    check(
        "torchvision, tensors",
        image,
        v2.functional.center_crop(theirs, [224]).numpy() / 255,
        by="torch_bytes",
        mean=None,
        std=None,
    )
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
def test_transformers_with_torchvision(shape: tuple[int, int]) -> None:
    """The same processors resize tensors then, in bytes."""
    pytest.importorskip("torchvision", reason="tox run -e torchvision", exc_type=ImportError)
    transformers = pytest.importorskip("transformers", reason="tox run -e torchvision")
    image = picture(shape)
    for name, processor in (
        ("transformers, ViT", transformers.ViTImageProcessor()),
        ("transformers, CLIP", transformers.CLIPImageProcessor()),
        ("transformers, DETR", transformers.DetrImageProcessor()),
    ):
        theirs = processor(image, return_tensors="np")["pixel_values"][0]
        check(name, image, theirs, by="torch_bytes")


@shapes
def test_paddle_detection(shape: tuple[int, int]) -> None:
    """`Resize(keep_ratio=False, interp=2)` by factors, `NormalizeImage` by 1/255, `Permute`."""
    cv2 = pytest.importorskip("cv2")
    image = picture(shape)
    factors = {"fx": 640 / shape[1], "fy": 640 / shape[0]}
    resized = cv2.resize(image, None, None, **factors, interpolation=2)
    check("PaddleDetection, PP-YOLOE+", image, resized.transpose(2, 0, 1).astype(np.float32) / 255)


@shapes
def test_paddle_detection_itself(shape: tuple[int, int]) -> None:
    """Its operators of PP-YOLOE+'s reader, and of PicoDet's, as the page's words have it."""
    operators = pytest.importorskip(
        "ppdet.data.transform.operators", reason="tox run -e torchvision", exc_type=ImportError
    )
    image = picture(shape)
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

    def prepared(side: int, **normalize: Any) -> Any:
        sample: Any = {"image": image.copy(), "im_shape": np.float32(shape)}
        sample["scale_factor"] = np.float32([1, 1])
        for step in (
            operators.Resize(target_size=[side, side], keep_ratio=False, interp=2),
            operators.NormalizeImage(**normalize),
            operators.Permute(),
        ):
            sample = step(sample)
        return sample["image"]

    plain = prepared(640, mean=[0.0] * 3, std=[1.0] * 3, norm_type="none")
    check("PaddleDetection, PP-YOLOE+", image, plain)
    theirs = prepared(416, mean=mean, std=deviation)
    check("PaddleDetection, PP-YOLOE+", image, theirs, size=[416, 416], mean=mean, std=deviation)


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

"""Resizing of pictures and their luma, by the library that `[suite.input]` names.

Each library has filters of its own under the same names: another support, another rounding, with or
without antialiasing. A library is imported when a pipeline is made, by workers alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.tasks.pixels.input_options import Input

Resize = Callable[[Any, int, int], Any]
"""A uint8 (H, W, 3) or (H, W) picture, a height and a width: the picture in that size."""


_REQUIRED: dict[str, tuple[registry.Requirement, ...]] = {
    "pillow": (),  # every task requires it, to decode images
    "opencv": (registry.from_extra("cv2", "opencv"),),
    "torch": (registry.from_extra("torch", "torch"),),
    "torch_bytes": (registry.from_extra("torch", "torch"),),
}


def required(options: Input) -> tuple[registry.Requirement, ...]:
    """The package that resizes pictures and makes them grey, besides those of every task."""
    return () if options.preprocess else _REQUIRED[options.by]


def resizer(options: Input) -> Resize:
    """The function that resizes as `options` declare it."""
    by = {"pillow": _pillow, "opencv": _opencv, "torch": _torch, "torch_bytes": _torch}
    resize = by[options.by](options)

    def resized(image: Any, height: int, width: int) -> Any:
        return image if image.shape[:2] == (height, width) else resize(image, height, width)

    return resized


def luma(options: Input) -> Callable[[Any], Any]:
    """The function from a uint8 (H, W, 3) RGB picture to its uint8 (H, W) luma, by ITU-R BT.601 in
    the arithmetic of the library.
    """
    import numpy as np

    if options.by == "opencv":
        import cv2

        return lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if options.by in {
        "torch",
        "torch_bytes",
    }:  # torchvision's rgb_to_grayscale: the fraction is cut off
        weights = np.array([0.2989, 0.587, 0.114], dtype=np.float32)
        return lambda image: (image.astype(np.float32) @ weights).astype(np.uint8)
    from PIL import Image

    return lambda image: np.asarray(Image.fromarray(image).convert("L"))


def _pillow(options: Input) -> Resize:
    import numpy as np
    from PIL import Image

    names = {"area": "BOX"}
    kernel = Image.Resampling[names.get(options.filter, options.filter.upper())]
    return lambda image, height, width: np.asarray(
        Image.fromarray(image).resize((width, height), kernel)
    )


def _opencv(options: Input) -> Resize:
    import cv2
    import numpy as np

    names = {"bilinear": "LINEAR", "bicubic": "CUBIC", "lanczos": "LANCZOS4"}
    kernel = getattr(cv2, f"INTER_{names.get(options.filter, options.filter.upper())}")
    return lambda image, height, width: cv2.resize(
        np.ascontiguousarray(image), (width, height), interpolation=kernel
    )


def _torch(options: Input) -> Resize:
    """As torchvision's transforms of tensors: `torch.nn.functional.interpolate` in floats, rounded
    to bytes; or its kernels for bytes, which `torchvision.transforms.v2` takes where they are fast.
    """
    import platform

    import numpy as np
    import torch

    capable = torch.backends.cpu.get_cpu_capability() in {"AVX2", "AVX512"} or (
        platform.machine() in {"aarch64", "arm64"}
    )
    in_bytes = options.by == "torch_bytes" and (
        options.filter == "bicubic" or (options.filter == "bilinear" and capable)
    )

    more: dict[str, Any] = {}
    if options.filter in {"bilinear", "bicubic"}:
        more = {"antialias": options.antialias is not False, "align_corners": False}

    def resize(image: Any, height: int, width: int) -> Any:
        # torch takes no array that must not be written
        pixels = torch.from_numpy(np.require(image, requirements=["C", "W"]))
        planes = (pixels.permute(2, 0, 1) if image.ndim == 3 else pixels[None])[None]
        with torch.inference_mode():
            planes = planes if in_bytes else planes.float()
            small = torch.nn.functional.interpolate(
                planes, size=(height, width), mode=options.filter, **more
            )[0]
            if not in_bytes:
                small = small.round_().clamp_(0, 255).to(torch.uint8)  # bicubic overshoots
        return (small.permute(1, 2, 0) if image.ndim == 3 else small[0]).numpy()

    return resize

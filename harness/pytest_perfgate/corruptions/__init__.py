"""Corruptions of pictures: the fifteen of ImageNet-C at five severities, the same for a seed.

Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations"; for pictures of any size as Michaelis et al. 2019, "Benchmarking Robustness in
Object Detection: Autonomous Driving when Winter is Coming". `docs/robustness.md` says what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NOISE = ("gaussian_noise", "shot_noise", "impulse_noise")
BLURS = ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur")
WEATHER = ("snow", "frost", "fog", "brightness")
DIGITAL = ("contrast", "elastic_transform", "pixelate", "jpeg_compression")
NAMES = (*NOISE, *BLURS, *WEATHER, *DIGITAL)
SEVERITIES = (1, 2, 3, 4, 5)

MOVING = frozenset({"elastic_transform"})
"""Corruptions that move objects: boxes and masks are no longer where the annotations say."""

STILL = tuple(name for name in NAMES if name not in MOVING)
"""Those that leave objects where they are."""

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "gaussian_noise": "noise of a dark scene",
        "shot_noise": "noise of few photons",
        "impulse_noise": "black and white values of single pixels",
        "defocus_blur": "a lens out of focus",
        "glass_blur": "frosted glass: neighbours change places",
        "motion_blur": "a camera that moves",
        "zoom_blur": "a camera that moves towards the scene",
        "snow": "falling snow",
        "frost": "ice on the lens",
        "fog": "fog",
        "brightness": "too much light",
        "contrast": "too little contrast",
        "elastic_transform": "stretched and squeezed regions",
        "pixelate": "a picture enlarged from few pixels",
        "jpeg_compression": "artefacts of strong JPEG compression",
    }
)


def corrupted(
    image: npt.NDArray[np.uint8], name: str, severity: int, seed: int, index: int
) -> npt.NDArray[np.uint8]:
    """A picture uint8 (H, W, 3), corrupted; the same for the same picture, `name`, `severity` (1 to
    5), `seed` and `index`, which is the picture's place in its data set. Of (H, W, 4) the colours
    are, and the fourth channel stays: a camera knows no transparency.

    Raises:
        KeyError: there is no such corruption.
    """
    import numpy as np

    # Each picture has draws of its own, whichever pictures come before it.
    random = np.random.default_rng([seed, NAMES.index(name), severity, index])
    colours, others = image[..., :3], image[..., 3:]
    result = _functions()[name](colours / 255.0, severity - 1, random)
    clipped: npt.NDArray[np.uint8] = np.rint(np.clip(result, 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.concatenate([clipped, others], axis=-1) if others.shape[-1] else clipped


def _functions() -> dict[str, Callable[[Any, int, Any], Any]]:
    from pytest_perfgate.corruptions import blurs, digital, noise, weather

    modules = {NOISE: noise, BLURS: blurs, WEATHER: weather, DIGITAL: digital}
    return {name: getattr(module, name) for names, module in modules.items() for name in names}

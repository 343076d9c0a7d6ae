"""`pytest-perfgate init`: a small working suite, written into an empty project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import put, writing

_RECIPES = """\
# docs: https://pypi.org/project/pytest-perfgate
[suite]
task  = "detection"
model = "suites.example.model:build"

[suite.data]
calibration = "suites.example.data:calibration"
validation  = "suites.example.data:validation"

[[recipe]]
name    = "fp32"
runtime = "torch"
[recipe.budgets]
map         = { min = 0.2, regression = 0.02 }
latency_p50 = { max = "500 ms", regression = "10%" }

[[recipe]]
name    = "onnx"
from    = "fp32"
steps   = [{ export = "onnx" }]
runtime = "onnxruntime"
[recipe.budgets]
map         = { drop = 0.02 }
latency_p50 = { regression = "10%" }
"""

_TEST = '''\
"""Holds the recipes beside this file to their budgets: pytest --perf."""


def test_budget(budget):
    """Every recipe keeps every one of its budgets."""
    budget.check()
'''

_MODEL = '''\
"""A detector of bright squares that needs no training; put your own model here."""

import torch
from torch import nn


class Squares(nn.Module):
    """In: float32 (N, 3, H, W) in [0, 1]. Out: boxes (N, A, 4) corners, scores (N, A, 1)."""

    def __init__(self, side: int = 32, stride: int = 16) -> None:
        super().__init__()
        self.side, self.stride = side, stride
        self.mean = nn.Conv2d(3, 1, side, stride, bias=False)
        nn.init.constant_(self.mean.weight, 1.0 / (3 * side * side))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows that are bright on the whole."""
        bright = self.mean(x)
        rows, columns = bright.shape[2], bright.shape[3]
        top = torch.arange(rows, dtype=torch.float32)[:, None].expand(rows, columns) * self.stride
        left = torch.arange(columns, dtype=torch.float32)[None].expand(rows, columns) * self.stride
        boxes = torch.stack([left, top, left + self.side, top + self.side], -1).flatten(0, 1)
        scores = torch.sigmoid(20 * (bright - 0.6)).flatten(1)[..., None]
        return boxes[None].expand(x.shape[0], -1, -1), scores


def build() -> nn.Module:
    """The model, in eval mode."""
    return Squares().eval()
'''

_DATA = '''\
"""Grey images with bright squares; put your own data here."""

import numpy as np

from pytest_perfgate.tasks.detection import DetectionData


def _images(count: int, seed: int) -> DetectionData:
    random = np.random.default_rng(seed)
    images, annotations = [], []
    for image in range(count):
        pixels = random.integers(0, 80, (128, 128, 3), dtype=np.uint8)
        for _ in range(random.integers(1, 4)):
            x, y = (int(side) * 16 for side in random.integers(0, 7, 2))
            pixels[y : y + 32, x : x + 32] = random.integers(200, 255)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image + 1,
                    "category_id": 1,
                    "bbox": [x, y, 32, 32],
                }
            )
        images.append(pixels)
    return DetectionData(
        images=images,
        coco={
            "images": [{"id": image + 1, "width": 128, "height": 128} for image in range(count)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "square"}],
        },
    )


def calibration() -> DetectionData:
    """Images for calibrating quantizers."""
    return _images(16, seed=1)


def validation() -> DetectionData:
    """Images for measuring accuracy, enough to decide a drop of 0.02; none of them calibrates."""
    return _images(240, seed=2)
'''

_FILES = {
    "suites/__init__.py": "",
    "suites/example/__init__.py": "",
    "suites/example/recipes.toml": _RECIPES,
    "suites/example/test_example.py": _TEST,
    "suites/example/model.py": _MODEL,
    "suites/example/data.py": _DATA,
}


_OUTPUTS = (".perfgate/", "reports/")
"""What sessions write and nobody commits; baselines are committed."""


def write(folder: Path) -> list[Path]:
    """Writes the example below `folder`; returns the files, relative to it.

    Raises:
        PerfgateError: one of them is there already; nothing was written.
    """
    files = {name: text for name, text in _FILES.items() if text or not (folder / name).exists()}
    return write_files(folder, files, {}, next_step="pytest-perfgate init OTHER_FOLDER")


def write_files(
    folder: Path, files: Mapping[str, str], links: Mapping[str, Path], *, next_step: str
) -> list[Path]:
    """Writes files and links below `folder`; returns them, relative to it.

    Raises:
        PerfgateError: one of them is there already, or cannot be written; nothing is left behind.
    """
    there = [name for name in (*files, *links) if os.path.lexists(folder / name)]
    if there:
        raise PerfgateError(
            f"{there[0]} exists already; nothing was written",
            where=str(folder),
            next_step=next_step,
        )
    written: list[Path] = []
    try:
        for name in (*files, *links):
            file = folder / name
            with writing(file, "the file", PerfgateError):
                file.parent.mkdir(parents=True, exist_ok=True)
                if name in links:
                    file.symlink_to(links[name])
                else:
                    put(file, files[name])
            written.append(Path(name))
    except PerfgateError:
        for done in written:
            (folder / done).unlink(missing_ok=True)
        raise
    return written


def ignored(folder: Path) -> list[str]:
    """Names what sessions write in the project's .gitignore; returns what was done, a line each.

    Lines that are there stay as they are.

    Raises:
        PerfgateError: it cannot be written.
    """
    file = folder / ".gitignore"
    with writing(file, "the file", PerfgateError):
        try:
            text = file.read_text(encoding="utf-8") if file.exists() else ""
        except UnicodeDecodeError:
            return [f"add to {file}, which is not UTF-8: {' '.join(_OUTPUTS)}"]
        present = {line.strip().strip("/") for line in text.splitlines()}
        missing = [name for name in _OUTPUTS if name.strip("/") not in present]
        if not missing:
            return []
        start = text if not text or text.endswith("\n") else f"{text}\n"
        put(file, start + "".join(f"{name}\n" for name in missing))
    return [f"added to {file}: {' '.join(missing)}"]

"""Records of a gate and predictors, as small as they come."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import duckdb
import numpy as np
from pytest_perfgate.live import GateRecord, log_rows
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed, Sketch
from pytest_perfgate.records.recipe_record import ArtifactInfo, RecipeRecord
from pytest_perfgate.stats.image_statistics import NAMES, grid, statistics

CLASSES = ("cat", "dog", "owl")


def picture(generator: np.random.Generator, brighter: int = 0) -> np.ndarray:
    """A picture of one colour with noise."""
    level = generator.integers(40, 180) + brighter
    noise = generator.integers(-20, 20, (16, 24, 3))
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def called(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The class of each picture and its score."""
    return generator.choice(3, count, p=[0.5, 0.3, 0.2]), generator.beta(6, 2, count)


def record(
    images: int = 200, seed: int = 0, name: str = "int8", budgets: dict | None = None
) -> GateRecord:
    """What a gate measured of a classifier."""
    generator = np.random.default_rng(seed)
    numbers = []
    for _ in range(images):
        image = picture(generator)
        numbers.append(statistics(grid(image), image.shape[:2]))
    category, score = called(generator, images)
    truth = np.zeros((images, 3), np.int32)
    truth[np.arange(images), category] = 1
    matches = Matches(
        thresholds=(0.5,),
        categories=CLASSES,
        image=Packed.of(np.arange(images, dtype=np.int32)),
        category=Packed.of(category.astype(np.int16)),
        score=Packed.of(score.astype(np.float32)),
        hits=Packed.of(np.ones(images, np.uint16)),
        ignored=Packed.of(np.zeros(images, np.uint16)),
        truth=Packed.of(truth),
    )
    accuracy = Accuracy(
        values={"accuracy": 1.0},
        images=images,
        data_digest="d",
        predictions_digest="p",
        matches=matches,
        inputs={
            name: Sketch.of(column) for name, column in zip(NAMES, np.array(numbers).T, strict=True)
        },
    )
    recipe = RecipeRecord(
        name=name,
        reference="fp32",
        spec={"budgets": budgets or {}},
        artifact=ArtifactInfo(kind="onnx", digest="a" * 64, size=1, files={}),
        accuracy=accuracy,
    )
    return GateRecord("pets", recipe)


def rows(folder: Path, what: str = "*") -> list[tuple]:
    """What a query of all rows of a folder gives, in the order of time."""
    query = f"SELECT {what} FROM read_parquet('{folder}/*.parquet') ORDER BY time"  # noqa: S608 - of these tests
    with contextlib.closing(duckdb.connect()) as engine:
        return engine.execute(query).fetchall()


def log(
    folder: Path,
    rows: int,
    *,
    seed: int = 1,
    brighter: int = 0,
    name: str = "int8",
    slower: float = 1.0,
    errors: float = 0.0,
    score_drop: float = 0.0,
    odd_class: bool = False,
    artifact: str = "a" * 64,
    image: str = "",
    lost: Mapping[str, float] = MappingProxyType({}),
    later: int = 0,
) -> Path:
    """A log of requests that are like those of `record`, but for what is asked; a request each
    second of a day, from `later` seconds on. `lost` has the share of rows without "scores" or
    "statistics".
    """
    generator = np.random.default_rng(seed)
    category, score = called(generator, rows)
    begin = datetime(2026, 11, 30, tzinfo=UTC).replace(tzinfo=None) + timedelta(seconds=later)
    lines = []
    for row in range(rows):
        pixels = picture(generator, brighter)
        numbers = statistics(grid(pixels), pixels.shape[:2])
        failed = bool(generator.random() < errors)
        unread = failed or row < rows * lost.get("scores", 0) - 1
        blind = row < rows * lost.get("statistics", 0) - 1
        animal = "ape" if odd_class and row % 10 == 0 else CLASSES[category[row]]
        lines.append(
            {
                "time": (begin + timedelta(seconds=row)).isoformat(),
                "suite": "pets",
                "recipe": name,
                "artifact": artifact,
                "monitor": "1",
                "image": image or f"{row}.jpg",
                "requests": 1,
                "errors": int(failed),
                "latency": float(0.02 * slower * generator.lognormal(0, 0.2)),
                "error": "ValueError" if failed else None,
                "classes": None if unread else [animal],
                "scores": None if unread else [float(max(0, score[row] - score_drop))],
                **({} if blind else dict(zip(NAMES, map(float, numbers), strict=True))),
            }
        )
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(duckdb.connect()) as engine:
        log_rows.write(engine, lines, folder / f"{seed}.parquet")
    return folder

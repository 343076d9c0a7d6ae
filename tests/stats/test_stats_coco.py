"""Average precision is that of COCO's evaluators."""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pytest_perfgate.stats.average_precision import Ranked, Table, mean_average_precision


def coco_case(seed: int, images: int = 30, categories: int = 4) -> tuple[dict[str, Any], Any]:
    """Random boxes with misses, false alarms and many equal scores."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    result: list[dict[str, Any]] = []
    for image in range(1, images + 1):
        for _ in range(random.integers(0, 6)):
            category = int(random.integers(1, categories + 1))
            x, y, width, height = (*random.uniform(0, 200, 2), *random.uniform(10, 90, 2))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": category,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
            if random.random() < 0.8:
                moved = np.array([x, y, width, height]) + random.normal(0, 4, 4)
                result.append(
                    {
                        "image_id": image,
                        "category_id": category,
                        "bbox": np.maximum(moved, 1.0).tolist(),
                        "score": round(float(random.random()), 1),
                    }
                )
        for _ in range(random.integers(0, 4)):
            result.append(
                {
                    "image_id": image,
                    "category_id": int(random.integers(1, categories + 1)),
                    "bbox": [*random.uniform(0, 200, 2), *random.uniform(10, 90, 2)],
                    "score": round(float(random.random()), 1),
                }
            )
    truth = {
        "info": {},
        "images": [{"id": image, "width": 300, "height": 300} for image in range(1, images + 1)],
        # The last category has no objects at all.
        "categories": [
            {"id": category, "name": str(category)} for category in range(1, categories + 2)
        ],
        "annotations": annotations,
    }
    return truth, result


def official(truth: dict[str, Any], result: Any) -> tuple[COCOeval, Table]:
    """The evaluation of pycocotools, and its own matches as a table."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(result), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    columns: list[tuple[int, int, float, int]] = []
    counts = np.zeros((len(truth["images"]), len(truth["categories"])), dtype=np.int32)
    for entry in evaluator.evalImgs:
        if entry is None or entry["aRng"] != evaluator.params.areaRng[0]:
            continue
        image, category = entry["image_id"] - 1, entry["category_id"] - 1
        counts[image, category] = int((np.asarray(entry["gtIgnore"]) == 0).sum())
        for row, score in enumerate(entry["dtScores"]):
            bits = sum(1 << bit for bit in range(10) if entry["dtMatches"][bit, row] > 0)
            columns.append((image, category, score, bits))
    table = Table(
        image=np.array([column[0] for column in columns], dtype=np.int32),
        category=np.array([column[1] for column in columns], dtype=np.int16),
        score=np.array([column[2] for column in columns], dtype=np.float32),
        hits=np.array([column[3] for column in columns], dtype=np.uint16),
        truth=counts,
        thresholds=10,
    )
    return evaluator, table


@pytest.mark.parametrize("seed", range(12))
def test_equals_pycocotools_on_random_data_with_many_equal_scores(seed: int) -> None:
    """map, map50, map75 and each category's precision are pycocotools' to 1e-9."""
    evaluator, table = official(*coco_case(seed))
    assert mean_average_precision(table) == pytest.approx(evaluator.stats[0], abs=1e-9)
    assert mean_average_precision(table, "map50") == pytest.approx(evaluator.stats[1], abs=1e-9)
    assert mean_average_precision(table, "map75") == pytest.approx(evaluator.stats[2], abs=1e-9)
    assert mean_average_precision(table, (0,)) == mean_average_precision(table, "map50")
    once = np.ones((len(table.truth), 1), dtype=np.int64)
    ours = Ranked(table, tuple(range(10))).score(once)[:, :, 0]
    theirs = evaluator.eval["precision"][:, :, :, 0, -1].mean(axis=1).T
    theirs[theirs < 0] = math.nan
    assert np.isnan(ours[-1]).all()
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_equals_faster_coco_eval(seed: int) -> None:
    """The other evaluator gives the same map."""
    import faster_coco_eval

    truth, result = coco_case(seed)
    _, table = official(truth, result)
    coco = faster_coco_eval.COCO(truth)
    faster = faster_coco_eval.COCOeval_faster(
        coco, coco.loadRes(result), "bbox", print_function=lambda *_: None
    )
    faster.run()
    assert mean_average_precision(table) == pytest.approx(faster.stats_as_dict["AP_all"], abs=1e-9)

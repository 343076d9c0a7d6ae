"""The demo detector's scores: the evaluator that judges it agrees with pycocotools."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
coco_module = pytest.importorskip("pycocotools.coco", reason="python -m pip install pycocotools")
eval_module = pytest.importorskip("pycocotools.cocoeval")

from pytest_perfgate.tasks.detection import Detection, Input, Output  # noqa: E402 - same
from pytest_perfgate.tasks.detection.coco_scores import evaluate  # noqa: E402 - after what may skip
from pytest_perfgate.tasks.detection.data import DetectionData  # noqa: E402 - same

from suites.digits import data, model  # noqa: E402 - same

SCENES = 60


@pytest.mark.slow
def test_the_demo_detectors_map_is_that_of_pycocotools() -> None:
    """On the first validation scenes mAP is at least 0.70, and both evaluators say the same."""
    whole = data.validation()
    images = [np.array(whole.images[index]) for index in range(SCENES)]
    ids = {entry["id"] for entry in whole.coco["images"][:SCENES]}
    coco = {
        **whole.coco,
        "images": whole.coco["images"][:SCENES],
        "annotations": [
            annotation for annotation in whole.coco["annotations"] if annotation["image_id"] in ids
        ],
    }
    part = DetectionData(images=images, coco=coco)
    pipeline = Detection().pipeline(Input(), Output())
    detector = model.build()
    predictions = []
    with torch.inference_mode():
        for image in images:
            inputs, meta = pipeline.preprocess([image])
            outputs = tuple(tensor.numpy() for tensor in detector(torch.from_numpy(inputs.images)))
            predictions += pipeline.postprocess(outputs, meta)
    result = evaluate(part, predictions)
    assert result.values["map"] >= 0.70
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_module.COCO()
        truth.dataset = coco
        truth.createIndex()
        rows = [
            {
                "image_id": entry["id"],
                "category_id": coco["categories"][int(category)]["id"],
                "bbox": [*map(float, box[:2]), *map(float, box[2:] - box[:2])],
                "score": float(score),
            }
            for entry, prediction in zip(coco["images"], predictions, strict=True)
            for box, score, category in zip(
                prediction.boxes, prediction.scores, prediction.categories, strict=True
            )
        ]
        judged = eval_module.COCOeval(truth, truth.loadRes(rows), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    assert result.values["map"] == pytest.approx(judged.stats[0], abs=1e-9)
    assert result.values["map50"] == pytest.approx(judged.stats[1], abs=1e-9)

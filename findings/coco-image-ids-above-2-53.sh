#!/usr/bin/env bash
# faster-coco-eval merges images whose ids are above 2^53: a wrong detector scores 1.0
#
# Versions     faster-coco-eval 1.8.0, pycocotools 2.0.11 (numpy 2.4.6, Python 3.11)
# Behaviour    Two images, one object each. The detector finds both objects, and with its highest
#              score it also reports, on the first image, the box that belongs to the second. That
#              is one false positive: AP 0.667. Give the same images the ids 2^53 and 2^53 + 1 and
#              faster-coco-eval says 1.000, because the false positive now meets the other image's
#              object. No warning. pycocotools says 0.667 for both pairs of ids.
# Output       ids from 1: pycocotools 0.667, faster-coco-eval 0.667
#              ids from 9007199254740992: pycocotools 0.667, faster-coco-eval 1.000
# Wrong guess  "JSON integers stay integers in Python, and the evaluator calls itself a drop-in
#              replacement: ids made from a hash or a timestamp in nanoseconds are safe."
# Source       Found by scoring the same scenes with two evaluators while the ids grew.
#              csrc/faster_eval_api/coco_eval/dataset.h: `append(double img_id, double cat_id, ...)`
#              and `std::vector<double>& img_ids`, above a map that is keyed by int64.
# What to do   Number the images 1, 2, 3 ... before the evaluator sees them, and map back after.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet faster-coco-eval==1.8.0 pycocotools==2.0.11 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import contextlib
import io
import sys

import faster_coco_eval
import pycocotools.coco
import pycocotools.cocoeval


def average_precision(first_id, coco_class, evaluator_class):
    ids = [first_id, first_id + 1]
    boxes = [[10, 10, 20, 20], [60, 60, 20, 20]]
    truth = {
        "info": {},
        "categories": [{"id": 1, "name": "thing"}],
        "images": [{"id": i, "width": 100, "height": 100} for i in ids],
        "annotations": [
            {"id": n, "image_id": i, "category_id": 1, "bbox": box, "area": 400, "iscrowd": 0}
            for n, (i, box) in enumerate(zip(ids, boxes), start=1)
        ],
    }
    detections = [
        {"image_id": ids[0], "category_id": 1, "bbox": boxes[1], "score": 0.9},  # the false positive
        {"image_id": ids[0], "category_id": 1, "bbox": boxes[0], "score": 0.8},
        {"image_id": ids[1], "category_id": 1, "bbox": boxes[1], "score": 0.7},
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_class()
        coco.dataset = truth
        coco.createIndex()
        evaluator = evaluator_class(coco, coco.loadRes(detections), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return round(float(evaluator.stats[0]), 3)


scores = {}
for first_id in (1, 2**53):
    reference = average_precision(first_id, pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval)
    fast = average_precision(first_id, faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster)
    scores[first_id] = (reference, fast)
    print(f"ids from {first_id}: pycocotools {reference:.3f}, faster-coco-eval {fast:.3f}")
if scores != {1: (0.667, 0.667), 2**53: (0.667, 1.0)}:
    sys.exit("The behaviour changed.")
PY

"""Photographs of people, and the faces that MediaPipe's own pipeline finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.zoo.faces.data import NAMES, pictures
from suites.zoo.truth import detections, unknown

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData


def calibration() -> DetectionData:
    """Other cut-outs and other portraits."""
    return unknown(pictures(32, seed=19), NAMES)


def validation() -> DetectionData:
    """The boxes of `mediapipe.solutions.face_detection`, which are fractions of a picture."""
    import mediapipe

    shown = pictures(60, seed=20)
    results = []
    with mediapipe.solutions.face_detection.FaceDetection(
        model_selection=0, min_detection_confidence=0.5
    ) as pipeline:
        for picture in shown:
            height, width = picture.shape[:2]
            faces = pipeline.process(picture).detections or []
            boxes = []
            for face in faces:
                box = face.location_data.relative_bounding_box
                right, bottom = box.xmin + box.width, box.ymin + box.height
                boxes.append((box.xmin * width, box.ymin * height, right * width, bottom * height))
            results.append((boxes, [0] * len(boxes)))
    return detections(shown, results, NAMES)

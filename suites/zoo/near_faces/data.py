"""Photographs of people, and the faces that MediaPipe's own pipeline finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from suites.zoo.faces.data import NAMES, pictures
from suites.zoo.truth import detections, unknown

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData

    from suites.zoo.pictures import Picture


def calibration() -> DetectionData:
    """Other cut-outs and other portraits."""
    return unknown(pictures(32, seed=19), NAMES)


def validation() -> DetectionData:
    """The boxes of `mediapipe.solutions.face_detection`, which are fractions of a picture."""
    shown = pictures(60, seed=20)
    results = []
    for picture, faces in zip(shown, mediapipe_faces(shown), strict=True):
        height, width = picture.shape[:2]
        boxes = []
        for face in faces:
            box = face.location_data.relative_bounding_box
            right, bottom = box.xmin + box.width, box.ymin + box.height
            boxes.append((box.xmin * width, box.ymin * height, right * width, bottom * height))
        results.append((boxes, [0] * len(boxes)))
    return detections(shown, results, NAMES)


def mediapipe_faces(shown: Sequence[Picture]) -> list[Sequence[Any]]:
    """The detections of `mediapipe.solutions.face_detection` in each picture."""
    import mediapipe
    from google.protobuf import message_factory, symbol_database

    # MediaPipe reads its results by a method that protobuf 6 has under another name only.
    database = symbol_database.SymbolDatabase
    if not hasattr(database, "GetPrototype"):
        database.GetPrototype = staticmethod(message_factory.GetMessageClass)
    with mediapipe.solutions.face_detection.FaceDetection(
        model_selection=0, min_detection_confidence=0.5
    ) as pipeline:
        return [pipeline.process(picture).detections or [] for picture in shown]

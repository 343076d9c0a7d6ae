"""Photographs of people, and the keypoints of faces that MediaPipe's own pipeline finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from suites.zoo.faces.data import pictures
from suites.zoo.near_faces.data import mediapipe_faces

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pose.data import PoseData

    from suites.zoo.pictures import Picture

NAMES = ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear")
SIGMAS = (0.05,) * len(NAMES)


def calibration() -> PoseData:
    """Other cut-outs and other portraits, of which nothing is known."""
    return _data(pictures(32, seed=19), [], annotated=False)


def validation() -> PoseData:
    """The keypoints of `mediapipe.solutions.face_detection`, which are fractions of a picture."""
    shown = pictures(60, seed=20)
    annotations: list[dict[str, Any]] = []
    for image, (picture, faces) in enumerate(zip(shown, mediapipe_faces(shown), strict=True), 1):
        height, width = picture.shape[:2]
        for face in faces:
            place = face.location_data
            box = place.relative_bounding_box
            points = [(one.x * width, one.y * height) for one in place.relative_keypoints]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "bbox": [
                        box.xmin * width,
                        box.ymin * height,
                        box.width * width,
                        box.height * height,
                    ],
                    "iscrowd": 0,
                    "keypoints": [number for x, y in points for number in (x, y, 2)],
                    "num_keypoints": len(points),
                }
            )
    return _data(shown, annotations, annotated=True)


def _data(
    shown: Sequence[Picture], annotations: list[dict[str, Any]], *, annotated: bool
) -> PoseData:
    from pytest_perfgate.tasks.pose.data import PoseData

    images = [
        {"id": row + 1, "height": picture.shape[0], "width": picture.shape[1]}
        for row, picture in enumerate(shown)
    ]
    face = {"id": 1, "name": "face", "keypoints": list(NAMES)}
    coco = {"images": images, "annotations": annotations, "categories": [face]}
    return PoseData(shown, coco, SIGMAS, annotated)

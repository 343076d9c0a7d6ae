#!/usr/bin/env bash
# NudeNet exchanges red and blue twice: the network is given BGR
#
# Versions     nudenet 3.4.2, opencv-python-headless 5.0.0.93, onnxruntime 1.31.1, scikit-image 0.26.0 (numpy 2.4.6,
#              Python 3.11), x86-64
# Behaviour    NudeDetector.detect reads a file by cv2.imread, or takes such an array: BGR. It converts it with
#              cv2.COLOR_RGBA2BGR, which exchanges the first and third channel of an array of three channels too,
#              and then makes the input by cv2.dnn.blobFromImage(..., swapRB=True), which exchanges them again.
#              The first channel of the network's input is blue. The network is a YOLOv8, which Ultralytics trains
#              on RGB: given an RGB array, against the package's documentation, its score of the same face is higher.
# Output       mean of the picture's red, green, blue:     0.555 0.415 0.378
#              mean of the input's three channels:         0.378 0.415 0.555
#              score of the face, BGR array (as intended): 0.720
#              score of the face, RGB array:               0.811
# Wrong guess  "swapRB=True turns OpenCV's BGR into the RGB of training." So a harness that declares RGB pixels gets
#              other boxes than the package: 0.87 mAP at an IoU of 0.5 against the package's own boxes, with BGR 0.97.
# Source       nudenet/nudenet.py, _read_image. Found when a network with declared RGB pixels did not agree with it.
# What to do   Declare BGR to get the package's numbers; RGB to get the network's.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet nudenet==3.4.2 opencv-python-headless==5.0.0.93 onnxruntime==1.31.1 \
    scikit-image==0.26.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import sys

import numpy as np
from nudenet import NudeDetector
from nudenet.nudenet import _read_image
from skimage import data

rgb = data.astronaut()
bgr = np.ascontiguousarray(rgb[:, :, ::-1])
means = rgb.mean(axis=(0, 1)) / 255
channels = _read_image(bgr)[0][0].mean(axis=(1, 2))
detector = NudeDetector()
intended, other = (detector.detect(picture)[0]["score"] for picture in (bgr, rgb))
for words, values in (
    ("mean of the picture's red, green, blue:", means),
    ("mean of the input's three channels:", channels),
    ("score of the face, BGR array (as intended):", [intended]),
    ("score of the face, RGB array:", [other]),
):
    print(words.ljust(44) + " ".join(f"{value:.3f}" for value in values))
if np.abs(channels - means[::-1]).max() > 0.005 or not other > intended + 0.05:
    sys.exit("The behaviour changed.")
PY

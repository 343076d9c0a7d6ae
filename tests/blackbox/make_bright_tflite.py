"""Makes bright.tflite beside it: `.tf2onnx/bin/python tests/blackbox/make_bright_tflite.py`, in an
environment with tensorflow. A classifier of dark and bright pictures, uint8 (N, H, W, 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

SIDE = 16


def pictures() -> Iterator[list[Any]]:
    """Grey, from black to white, as the model takes them: -1 to 1."""
    for value in np.linspace(-1, 1, 32, dtype=np.float32):
        yield [np.full((1, SIDE, SIDE, 3), value, np.float32)]


def main() -> None:
    """Two convolutions that average, and the two scores."""
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((SIDE, SIDE, 3), batch_size=1),
            tf.keras.layers.Conv2D(4, 3, strides=2, kernel_initializer="ones"),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(2),
        ]
    )
    model.layers[-1].set_weights([np.array([[0.1, -0.1]] * 4, np.float32), np.zeros(2, np.float32)])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    Path(__file__).with_name("bright.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main()

"""A service on the standard library that takes pictures or numbers, and answers JSON.

`python picture_server.py --port 8000 --onnx FILE` serves a file by ONNX Runtime; tests start it
with a function as its model. It fails by the modes of `v2_server`.
"""

from __future__ import annotations

import base64
import email
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.doubles.v2_server import Handler, main


class Pictures(Handler):
    """A connection. The model's only input is (N, 3, H, W), pixels from 0 to 1; an answer has the
    outputs of one image, or `predictions` with those of each.
    """

    def infer(self, body: bytes) -> None:
        """Answers a request."""
        kind = self.headers["Content-Type"]
        several = False
        if kind == "application/json":
            value = json.loads(body)["image"]
            several = isinstance(value, list) and (isinstance(value[0], str) or np.ndim(value) == 4)
            images = [_image(entry) for entry in (value if several else [value])]
        elif kind.startswith("multipart/form-data"):
            message = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\n\n" + body)
            parts = {
                str(part.get_param("name", header="content-disposition")): part.get_payload(
                    decode=True
                )
                for part in message.walk()
                if not part.is_multipart()
            }
            images = [_picture(parts["image"])]
        else:
            images = [_picture(body)]
        (name,) = self.model.inputs
        outputs = self.model.run({name: np.stack(images)})
        answers = [
            {key: np.asarray(value)[row].tolist() for key, value in outputs.items()}
            for row in range(len(images))
        ]
        text = json.dumps({"predictions": answers} if several else answers[0]).encode()
        self.send(200, self.mode.says or text)


def _image(value: Any) -> Any:
    if isinstance(value, str):
        return _picture(base64.b64decode(value))
    return np.array(value, np.float32)


def _picture(content: Any) -> Any:
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.float32)
    return pixels.transpose(2, 0, 1) / np.float32(255)


if __name__ == "__main__":
    main(Pictures)

"""Images as a service takes them: PNG or JPEG, alone, in a form or in JSON; or numbers in JSON."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Literal

from pytest_perfgate.errors import InputError
from pytest_perfgate.inputs import Inputs

_NEAR, _NEAR_IN_HALF = 0.01, 0.25
"""Of a whole number: what rounding leaves of a pixel that was divided by 255 in 32 and 16 bits."""

Kind = Literal["png", "jpeg", "tensor"]
Body = Literal["raw", "form", "json"]


def pixels(image: Any, layout: str, scale: float, color: str) -> Any:
    """A network's image as a picture: uint8 (H, W, C), or (H, W) of one channel.

    Args:
        image: (C, H, W) or, with `layout` "NHWC", (H, W, C); bytes, or floats from 0 to `scale`.
        layout: "NCHW" or "NHWC".
        scale: 1 or 255.
        color: "RGB", or "BGR" for an image whose channels are to be turned.

    Raises:
        InputError: its values are no pixels.
    """
    import numpy as np

    if layout == "NCHW":
        image = image.transpose(1, 2, 0)
    if image.dtype != np.uint8:
        values = image.astype(np.float32) * (255 / scale)
        whole = np.rint(values)
        near = _NEAR_IN_HALF if image.dtype == np.float16 else _NEAR
        off = np.abs(values - np.clip(whole, 0, 255)).max(initial=0.0)
        if not off <= near:  # NaN, too
            raise InputError(
                f"images are sent as pictures, and the network's values are no pixels: from "
                f"{image.min():.3g} to {image.max():.3g}",
                where="suite.input",
                valid='no mean and std, and runtime.scale as suite.input.scale; or dtype = "uint8"',
                next_step='leave the normalisation to the service, or set runtime.send = "tensor"',
            )
        image = whole.astype(np.uint8)
    if color == "BGR":
        image = image[:, :, ::-1]
    return image[:, :, 0] if image.shape[2] == 1 else image


def encoded(picture: Any, kind: Kind, quality: int) -> bytes:
    """A picture of `pixels` as a file.

    Raises:
        InputError: JPEG has no such channels.
    """
    import numpy as np
    from PIL import Image

    if kind == "jpeg" and picture.ndim == 3 and picture.shape[2] != 3:
        raise InputError(
            f"JPEG has no {picture.shape[2]} channels",
            where="runtime.send",
            valid="png",
        )
    file = BytesIO()
    more = {"quality": quality} if kind == "jpeg" else {}
    Image.fromarray(np.ascontiguousarray(picture)).save(file, kind.upper(), **more)
    return file.getvalue()


def body_of(inputs: Inputs, options: Any) -> tuple[str, bytes]:
    """The content type and the body of a request for the images of `inputs`.

    Args:
        inputs: (N, ...); without batches and in a file of its own N is 1.
        options: `HttpOptions` of `pytest_perfgate.runtimes.http_service`.

    Raises:
        InputError: there are other inputs beside the images, or they are no pictures.
    """
    images = inputs.only_images("the runtime http", inputs.images.dtype.name)
    if options.send == "tensor":
        sent: list[Any] = images.tolist()
    else:
        files = [
            encoded(
                pixels(image, inputs.layout, options.scale, options.color),
                options.send,
                options.quality,
            )
            for image in images
        ]
        if options.carrier == "raw":
            return f"image/{options.send}", files[0]
        if options.carrier == "form":
            return form(options.field, options.send, files[0], options.fields)
        sent = [base64.b64encode(file).decode("ascii") for file in files]
    content = {options.field: sent if options.batch else sent[0], **options.fields}
    return "application/json", json.dumps(content, separators=(",", ":")).encode()


def form(field: str, kind: str, file: bytes, fields: Mapping[str, Any]) -> tuple[str, bytes]:
    """A file and texts beside it as multipart/form-data (RFC 7578): content type and body."""
    parts = [
        (f'name="{name}"', "text/plain; charset=utf-8", _text(value).encode())
        for name, value in fields.items()
    ]
    parts.append((f'name="{field}"; filename="image.{kind}"', f"image/{kind}", file))
    mark = hashlib.sha256(file).hexdigest()  # no file holds its own digest
    body = b"".join(
        f"--{mark}\r\nContent-Disposition: form-data; {head}\r\nContent-Type: {of}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for head, of, content in parts
    )
    return f"multipart/form-data; boundary={mark}", body + f"--{mark}--\r\n".encode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

"""Services over plain HTTP: pictures or JSON in, JSON out, by a mapping that the suite declares."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import (
    Artifact,
)
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes import OpenContext, Runtime
from pytest_perfgate.runtimes.endpoint_options import SERVED, EndpointOptions, program_of
from pytest_perfgate.runtimes.http_session import HttpSession
from pytest_perfgate.runtimes.json_answers import OutputField, Place
from pytest_perfgate.runtimes.sent_images import Body, Kind

_NAME = re.compile(r'[^\x00-\x1f\x7f"\\]+')  # what a form's header holds without escapes


class HttpOptions(EndpointOptions):
    """As `EndpointOptions`, and how images are sent and outputs read."""

    send: Kind = Field(
        "png",
        description="format of the images: files, for which pixels are 0 to 255 or 0 to `scale`; "
        "or the network's numbers",
    )
    quality: int = Field(95, ge=1, le=100, description="quality of JPEG, as Pillow counts it")
    scale: Literal[1, 255] = Field(
        1, description="largest value of a pixel in floats, `scale` of `[suite.input]`"
    )
    color: Literal["RGB", "BGR"] = Field(
        "RGB", description="order of the channels in the network's input; pictures are RGB"
    )
    body: Body | None = Field(
        None,
        description="content of a request: the file alone (raw), a form with it, or JSON with the "
        "file in base64 or the numbers; default: raw, for numbers json",
    )
    field: str = Field("image", description="name of the images in a form and in JSON")
    fields: dict[str, Any] = Field(
        {}, description="further fields of a form or of JSON, the same in each request"
    )
    batch: bool = Field(
        False,
        description="whether `field` is a list of images, and so are outputs; else a request has "
        "one image",
    )
    images: Place | None = Field(
        None,
        description='field with a list that has an entry for each image, "" for the answer itself',
    )
    rows: Place | None = Field(
        None,
        description="field, in the answer for an image, with a list that has an object for each "
        'box; "" for that answer itself',
    )
    outputs: tuple[OutputField, ...] = Field(
        description="fields that are the network's outputs, in its order", min_length=1
    )

    @field_validator("field")
    @classmethod
    def _name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(f"{value!r} is no name of a field")
        return value

    @model_validator(mode="after")
    def _used(self) -> HttpOptions:
        """What a request does not use is an error, for it would change nothing."""
        if self.send == "tensor" and self.carrier != "json":
            raise ValueError('send = "tensor" goes in JSON; leave body out')
        for name, used, needs in (
            ("quality", self.send == "jpeg", 'send = "jpeg"'),
            ("scale", self.send != "tensor", 'send = "png" or "jpeg"'),
            ("color", self.send != "tensor", 'send = "png" or "jpeg"'),
            ("field", self.carrier != "raw", 'body = "form" or "json"'),
            ("fields", self.carrier != "raw", 'body = "form" or "json"'),
            ("batch", self.carrier == "json", 'body = "json"'),
        ):
            if name in self.changed and not used:
                raise ValueError(f"{name} needs {needs}")
        if self.batch and self.rows is not None and self.images is None:
            raise ValueError("rows are of one image; with batch name the list of images: images")
        try:
            json.dumps(self.fields, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"fields are no JSON: {error}") from error
        if self.field in self.fields:
            raise ValueError(f"fields has {self.field!r}, the images")
        if self.carrier == "form":
            for name, value in self.fields.items():
                if not _NAME.fullmatch(name) or isinstance(value, (dict, list)):
                    raise ValueError(f"{name!r} is no field of a form: a name and a text or number")
        return self

    @property
    def carrier(self) -> Body:
        """What a request's content is."""
        return self.body or ("json" if self.send == "tensor" else "raw")


class HttpService(Runtime):
    """The runtime `http`: a service that speaks no protocol of inference."""

    Options = HttpOptions

    name = "http"
    accepts = SERVED
    requires = (
        registry.from_extra("httptools", "serving"),
        registry.from_extra("PIL", "detection"),
    )
    endpoint = True

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """The client, the encoder of pictures, and the program that is started."""
        return (*self.requires[: 1 if options.send == "tensor" else 2], *program_of(options))

    @override
    def computes_artifact(self, options: Any) -> bool:
        """Of numbers and whole arrays; pictures hold no others than pixels, and rows are lists of
        boxes.
        """
        return options.send == "tensor" and options.rows is None

    @override
    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> HttpSession:
        """A session behind the service, whose server takes connections.

        Raises:
            RuntimeFault: the server does not start, or the service takes no connection.
        """
        return HttpSession(artifact, options)

"""Options of runtimes behind an endpoint: where it is, and how its server is started."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pytest_perfgate.artifact import (
    AOTI,
    EXPORTED,
    ONNX,
    OPENVINO,
    TENSORRT,
    TFLITE,
    TORCHSCRIPT,
    OptionsModel,
)
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes.containers import engine_for
from pytest_perfgate.runtimes.endpoint import is_loopback
from pytest_perfgate.units import Unit, parse

_OWN = "http://127.0.0.1:{port}"

SERVED = frozenset({ONNX, OPENVINO, TORCHSCRIPT, TENSORRT, TFLITE, EXPORTED, AOTI})
"""Artifacts that a server may have: files."""


class EndpointOptions(OptionsModel):
    """Where an endpoint is, and how its server is started."""

    url: str | None = Field(
        None,
        description='address of the endpoint, "http://" or "https://", a host and a port, and a '
        "path if it has one; with `start` by default the port `{port}` of this machine",
    )
    timeout: str = Field("10 s", description="time after which a request without answer failed")
    headers_env: dict[str, str] = Field(
        {},
        description="headers by their names, each with the environment variable that has its value",
    )
    ca_file: str = Field(
        "",
        description="file of the certificates to trust, in PEM; default: those of the system, for "
        "gRPC its own",
    )
    allow_remote: bool = Field(
        False, description="send requests to addresses of other machines, too"
    )
    start: tuple[str, ...] = Field(
        (),
        description="command that starts the server, its arguments apart; `{port}` and "
        "`{port_NAME}` are free ports, `{artifact}` the artifact's file, `{python}` this Python, "
        "`{cores}` the server's cores",
    )
    image: str = Field(
        "",
        description="container image of the server, run by docker or podman on the host's network; "
        "`start` then has the arguments of its program, by default the image's own; the folder of "
        "`{artifact}` is at the same path inside",
    )
    environment: dict[str, str] = Field(
        {}, description="environment variables of the server, with the places of `start`"
    )
    ready: str = Field(
        "", description="path that answers 200 when the server is ready, besides the protocol's own"
    )
    start_timeout: str = Field("60 s", description="time within which the server must be ready")

    @field_validator("timeout", "start_timeout")
    @classmethod
    def _time(cls, value: str) -> str:
        try:
            if parse(value, Unit.SECONDS) <= 0:
                raise ValueError(f"{value!r} is not above 0")
        except PerfgateError as error:
            raise ValueError(f"{error.problem}; valid: {error.valid}") from error
        return value

    @model_validator(mode="after")
    def _address(self) -> Self:
        """An address that requests may go to."""
        if self.url is None and not (self.start or self.image):
            raise ValueError(
                "an endpoint needs url, or start with the command of its server, or image"
            )
        address = self.address
        given = [*self.start, *self.environment.values()]
        if "{port}" in address and not any("{port}" in part for part in given):
            raise ValueError(
                "nothing tells the server its port; put {port} into start or environment, or set "
                "url to the address that it listens on"
            )
        parts = urlsplit(address.replace("{port}", "1"))
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{self.url!r} is no address; valid: http://127.0.0.1:8000")
        if self.ca_file and parts.scheme != "https":
            raise ValueError("ca_file is of https:// addresses; write the url with https://")
        if parts.username is not None:
            raise ValueError(
                "the address holds credentials, which would be in every report; set "
                'headers_env = { Authorization = "NAME_OF_A_VARIABLE" }'
            )
        if not (self.allow_remote or is_loopback(address.replace("{port}", "1"))):
            raise ValueError(
                f"{parts.hostname} is not this machine, and a load may stop what it hits; set "
                "allow_remote = true if it is yours"
            )
        return self

    @property
    def address(self) -> str:
        """The address, with the places that `start` fills."""
        return self.url if self.url is not None else _OWN

    @property
    def timeout_seconds(self) -> float:
        """`timeout` in seconds."""
        return parse(self.timeout, Unit.SECONDS)

    @property
    def start_seconds(self) -> float:
        """`start_timeout` in seconds."""
        return parse(self.start_timeout, Unit.SECONDS)


@dataclass(frozen=True)
class Program(Requirement):
    """A program that a recipe starts."""

    @property
    def missing(self) -> bool:
        """Whether there is none of that name."""
        return "{" not in self.module and shutil.which(self.module) is None


def program_of(options: EndpointOptions) -> tuple[Requirement, ...]:
    """The program that `start` runs, or an engine for `image`; none without either."""
    if options.image:
        return (engine_for(options.image, options.start, options.environment),)
    if not options.start:
        return ()
    return (Program(options.start[0], f"which {options.start[0]}"),)

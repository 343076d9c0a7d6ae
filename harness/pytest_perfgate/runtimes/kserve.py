"""Endpoints of the KServe V2 protocol (Open Inference Protocol), over HTTP or gRPC."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import (
    Artifact,
)
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes import OpenContext, Runtime
from pytest_perfgate.runtimes.endpoint_options import SERVED, EndpointOptions, program_of
from pytest_perfgate.runtimes.kserve_session import KServeSession


class KServeOptions(EndpointOptions):
    """As `EndpointOptions`, and what the endpoint is asked for."""

    protocol: Literal["http", "grpc"] = Field("http", description="how requests cross")
    model: str = Field("model", min_length=1, description="name of the model at the endpoint")
    version: str = Field("", description="version of the model; default: the endpoint's choice")
    binary: bool = Field(
        True,
        description="send tensors in binary over HTTP; false: as JSON, for servers without that "
        "extension",
    )
    outputs: tuple[str, ...] = Field(
        (),
        description="names of the outputs, in the network's order; default: those of the artifact",
    )


class KServe(Runtime):
    """The runtime `kserve`: a server behind an endpoint."""

    Options = KServeOptions

    name = "kserve"
    accepts = SERVED
    requires = (
        registry.from_extra("tritonclient", "serving"),
        registry.from_extra("httptools", "serving"),
    )
    endpoint = True

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """The client, and the program that is started."""
        return (*self.requires, *program_of(options))

    @override
    def open(self, artifact: Artifact, options: Any, context: OpenContext) -> KServeSession:
        """A session behind the endpoint, whose server is ready.

        Raises:
            RuntimeFault: the server does not start, the endpoint does not answer, or it serves
                another model.
        """
        return KServeSession(artifact, options)

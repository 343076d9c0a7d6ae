"""A server of the KServe V2 protocol over gRPC, on the stubs that tritonclient ships."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.doubles.v2_server import KINDS, Mode, Model, doubling

_NUMPY = {kind: name for name, kind in KINDS.items()}


class _Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc] # has no types
    def __init__(self, model: Model, mode: Mode) -> None:
        self._model, self._mode, self._count = model, mode, 0

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - gRPC's name
        return service_pb2.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - gRPC's name
        return service_pb2.ModelReadyResponse(ready=True)

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - gRPC's name
        return service_pb2.ServerMetadataResponse(name="double", version="2")

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        given = dict(context.invocation_metadata())
        if self._mode.authorization and given.get("authorization") != self._mode.authorization:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is needed")
        if request.name != "model":
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no {request.name}")
        answer = service_pb2.ModelMetadataResponse(name="model")
        for side in ("inputs", "outputs"):
            for name, (kind, shape) in getattr(self._model, side).items():
                getattr(answer, side).add(name=name, datatype=kind, shape=shape)
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        self._count += 1
        if self._mode.fails_every and self._count % self._mode.fails_every == 0:
            context.abort(grpc.StatusCode.INTERNAL, "the GPU has fallen off the bus")
        given = {
            tensor.name: np.frombuffer(raw, _NUMPY[tensor.datatype]).reshape(list(tensor.shape))
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        answer = service_pb2.ModelInferResponse(model_name="model")
        for name, array in self._model.run(given).items():
            answer.outputs.add(name=name, datatype=KINDS[str(array.dtype)], shape=array.shape)
            answer.raw_output_contents.append(array.tobytes())
        return answer


@contextlib.contextmanager
def serving_grpc(
    model: Model | None = None, mode: Mode | None = None, tls: tuple[bytes, bytes] | None = None
) -> Iterator[str]:
    """The URL of a server in threads of this process; `tls` is its key and its certificate."""
    server = grpc.server(ThreadPoolExecutor(2))
    service = _Service(model or doubling(), mode or Mode())
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([tls]))
    server.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()

"""A session behind an endpoint of the KServe V2 protocol, whose server it may have started."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load import Client
from pytest_perfgate.runtimes.served_session import ServedSession
from pytest_perfgate.runtimes.v2_transport import GrpcTransport, HttpTransport, Transport

_OF_16_BITS = {"float16", "bfloat16"}


class KServeSession(ServedSession):
    """See `pytest_perfgate.runtimes.kserve`."""

    _elsewhere = "set runtime.model and runtime.version to what the server has"

    _transport: Transport | None = None

    @override
    def _open(self, artifact: Artifact) -> None:
        options = self._options
        kind = GrpcTransport if options.protocol == "grpc" else HttpTransport
        self._transport = kind(self.url, options, self._secrets)
        self._wait()
        self._about = self._ask(self._transport.model, "the model")
        self._taken = {tensor.name: tensor.numpy for tensor in self._about.inputs}
        self._outputs = options.outputs or self._names(artifact)
        self.facts = {
            **self._facts,
            "protocol": f"KServe V2, {options.protocol}",
            "server": self._secrets.hide(self._ask(self._transport.server, "the server")),
            "model": options.model,
            "precision": ", ".join(sorted({one.datatype for one in self._about.inputs})),
        }

    @override
    def _protocol_ready(self) -> bool:
        return self._opened.is_ready()

    @property
    def _opened(self) -> Transport:
        """The connection, of a session that is open."""
        assert self._transport is not None  # noqa: S101 - for mypy
        return self._transport

    def _ask(self, question: Any, what: str) -> Any:
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            # A chain would show the request, and with it the credentials.
            raise self._fault(f"asked for {what}, the endpoint {self.url} failed", error) from None

    def _names(self, artifact: Artifact) -> tuple[str, ...]:
        """The outputs in the network's order: the artifact's, which the endpoint must have, too."""
        served = tuple(tensor.name for tensor in self._about.outputs)
        own = _outputs_of(artifact)
        if own is None:
            return served
        if served and set(own) != set(served):
            raise RuntimeFault(
                f"the endpoint {self.url} serves another model: it has the outputs "
                f"{', '.join(served)}",
                where="runtime.model",
                valid=", ".join(own),
                next_step="serve the recipe's artifact, or name the outputs in the network's "
                "order: runtime.outputs",
            )
        return own

    @override
    def _prepared(self, inputs: Inputs) -> Mapping[str, Any]:
        arrays = inputs.feed(self._taken)
        for tensor in self._about.inputs:
            given = arrays[tensor.name].shape
            fits = len(given) == len(tensor.shape) and all(
                known in {-1, length} for known, length in zip(tensor.shape, given, strict=True)
            )
            if tensor.shape and not fits:
                raise RuntimeFault(
                    f"the endpoint's input {tensor.name!r} has the shape {list(tensor.shape)}; it "
                    f"is given {list(given)}",
                    where="runtime.model",
                    next_step="serve the recipe's artifact, or set the size in [suite.input]",
                )
        return arrays

    @override
    def _infer(self, prepared: Mapping[str, Any]) -> Sequence[Any]:
        return self._opened.infer(prepared, self._about, self._outputs)

    @override
    def _whole(self, outputs: Sequence[Any]) -> tuple[Any, ...]:
        """The outputs, none of which is missing; of 16 bits as 32.

        Raises:
            RuntimeFault: one is missing.
        """
        for name, output in zip(self._outputs, outputs, strict=True):
            if output is None:
                raise RuntimeFault(
                    f"the answer of {self.url} has no output {name!r}",
                    where="runtime.outputs",
                    valid=", ".join(tensor.name for tensor in self._about.outputs),
                )
        return tuple(
            output.astype("float32") if output.dtype.name in _OF_16_BITS else output
            for output in outputs
        )

    @override
    def _load_client(self, requests: Sequence[Inputs]) -> Client:
        arrays = [self._prepared(request) for request in requests]
        return self._opened.load_client(arrays, self._about, self._outputs)

    @override
    def close(self) -> None:
        """Closes the connection, and ends the server that it started."""
        with contextlib.suppress(Exception):  # what is closed twice, or never was open
            if self._transport is not None:
                self._transport.close()
        super().close()


def _outputs_of(artifact: Artifact) -> tuple[str, ...] | None:
    """Names of the outputs in an ONNX file, in its order; None of another artifact, and where onnx
    is not installed.
    """
    if artifact.kind != ONNX or artifact.path is None:
        return None
    try:
        import onnx
    except ImportError:
        return None
    graph = onnx.load(str(artifact.path), load_external_data=False).graph
    return tuple(output.name for output in graph.output)

"""Tensors of the KServe V2 protocol, by tritonclient: over HTTP and over gRPC in the same words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pytest_perfgate.load import Client
from pytest_perfgate.runtimes.endpoint import Secrets

if TYPE_CHECKING:
    from pytest_perfgate.load.http_client import Answer

_NUMPY = {
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BF16": "float32",  # numpy has none of its own: see `as_sent`
    "UINT8": "uint8",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}


_CHANNEL = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
]
"""No proxy of the environment gets what goes to this machine; no tensor is too large."""


def as_sent(array: Any, datatype: str) -> Any:
    """An array in the type of an input: of 32 bits, where that is BF16, rounded to it."""
    if datatype != "BF16":
        return array
    import ml_dtypes

    return array.astype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class TensorAbout:
    """What the endpoint says of an input or output; -1 in a shape: any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def numpy(self) -> str:
        """The type of its elements, by numpy's name."""
        return _NUMPY.get(self.datatype, self.datatype.lower())


@dataclass(frozen=True)
class ModelAbout:
    """What the endpoint says of a model."""

    inputs: tuple[TensorAbout, ...]
    outputs: tuple[TensorAbout, ...]


class Transport(ABC):
    """A connection to an endpoint. Whatever its methods raise is the library's."""

    def __init__(self, url: str, options: Any, secrets: Secrets) -> None:
        self.url, self.options = url, options
        self.headers, self.hide = dict(secrets.headers), secrets.hide
        self.place = urlsplit(url).netloc

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the server and the model are."""

    @abstractmethod
    def server(self) -> str:
        """Name and version of the server."""

    @abstractmethod
    def model(self) -> ModelAbout:
        """The model's inputs and outputs."""

    @abstractmethod
    def infer(
        self, arrays: Mapping[str, Any], about: ModelAbout, outputs: Sequence[str]
    ) -> tuple[Any, ...]:
        """The outputs for the inputs; a name of `outputs` that the answer lacks is None."""

    @abstractmethod
    def load_client(
        self, requests: Sequence[Mapping[str, Any]], about: ModelAbout, outputs: Sequence[str]
    ) -> Client:
        """See `EndpointSession.load_client`."""

    @abstractmethod
    def close(self) -> None:
        """Closes the connection."""

    def tensors(self, arrays: Mapping[str, Any], about: ModelAbout, kind: Any) -> list[Any]:
        """The inputs as tritonclient takes them; `kind` is its class."""
        types = {tensor.name: tensor.datatype for tensor in about.inputs}
        tensors = []
        for name, array in arrays.items():
            tensor = kind(name, list(array.shape), types[name])
            self.set(tensor, as_sent(array, types[name]))
            tensors.append(tensor)
        return tensors

    def set(self, tensor: Any, array: Any) -> None:
        """Puts an array into an input."""
        tensor.set_data_from_numpy(array)


class HttpTransport(Transport):
    """Over HTTP/1.1."""

    def __init__(self, url: str, options: Any, secrets: Secrets) -> None:
        super().__init__(url, options, secrets)
        from tritonclient.http import InferenceServerClient

        tls = urlsplit(url).scheme == "https"
        seconds = options.timeout_seconds
        parts = urlsplit(url)
        self._client = InferenceServerClient(
            self.place + parts.path,
            connection_timeout=seconds,
            network_timeout=seconds,
            ssl=tls,
            ssl_context_factory=self._terms if tls else None,
        )

    def _terms(self, **_: Any) -> Any:
        """Terms of TLS as everywhere else: by itself the library trusts a list of its own, and not
        the certificates of the system.
        """
        from gevent.ssl import create_default_context

        return create_default_context(cafile=self.options.ca_file or None)

    def is_ready(self) -> bool:
        """See `Transport`."""
        client, options = self._client, self.options
        with self._in_time():
            return bool(
                client.is_server_ready(headers=self.headers)
                and client.is_model_ready(options.model, options.version, headers=self.headers)
            )

    def server(self) -> str:
        """See `Transport`."""
        with self._in_time():
            about = self._client.get_server_metadata(headers=self.headers)
        return f"{about.get('name', 'unknown')} {about.get('version', '')}".strip()

    def model(self) -> ModelAbout:
        """See `Transport`."""
        options = self.options
        with self._in_time():
            about = self._client.get_model_metadata(
                options.model, options.version, headers=self.headers
            )
        sides = [
            tuple(
                TensorAbout(entry["name"], entry["datatype"], tuple(map(int, entry["shape"])))
                for entry in about.get(side) or ()
            )
            for side in ("inputs", "outputs")
        ]
        return ModelAbout(sides[0], sides[1])

    def set(self, tensor: Any, array: Any) -> None:
        """See `Transport`."""
        tensor.set_data_from_numpy(array, binary_data=self.options.binary)

    def infer(
        self, arrays: Mapping[str, Any], about: ModelAbout, outputs: Sequence[str]
    ) -> tuple[Any, ...]:
        """See `Transport`."""
        from tritonclient.http import InferInput

        with self._in_time():
            result = self._client.infer(
                self.options.model,
                self.tensors(arrays, about, InferInput),
                model_version=self.options.version,
                outputs=self._requested(outputs),
                headers=self.headers,
            )
        return tuple(result.as_numpy(name) for name in outputs)

    def _in_time(self) -> AbstractContextManager[object]:
        """Ends with TimeoutError what takes longer than `timeout` in all: the client's own timeouts
        are those of one read, and a server that sends a byte now and then would never exceed them.
        """
        from gevent import Timeout

        bound: AbstractContextManager[object] = Timeout.start_new(
            self.options.timeout_seconds, TimeoutError("timed out")
        )
        return bound

    def _requested(self, outputs: Sequence[str]) -> list[Any]:
        from tritonclient.http import InferRequestedOutput

        return [InferRequestedOutput(name, binary_data=self.options.binary) for name in outputs]

    def load_client(
        self, requests: Sequence[Mapping[str, Any]], about: ModelAbout, outputs: Sequence[str]
    ) -> Client:
        """See `Transport`: bodies are made here, and sent by the load generator's own loop."""
        from tritonclient.http import InferenceServerClient, InferInput

        from pytest_perfgate.load.http_client import Address, HttpClient, request_bytes

        options = self.options
        version = f"/versions/{quote(options.version)}" if options.version else ""
        path = f"/v2/models/{quote(options.model)}{version}/infer"  # as tritonclient quotes it
        whole = []
        for arrays in requests:
            body, split = InferenceServerClient.generate_request_body(
                self.tensors(arrays, about, InferInput), outputs=self._requested(outputs)
            )
            kind = "application/json" if split is None else "application/octet-stream"
            headers = {"Content-Type": kind, **self.headers}
            if split is not None:
                headers["Inference-Header-Content-Length"] = str(split)
            content = body.encode() if isinstance(body, str) else bytes(body)
            whole.append(request_bytes(self.url, path, headers, content))

        def decode(_: int, answer: Answer) -> tuple[Any, ...]:
            split = answer.headers.get("inference-header-content-length")
            result = InferenceServerClient.parse_response_body(
                answer.body, header_length=None if split is None else int(split)
            )
            return tuple(result.as_numpy(name) for name in outputs)

        address = Address.of(
            self.url, connect_timeout=options.timeout_seconds, ca_file=options.ca_file
        )
        return HttpClient(address, whole, decode, hide=self.hide)

    def close(self) -> None:
        """See `Transport`."""
        self._client.close()


class GrpcTransport(Transport):
    """Over gRPC."""

    def __init__(self, url: str, options: Any, secrets: Secrets) -> None:
        super().__init__(url, options, secrets)
        self.headers = {name.lower(): value for name, value in self.headers.items()}
        from tritonclient.grpc import InferenceServerClient

        self._client = InferenceServerClient(
            self.place,
            ssl=urlsplit(url).scheme == "https",
            root_certificates=options.ca_file or None,
            channel_args=_CHANNEL,
        )

    def is_ready(self) -> bool:
        """See `Transport`."""
        client, options, given = self._client, self.options, {"headers": self.headers}
        seconds = options.timeout_seconds
        return bool(
            client.is_server_ready(client_timeout=seconds, **given)
            and client.is_model_ready(
                options.model, options.version, client_timeout=seconds, **given
            )
        )

    def server(self) -> str:
        """See `Transport`."""
        about = self._client.get_server_metadata(
            headers=self.headers, client_timeout=self.options.timeout_seconds
        )
        return f"{about.name} {about.version}".strip()

    def model(self) -> ModelAbout:
        """See `Transport`."""
        options = self.options
        about = self._client.get_model_metadata(
            options.model,
            options.version,
            headers=self.headers,
            client_timeout=options.timeout_seconds,
        )
        sides = [
            tuple(TensorAbout(entry.name, entry.datatype, tuple(entry.shape)) for entry in side)
            for side in (about.inputs, about.outputs)
        ]
        return ModelAbout(sides[0], sides[1])

    def infer(
        self, arrays: Mapping[str, Any], about: ModelAbout, outputs: Sequence[str]
    ) -> tuple[Any, ...]:
        """See `Transport`."""
        from tritonclient.grpc import InferInput, InferRequestedOutput

        result = self._client.infer(
            self.options.model,
            self.tensors(arrays, about, InferInput),
            model_version=self.options.version,
            outputs=[InferRequestedOutput(name) for name in outputs],
            headers=self.headers,
            client_timeout=self.options.timeout_seconds,
        )
        return tuple(result.as_numpy(name) for name in outputs)

    def load_client(
        self, requests: Sequence[Mapping[str, Any]], about: ModelAbout, outputs: Sequence[str]
    ) -> Client:
        """See `Transport`: messages are made here, and cross gRPC as bytes. The library's own calls
        would make each when it is sent, and the ones behind it would be late.
        """
        from tritonclient.grpc import InferResult, service_pb2

        from pytest_perfgate.load.callback_client import CallbackClient

        options, metadata = self.options, tuple(self.headers.items())
        messages = [self._message(arrays, about, outputs) for arrays in requests]
        channel = self._channel()
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        def start(number: int, done: Any) -> Callable[[], object]:
            future = call.future(
                messages[number % len(messages)],
                timeout=options.timeout_seconds,
                metadata=metadata,
            )

            def ended(one: Any) -> None:
                if one.cancelled():
                    return  # nobody waits for it
                error = one.exception()
                if error is None:
                    done(one.result(), None)
                else:
                    done(None, f"[{error.code()}] {error.details()}")

            future.add_done_callback(ended)
            cancel: Callable[[], object] = future.cancel
            return cancel

        def decode(_: int, answer: bytes) -> tuple[Any, ...]:
            result = InferResult(service_pb2.ModelInferResponse.FromString(answer))
            return tuple(result.as_numpy(name) for name in outputs)

        return CallbackClient(start, decode, channel.close, self.hide)

    def _message(
        self, arrays: Mapping[str, Any], about: ModelAbout, outputs: Sequence[str]
    ) -> bytes:
        """A request as it crosses."""
        from tritonclient.grpc import service_pb2

        types = {tensor.name: tensor.datatype for tensor in about.inputs}
        request = service_pb2.ModelInferRequest(
            model_name=self.options.model, model_version=self.options.version
        )
        for name, array in arrays.items():
            request.inputs.add(name=name, datatype=types[name], shape=array.shape)
            request.raw_input_contents.append(as_sent(array, types[name]).tobytes())
        for name in outputs:
            request.outputs.add(name=name)
        message: bytes = request.SerializeToString()
        return message

    def _channel(self) -> Any:
        """A channel of its own."""
        import grpc

        if urlsplit(self.url).scheme != "https":
            return grpc.insecure_channel(self.place, _CHANNEL)
        file = self.options.ca_file
        roots = Path(file).read_bytes() if file else None
        return grpc.secure_channel(self.place, grpc.ssl_channel_credentials(roots), _CHANNEL)

    def close(self) -> None:
        """See `Transport`."""
        self._client.close()

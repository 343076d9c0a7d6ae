"""The python packages of TensorRT, `tensorrt` and `tensorrt_rtx`: one API, looked up by attribute.

An engine is opened by the package and version that built it; which that is lies beside it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_perfgate import registry
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.registry import Requirement

PACKAGES: dict[str, Requirement] = {
    "tensorrt": registry.from_extra("tensorrt", "gpu"),
    "tensorrt_rtx": registry.from_extra("tensorrt_rtx", "tensorrt_rtx"),
}


class EngineNote(BaseModel):
    """What lies beside an engine: who built it, and for what.

    `batch` is the smallest, the optimal and the largest one; `carries_code` says that the engine
    brings a runtime of its own, as version-compatible ones do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: Literal["tensorrt", "tensorrt_rtx"]
    version: str
    device: dict[str, Any] | None
    batch: tuple[int, int, int]
    carries_code: bool = False

    @staticmethod
    def beside(engine: Path) -> Path:
        """Where the note of an engine is."""
        return engine.with_suffix(".json")

    def write(self, engine: Path) -> None:
        """Writes the note beside its engine."""
        text = json.dumps(self.model_dump(mode="json"), indent=1)
        self.beside(engine).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, engine: Path) -> EngineNote | None:
        """The note of an engine; None for one that was not built here.

        Raises:
            RuntimeFault: it is something else.
        """
        if not cls.beside(engine).exists():
            return None
        try:
            return cls.model_validate_json(cls.beside(engine).read_bytes())
        except (OSError, ValidationError) as error:
            raise RuntimeFault(
                f"the package that built this engine is unknown: {error}",
                where=str(cls.beside(engine)),
                next_step="build it here: empty the cache of artifacts, .perfgate/",
            ) from error


def package_of(engine: bytes) -> str:
    """The package that an engine is for, by its first bytes."""
    return "tensorrt_rtx" if engine.startswith(b"vtrt") else "tensorrt"


def engine_in(content: bytes) -> bytes:
    """The engine in a file: Ultralytics writes a length and that much JSON before it."""
    length = int.from_bytes(content[:4], "little")
    if content[4:5] == b"{" and content[4 : 4 + length].endswith(b"}"):
        return content[4 + length :]
    return content


def package(name: str) -> Any:
    """The module `tensorrt` or `tensorrt_rtx`.

    Raises:
        MissingPackage: it is not installed.
        RuntimeFault: it does not import.
    """
    registry.require((PACKAGES[name],), "a TensorRT engine")
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        raise RuntimeFault(
            f"the package {name!r} does not import: {error}", next_step=PACKAGES[name].install
        ) from error


def not_loaded(trt: Any, path: Path, note: EngineNote | None, said: str) -> RuntimeFault:
    """The error about an engine that TensorRT refuses, with what it said."""
    ours = f"{trt.__name__} {trt.__version__}"
    if note is None:
        return RuntimeFault(
            f"{ours} does not load the engine: {said}",
            where=str(path),
            next_step="build it on this GPU with this version of TensorRT, or name the ONNX file "
            f'and add {{ tensorrt = "{trt.__name__}" }} to the steps',
        )
    built = f"{note.package} {note.version}" + (f", {note.device}" if note.device else "")
    return RuntimeFault(
        f"{ours} does not load the engine, which {built} built: {said}",
        where=str(path),
        next_step="build it here: empty the cache of artifacts, .perfgate/",
    )


class Log:
    """What TensorRT says: every message, with its severity, for errors that name the reason.

    `logger` is what TensorRT's classes are given; it must live as long as they do.
    """

    def __init__(self, trt: Any) -> None:
        self._severe = {
            level: getattr(trt.ILogger.Severity, level)
            for level in ("INTERNAL_ERROR", "ERROR", "WARNING")
        }
        messages: list[tuple[Any, str]] = []
        self._messages = messages

        class Logger(trt.ILogger):  # type: ignore[misc] # the package ships no types
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                messages.append((severity, message))

        self.logger = Logger()

    @property
    def messages(self) -> list[str]:
        """All messages so far."""
        return [text for _, text in self._messages]

    @property
    def errors(self) -> list[str]:
        """Those that are errors, in order, each once."""
        wanted = {self._severe["ERROR"], self._severe["INTERNAL_ERROR"]}
        return list(dict.fromkeys(text for severity, text in self._messages if severity in wanted))

    @property
    def refusals(self) -> list[str]:
        """Warnings that something asked for is not supported: TensorRT goes on without it."""
        return [
            text
            for severity, text in self._messages
            if severity == self._severe["WARNING"] and "unsupported" in text.lower()
        ]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the deprecation warnings of calls that one of the two packages still needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield

"""Checkpoints of a training: tensors as safetensors, the rest as JSON; never pickle."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_perfgate.errors import BuildError

_STATE = "state.json"


class _Kept(BaseModel):
    """A checkpoint's plain half. `digest` is that of the tensors' file; `body` is JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    done: int
    total: int
    tensors: str
    digest: str
    files: dict[str, str]
    body: dict[str, Any]
    seal: str  # digest of all the above, so that a damaged number is seen


@dataclass(frozen=True)
class Checkpoints:
    """Where a training is kept while it runs: tensors as safetensors, the rest as JSON.

    Attributes:
        folder: of one training, named by its key; nobody else writes there.
        files: the project's files that were read so far, with their digests.
        unchanged: whether files still have these digests; otherwise a checkpoint is another
            training's.
        every: seconds from one checkpoint to the next, at the least.
    """

    folder: Path
    files: Callable[[], Mapping[str, str]]
    unchanged: Callable[[Mapping[str, str]], bool]
    every: float = 30.0

    def save(self, done: int, total: int, state: Mapping[str, Any]) -> None:
        """Writes `state`: state dicts by name. The one before stays until this one is whole.

        Raises:
            BuildError: something in it is neither a tensor nor plain.
        """
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, Any] = {}
        body = {name: _as_json(value, tensors, name) for name, value in state.items()}
        file = self.folder / f"{done}.safetensors"
        save_file(tensors, file.with_suffix(".part"))
        digest = hashlib.sha256(file.with_suffix(".part").read_bytes()).hexdigest()
        file.with_suffix(".part").replace(file)
        fields = {
            "done": done,
            "total": total,
            "tensors": file.name,
            "digest": digest,
            "files": dict(self.files()),
            "body": body,
        }
        part = self.folder / f"{_STATE}.part"
        part.write_text(json.dumps({**fields, "seal": _seal(fields)}))
        part.replace(self.folder / _STATE)
        for old in self.folder.glob("*.safetensors"):
            if old != file:
                old.unlink()

    def load(self, total: int) -> tuple[int, dict[str, Any], str]:
        """Steps done, state dicts by name, and a note; 0 and nothing when there is no checkpoint
        that can be continued, with the reason.
        """
        from safetensors.torch import load

        file = self.folder / _STATE
        if not file.exists():
            return 0, {}, ""
        try:
            kept = _Kept.model_validate_json(file.read_bytes())
            if kept.seal != _seal(kept.model_dump(exclude={"seal"})):
                return 0, {}, "the checkpoint is damaged, and not used"
            if kept.total != total or not self.unchanged(kept.files):
                return 0, {}, "the checkpoint is of other code or data, and not used"
            content = (self.folder / Path(kept.tensors).name).read_bytes()
            if hashlib.sha256(content).hexdigest() != kept.digest:
                return 0, {}, "the checkpoint's tensors are damaged, and not used"
            tensors = load(content)
            state = {name: _revived(value, tensors) for name, value in kept.body.items()}
        except (OSError, ValidationError, KeyError, TypeError, ValueError) as error:
            return 0, {}, f"the checkpoint cannot be read, and is not used ({type(error).__name__})"
        return kept.done, state, f"continued after step {kept.done}"

    def delete(self) -> None:
        """Takes the training away: it is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _seal(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _as_json(value: Any, tensors: dict[str, Any], place: str) -> Any:
    """`value` as JSON, its tensors moved to `tensors`; dicts as lists, for keys that are numbers.

    Raises:
        BuildError: it holds something that is neither.
    """
    import torch

    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        items = [
            [_as_json(key, tensors, place), _as_json(item, tensors, f"{place}.{key}")]
            for key, item in value.items()
        ]
        return {"dict": items}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_as_json(item, tensors, f"{place}[{n}]") for n, item in enumerate(value)]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    raise BuildError(
        f"{place} of the training's state is a {type(value).__name__}, which is not kept",
        where="suite.trainer",
        valid="tensors, numbers, text, lists, dicts",
    )


def _revived(value: Any, tensors: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {_revived(key, tensors): _revived(item, tensors) for key, item in inner}
    if kind == "list":
        return [_revived(item, tensors) for item in inner]
    if kind == "tuple":
        return tuple(_revived(item, tensors) for item in inner)
    return inner

"""Weights from files, without running what is in them: safetensors, or torch's `weights_only`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import BuildError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_WRAPPED = ("state_dict", "model")
"""Keys under which a training's checkpoint has its weights."""


def weight_files(path: Path) -> tuple[Path, ...]:
    """The files of weights that `path` names; of a folder its safetensors."""
    if path.is_dir():
        return tuple(sorted(path.glob("*.safetensors")))
    return (path,) if path.suffix in SUFFIXES else ()


def read(path: Path) -> dict[str, Any]:
    """The tensors in a file, or in all safetensors of a folder, by name.

    Raises:
        BuildError: a file holds something else.
    """
    tensors: dict[str, Any] = {}
    for file in weight_files(path):
        tensors |= _tensors(file)
    return tensors


def fill(module: Any, state: Mapping[str, Any], where: str) -> None:
    """Loads all of a module's weights.

    Raises:
        BuildError: some are missing, of another shape, or for another module.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in state]
    foreign = [name for name in state if name not in own]
    shapes = [
        f"{name} {list(state[name].shape)} for {list(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    differences = [
        f"{len(names)} {what} ({', '.join(names[:3])})"
        for what, names in (("missing", missing), ("unknown", foreign), ("misshapen", shapes))
        if names
    ]
    if differences:
        raise BuildError(
            f"the weights are of another model: {'; '.join(differences)}",
            where=where,
            next_step="set the model and the num_classes that the weights were saved from",
        )
    module.load_state_dict(dict(state))


def fill_all_but(module: Any, state: Mapping[str, Any], heads: Sequence[str], where: str) -> int:
    """Loads weights of a model whose head knows other classes: those below `heads` that do not
    fit stay as they are. How many tensors stayed.

    Raises:
        BuildError: others do not fit.
    """
    own = module.state_dict()
    stay = [
        name
        for name in own
        if name.startswith(tuple(heads))
        and (name not in state or state[name].shape != own[name].shape)
    ]
    fill(module, {**state, **{name: own[name] for name in stay}}, where)
    return len(stay)


def _tensors(file: Path) -> dict[str, Any]:
    import torch

    content = file.read_bytes()
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load

            return dict(load(content))
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has errors of its own
        raise BuildError(
            f"the file cannot be loaded as weights alone: {type(error).__name__}: {error}",
            where=str(file),
            next_step="save them again: safetensors.torch.save_file(model.state_dict(), file)",
        ) from error
    for key in _WRAPPED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        raise BuildError("the file holds values other than named tensors", where=str(file))
    return dict(loaded)

"""Weights as those of an older commit: every one somewhat off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.proving.catalogue import DoesNotApply
from pytest_perfgate.records.recipe import PlantedFault

OLDER = "older_weights"
SHARE = 0.1
"""Of the standard deviation of a layer's weights: by how much each of them is off."""


def plant_in_artifact(artifact: Artifact, planted: PlantedFault, folder: Path) -> Artifact:
    """The artifact with other weights; as it is where the fault lies elsewhere.

    Args:
        artifact: opened.
        planted: the fault.
        folder: for the graph with other weights.

    Raises:
        DoesNotApply: its weights are neither torch's nor an ONNX graph's.
    """
    if planted.name != OLDER:
        return artifact
    if artifact.kind == TORCH:
        disturb_module(artifact.module)
        return artifact
    if artifact.kind != ONNX or artifact.path is None:
        raise DoesNotApply(f"weights of the kind {artifact.kind} are not changed")
    graph = folder / "older_weights.onnx"
    disturb_graph(artifact.path, graph)
    return replace(artifact, path=graph)


def disturb_module(module: Any) -> None:
    """Adds noise to every weight of a torch module of two dimensions or more, in place."""
    import torch

    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim >= 2 and parameter.is_floating_point():
                noise = torch.randn(parameter.shape, generator=random).to(parameter)
                parameter.add_(noise * parameter.std() * SHARE)


def disturb_graph(source: Path, target: Path) -> None:
    """Writes an ONNX graph with noise on every initializer of two dimensions or more; those of
    8 bits stay within their type.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    if model.ByteSize() > _LARGEST:
        raise DoesNotApply("a graph of 2 GB and more is not written as one file")
    random = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim < 2 or values.dtype not in {np.dtype(kind) for kind in _KINDS}:
            continue
        wide = values.astype(np.float64)
        wide += random.standard_normal(values.shape) * wide.std() * SHARE
        if values.dtype.kind in "iu":
            ends = np.iinfo(values.dtype)
            wide = np.clip(np.rint(wide), ends.min, ends.max)
        tensor.CopyFrom(numpy_helper.from_array(wide.astype(values.dtype), tensor.name))
    onnx.save(model, target)


_LARGEST = 2**31 - 2**20
"""Bytes of a graph that one file holds, a limit of protobuf's."""

_KINDS = ("float32", "float16", "int8", "uint8")

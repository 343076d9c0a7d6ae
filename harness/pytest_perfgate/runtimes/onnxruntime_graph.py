"""The graph that a session of ONNX Runtime runs, by kinds of its nodes."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.metric import NODES
from pytest_perfgate.records.counts import Graph
from pytest_perfgate.runtimes import onnx_counts

SOURCE = "ONNX Runtime's optimized graph"

_WEIGHTS = "session.optimized_model_external_initializers_"
_LEAST = "1024"  # bytes of a tensor that is written into a file of its own


def graph_of(
    open_session: Callable[[Any], object], options: Any, path: Path, fed: Mapping[str, Any]
) -> Graph:
    """What a session runs. Another one like it is opened, which writes its graph.

    Args:
        open_session: opens the file with session options.
        options: the session's, which are changed.
        path: the ONNX file.
        fed: arrays for an inference of one image, by the names of the inputs.
    """
    counts = onnx_counts.counted(path, fed)
    try:
        return counts.model_copy(
            update={"source": SOURCE, "nodes": nodes_of(open_session, options)}
        )
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no common type
        # An engine that a provider has compiled has no form in a file.
        problem = f"ONNX Runtime does not write its graph: {onnx_counts.first(error)}"
        return counts.model_copy(update={"unmeasured": {**counts.unmeasured, NODES: problem}})


def nodes_of(open_session: Callable[[Any], object], options: Any) -> dict[str, int]:
    """The kinds of nodes of the graph that a session runs, with their counts; `options` are the
    session's, which are changed.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        options.optimized_model_filepath = str(file)
        # A file of more than 2 GB is not written.
        options.add_session_config_entry(f"{_WEIGHTS}file_name", "weights")
        options.add_session_config_entry(f"{_WEIGHTS}min_size_in_bytes", _LEAST)
        open_session(options)
        graph = onnx.load(str(file), load_external_data=False).graph
    return dict(Counter(map(_kind, onnx_counts.all_nodes(graph))))


def _kind(node: Any) -> str:
    """As `Conv`, or with the domain of an operator that is not ONNX's: `nchwc.Conv`."""
    domain = str(node.domain).removeprefix("com.microsoft").lstrip(".").removeprefix("ai.onnx")
    return f"{domain}.{node.op_type}" if domain else str(node.op_type)

"""ONNX Runtime's session options: what is set for measuring, and what a recipe says instead."""

from __future__ import annotations

import importlib.util
import mmap
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import RecipeError, RuntimeFault, suggestion
from pytest_perfgate.runtimes import OpenContext, own_names
from pytest_perfgate.runtimes.own_names import Value

MEASURING: dict[str, Value] = {
    # A thread that spins after an inference takes the core from the next arm.
    "session.intra_op.allow_spinning": "0",
    "inter_op_num_threads": 1,
    "log_severity_level": 3,
}
"""What is set unless a recipe says otherwise."""

_FILES = "it writes a file that no launch is measured with"
_REFUSED = {
    "intra_op_num_threads": own_names.THREADS,
    "enable_profiling": own_names.PROFILING,
    "profile_file_prefix": own_names.PROFILING,
    "optimized_model_filepath": _FILES,
    "use_per_session_threads": "a session without threads of its own has no number of them",
    "session.use_env_allocators": "an arm opens one session, with allocators of its own",
    "session.intra_op_thread_affinities": "the arms of a launch are pinned to its cores already",
    "session.disable_cpu_ep_fallback": "it is an option of this runtime: fallback_ops",
    "session.record_ep_graph_assignment_info": "it proves on which provider each node runs",
    "session.collect_node_memory_stats_to_file": _FILES,
    "session.compile_only": "nothing would run",
    "session.disable_model_compile": "it is about models that were compiled before",
}
_SHADOWED = {
    "graph_optimization_level": "graph_optimization",
    "enable_cpu_mem_arena": "enable_cpu_mem_arena",
    "enable_mem_pattern": "enable_mem_pattern",
}
"""Attributes that this runtime has an option for, too."""

_LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
ASSIGNMENT = "get_provider_graph_assignment_info"
"""ONNX Runtime's word on which provider runs which node; older versions have it not."""


def refuse(session: Mapping[str, Value], changed: frozenset[str]) -> None:
    """Nothing, for settings with which a session can be measured; `changed` are the options that
    are not as they are by default.

    Raises:
        ValueError: one of them cannot be set, with the reason.
    """
    own_names.refuse(session, _REFUSED)
    for name in session:
        if name.startswith("ep.context_"):
            raise ValueError(f"{name} cannot be set: {_FILES}")
        if _SHADOWED.get(name) in changed:
            raise ValueError(f"{name} and {_SHADOWED[name]} set the same: leave one of them out")


def refuse_unknown(session: Mapping[str, Value]) -> None:
    """Nothing, for configuration entries that the installed ONNX Runtime has. It takes any entry
    without a word; its own names stand in its library.

    Raises:
        RecipeError: an entry is not among them.
    """
    entries = [name for name in session if "." in name]
    library = _library() if entries else None
    if library is None:
        return
    with library.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as m:
        for name in entries:
            if m.find(b"\0" + name.encode() + b"\0") < 0:
                names = {entry.decode() for entry in _ENTRY.findall(m)}
                raise RecipeError(
                    f"the installed ONNX Runtime has no configuration entry {name!r}",
                    valid=suggestion(name, names - _REFUSED.keys()),
                )


_ENTRY = re.compile(rb"\0((?:session|optimization|ep|mlas)\.[a-z0-9_.]*[a-z0-9_])(?=\0)")


def _library() -> Path | None:
    """The shared library of the installed package; None where it is missing or built in."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "capi"
    return next(iter(sorted(folder.glob("onnxruntime_pybind11_state*.so"))), None)


def session_options(options: Any, context: OpenContext) -> Any:
    """The session options of ONNX Runtime.

    Raises:
        RuntimeFault: ONNX Runtime has no such option or value, or it takes more threads than the
            suite has.
    """
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    attributes = own_names.attributes_of(settings)
    settings.intra_op_num_threads = options.threads or context.threads
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    settings.enable_cpu_mem_arena = options.enable_cpu_mem_arena
    settings.enable_mem_pattern = options.enable_mem_pattern
    level = _LEVELS[options.graph_optimization]
    settings.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    for name, value in {**MEASURING, **options.session}.items():
        if "." in name:
            settings.add_session_config_entry(name, _text(value))
        else:
            own_names.refuse_unknown([name], attributes, _REFUSED, "ONNX Runtime's SessionOptions")
            own_names.set_attribute(settings, name, value, attributes[name])
    if settings.inter_op_num_threads > context.threads:
        raise RuntimeFault(
            f"inter_op_num_threads is {settings.inter_op_num_threads}, but the suite has "
            f"{context.threads} threads, as many as the cores of a launch",
            where="session",
            next_step="raise `threads` in [suite]",
        )
    if options.provider != "cpu" and not options.fallback_ops:
        # Versions that do not tell the assignment refuse by themselves.
        refuses = not hasattr(onnxruntime.InferenceSession, ASSIGNMENT)
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", str(int(refuses)))
    if options.provider != "cpu" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries, where they were installed by pip
    return settings


def facts_of(session: Any, options: Any) -> dict[str, Any]:
    """What the session itself says of its options: of those that are set for measuring, and of
    those that the recipe sets.
    """
    settings = session.get_session_options()
    said: dict[str, Any] = {}
    for name in sorted({*MEASURING, *options.session} - {"log_severity_level"}):
        if "." in name:
            said[name] = settings.get_session_config_entry(name)
        else:
            value = getattr(settings, name)
            said[name] = getattr(value, "name", value)
    level = settings.graph_optimization_level.name
    return {
        "graph_optimization": next((own for own, name in _LEVELS.items() if name == level), level),
        "session": said,
    }


def _text(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)

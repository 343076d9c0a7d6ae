"""Files of torch that would run other code, or read and write files, are refused unread."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.errors import RecipeError

from tests.sources.test_finished_files import (
    built,
    program,
)
from tests.steps.conftest import example
from tests.steps.test_tflite import ramp

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")


class Opens:
    """Unpickling it writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def edited(file: Path, change: Callable[[str, bytes], bytes]) -> None:
    """The archive with other contents."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


def graph_with(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The program with another graph."""

    def changed(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        graph = json.loads(content)
        change(graph)
        return json.dumps(graph).encode()

    edited(file, changed)


def test_a_program_that_would_run_other_code_is_not_loaded(tmp_path: Path) -> None:
    """Pickles, functions that are no operators, expressions and guards in Python, names that are
    no names. torch.export.load runs each of them.
    """
    import pickle

    touched = tmp_path / "touched"
    buffer = io.BytesIO()
    torch.save((Opens(touched),), buffer)

    def sample(name: str, content: bytes) -> bytes:
        return buffer.getvalue() if "sample_inputs" in name else content

    def weights(_: str, content: bytes) -> bytes:
        return content.replace(b'"use_pickle": false', b'"use_pickle": true')

    def node(graph: dict[str, Any]) -> dict[str, Any]:
        return dict(graph["graph_module"]["graph"])

    def target(name: str) -> Callable[[dict[str, Any]], None]:
        return lambda graph: node(graph)["nodes"][0].update(target=name)

    def size(graph: dict[str, Any]) -> None:
        text = "__import__('os').getpid()"
        values = node(graph)["tensor_values"]
        values["x"]["sizes"][0] = {"as_expr": {"expr_str": text, "hint": None}}

    def guard(graph: dict[str, Any]) -> None:
        graph["guards_code"] = ["print(1)"]

    def entry(graph: dict[str, Any]) -> None:
        node(graph)["inputs"][0]["as_tensor"]["name"] = "x: print(1)"

    def structure(graph: dict[str, Any]) -> None:
        calls = graph["graph_module"]["module_call_graph"]
        text = calls[0]["signature"]["in_spec"]
        calls[0]["signature"]["in_spec"] = text.replace("builtins.dict", "collections.defaultdict")

    name = program(tmp_path)
    plain = (tmp_path / name).read_bytes()
    changes: list[tuple[Callable[[], None], str]] = [
        (lambda: edited(tmp_path / name, sample), "pickles"),
        (lambda: edited(tmp_path / name, weights), "pickled object"),
        (lambda: graph_with(tmp_path / name, target("torch.hub.load")), "torch.hub.load"),
        (lambda: graph_with(tmp_path / name, target("torch.ops.load_library")), "load_library"),
        (lambda: graph_with(tmp_path / name, target("torch.ops.aten.from_file")), "from_file"),
        (lambda: graph_with(tmp_path / name, target("_operator.methodcaller")), "methodcaller"),
        (lambda: graph_with(tmp_path / name, size), "expression"),
        (lambda: graph_with(tmp_path / name, guard), "guards"),
        (lambda: graph_with(tmp_path / name, entry), "the name"),
        (lambda: graph_with(tmp_path / name, structure), "defaultdict"),
    ]
    for change, says in changes:
        (tmp_path / name).write_bytes(plain)
        change()
        with pytest.raises(RecipeError, match=says):
            built(tmp_path, name)
    assert not touched.exists()
    (tmp_path / name).write_bytes(pickle.dumps(Opens(touched)))
    with pytest.raises(RecipeError, match="no program"):
        built(tmp_path, name)
    assert not touched.exists()


def test_torchscript_that_reads_files_is_not_loaded(tmp_path: Path) -> None:
    """TorchScript has operators for it, which torch.jit.load can run by itself."""
    module = torch.jit.trace(ramp(), torch.from_numpy(example(2)))
    code = "return x + torch.from_file('/etc/hostname', False, 1)"
    module.define(f"def reads(self, x: Tensor) -> Tensor:\n    {code}\n")
    torch.jit.save(module, tmp_path / "m.torchscript")
    with pytest.raises(RecipeError, match="reads or writes files"):
        built(tmp_path, "m.torchscript")


def test_machine_code_is_no_program(tmp_path: Path) -> None:
    """AOTInductor's packages have the same end."""
    name = program(tmp_path)
    with zipfile.ZipFile(tmp_path / name, "a") as archive:
        archive.writestr("m/data/aotinductor/model/code.so", b"")
    with pytest.raises(RecipeError, match="machine code of AOTInductor"):
        built(tmp_path, name)

"""Files that runtimes take as they are, each written by its own library here, give the numbers of
the module that they were made from; what is missing, damaged or of another kind is one error.

`channels_last.tflite` and `channels_last_int8.tflite` were made by `make_tflite.py`, whose
converter needs an environment of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import Artifact
from pytest_perfgate.errors import InputError, PerfgateError, RecipeError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.measure.untracked_inputs import files_named
from pytest_perfgate.runtimes import OpenContext, cuda
from pytest_perfgate.runtimes.openvino import taken_by
from pytest_perfgate.sources import Fence, SourceContext
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.sources.onnx import Onnx
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.requirements import lacking

from tests.networks import bytes_graph, sized_graph
from tests.steps.conftest import SIDE, example
from tests.steps.test_tflite import ramp

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

HERE = Path(__file__).parent


def ir(folder: Path) -> str:
    """OpenVINO IR, by openvino.save_model."""
    openvino = pytest.importorskip("openvino", reason="pip install 'pytest-perfgate[openvino]'")
    shape = [-1, 3, SIDE, SIDE]
    model = openvino.convert_model(
        ramp(), example_input=torch.from_numpy(example(2)), input=openvino.PartialShape(shape)
    )
    openvino.save_model(model, folder / "m.xml", compress_to_fp16=False)
    return "m.xml"


def tflite(folder: Path) -> str:
    """Floats, channels last."""
    shutil.copy(HERE / "channels_last.tflite", folder / "m.tflite")
    return "m.tflite"


def tflite_bytes(folder: Path) -> str:
    """As TensorFlow's converter wrote it, with images of uint8."""
    shutil.copy(HERE.parent / "blackbox" / "bright.tflite", folder / "m.tflite")
    return "m.tflite"


def tflite_int8(folder: Path) -> str:
    """8 bits inside and outside, channels last."""
    shutil.copy(HERE / "channels_last_int8.tflite", folder / "m.tflite")
    return "m.tflite"


def program(folder: Path) -> str:
    """A program with any batch, by torch.export.save."""
    shapes = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(ramp(), (torch.from_numpy(example(2)),), dynamic_shapes=shapes)
    torch.export.save(exported, folder / "m.pt2")
    return "m.pt2"


def script(folder: Path, name: str = "m.torchscript") -> str:
    """A traced module, by torch.jit.save."""
    torch.jit.save(torch.jit.trace(ramp(), torch.from_numpy(example(2))), folder / name)
    return name


def script_pt(folder: Path) -> str:
    """The same under the other usual end."""
    return script(folder, "m.pt")


def ncnn(folder: Path) -> str:
    """Ncnn's two files, by pnnx from TorchScript."""
    pytest.importorskip("ncnn", reason="python -m pip install 'pytest-perfgate[ncnn]'")
    pnnx = pytest.importorskip("pnnx", reason="python -m pip install 'pytest-perfgate[ncnn]'")
    pnnx.export(ramp(), str(folder / "m.pt"), torch.from_numpy(example(1)), fp16=False)
    for end in ("param", "bin"):
        (folder / f"m.ncnn.{end}").rename(folder / f"net.{end}")
    return "net.param"


RUNTIMES = {
    "openvino": "openvino",
    "tflite": "litert",
    "exported": "torch",
    "torchscript": "torch",
    "ncnn": "ncnn",
    "tensorrt": "tensorrt",
}


def built(folder: Path, name: str) -> Artifact:
    """The file as its source gives it, in a folder of its own, as the cache has it."""
    source, model = source_of(name)
    fence = Fence(folder, folder)
    source.check(model, source.Options(), fence)
    artifact = source.build(
        model, source.Options(), SourceContext(fence, lambda _: print, folder)
    ).artifact
    copy = folder / "cache"
    copy.mkdir()
    for file in source.files(model, source.Options(), fence):
        shutil.copy(file, copy)
    assert artifact.path is not None
    return Artifact(artifact.kind, path=copy / artifact.path.name)


def opened(artifact: Artifact, folder: Path, **options: Any) -> Any:
    """A session of the runtime that takes it."""
    name = RUNTIMES[artifact.kind]
    runtime: Any = registry.find(registry.RUNTIMES, name)
    pytest.importorskip(runtime.requires[0].module, reason=runtime.requires[0].install)
    assert artifact.kind in runtime.accepts
    return runtime.open(artifact, runtime.Options(**options), OpenContext(1, folder))


@pytest.mark.parametrize("make", [ir, tflite, tflite_int8, program, script, script_pt, ncnn])
def test_a_file_gives_the_modules_numbers(make: Callable[[Path], str], tmp_path: Path) -> None:
    """Batches of one and of three; 8 bits to a few codes."""
    session = opened(built(tmp_path, make(tmp_path)), tmp_path)
    coarse = make is tflite_int8
    for count in (1, 3):
        wanted = [output.detach().numpy() for output in ramp()(torch.from_numpy(example(count)))]
        for output, right in zip(session.run(Inputs(example(count))), wanted, strict=True):
            assert output.dtype == np.float32
            apart = np.abs(output - right).max() / np.abs(right).max()
            assert apart < (0.1 if coarse else 1e-5)  # a sum of 256 codes rounds 256 times
    if make in {tflite, tflite_int8}:
        assert session.facts["input"].endswith("NHWC")
        assert ("scale 0.0039" in session.facts["input"]) == coarse
    session.close()


def test_a_program_for_one_batch_is_not_measured_with_another(tmp_path: Path) -> None:
    """Its example had one image, and no size was said to vary."""
    exported = torch.export.export(ramp(), (torch.from_numpy(example(1)),))
    torch.export.save(exported, tmp_path / "one.pt2")
    assert opened(built(tmp_path, "one.pt2"), tmp_path).fixed_batch == 1


def test_torchscript_is_not_compiled_once_more(tmp_path: Path) -> None:
    """torch.compile would leave it as it is."""
    with pytest.raises(RuntimeFault, match="does not take TorchScript"):
        opened(built(tmp_path, script(tmp_path)), tmp_path, compile=True)


@pytest.mark.parametrize("make", [ir, ncnn])
def test_weights_that_are_missing_are_named(make: Callable[[Path], str], tmp_path: Path) -> None:
    """Both files belong to the model, to its key and to the base of a comparison."""
    name = make(tmp_path)
    weights = Path(name).with_suffix(".bin").name
    source, model = source_of(name)
    fence = Fence(tmp_path, tmp_path)
    files = source.files(model, source.Options(), fence)
    assert [file.name for file in files] == [name, weights] == list(files_named(name))
    (tmp_path / weights).unlink()
    with pytest.raises(RecipeError, match=f"are in '{weights}', which is missing"):
        source.check(model, source.Options(), fence)
    with pytest.raises(RecipeError, match="which is missing"):
        source.files(model, source.Options(), fence)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("m.xml", "no OpenVINO IR"),
        ("m.tflite", "no LiteRT model"),
        ("m.pt2", "no program of torch.export"),
        ("m.torchscript", "no TorchScript archive"),
        ("m.pt", "no TorchScript archive"),
        ("m.param", "first line is not 7767517"),
        ("m.engine", "the engine has 9 bytes"),
    ],
)
def test_a_file_of_another_kind_is_refused_as_the_suite_is_read(
    tmp_path: Path, name: str, says: str
) -> None:
    """And so is the pointer that Git LFS leaves in its place."""
    source, model = source_of(name)
    for content, expected in ((b"some text", says), (b"version https://git-lfs", "git lfs pull")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RecipeError) as caught:
            source.check(model, source.Options(), Fence(tmp_path, tmp_path))
        assert expected in str(caught.value)


@pytest.mark.parametrize("make", [ir, tflite, tflite_int8, program, script, ncnn])
def test_a_damaged_file_is_one_error(make: Callable[[Path], str], tmp_path: Path) -> None:
    """Cut to a half, from its end or from its start, by the source or in the library's words."""
    name = make(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for number, content in enumerate((whole[: len(whole) // 2], whole[:-20], whole[20:])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_bytes(content)
        for weights in tmp_path.glob("*.bin"):
            shutil.copy(weights, folder)
        with pytest.raises(PerfgateError):
            opened(built(folder, name), folder).run(Inputs(example(1)))


def test_the_description_of_an_ir_declares_no_entities(tmp_path: Path) -> None:
    """Nested ones would fill the memory."""
    name = ir(tmp_path)
    text = (tmp_path / name).read_text(encoding="utf-8")
    declared = '<!DOCTYPE net [<!ENTITY a "aaaa">]>'
    (tmp_path / name).write_text(text.replace("<net", f"{declared}<net", 1), encoding="utf-8")
    with pytest.raises(RecipeError, match="document type"):
        built(tmp_path, name)


def test_an_ir_tells_its_inputs(tmp_path: Path) -> None:
    """Names, types and shapes, whatever the network takes; OpenVINO says the same."""
    openvino = pytest.importorskip("openvino", reason="pip install 'pytest-perfgate[openvino]'")
    for graph in (bytes_graph, sized_graph):
        model = openvino.convert_model(str(graph(tmp_path / "m.onnx")))
        openvino.save_model(model, str(tmp_path / "m.xml"), compress_to_fp16=False)
        source, name = source_of("m.xml")
        fence = Fence(tmp_path, tmp_path)
        source.check(name, source.Options(), fence)
        told = source.inputs(name, source.Options(), fence)
        assert told is not None
        taken = taken_by(openvino.Core().compile_model(model, "CPU"))
        assert {tensor.name: tensor.kind for tensor in told} == taken
        onnx_source = Onnx()
        assert told == tuple(
            replace(tensor, shape=tuple("?" if size == "N" else size for size in tensor.shape))
            for tensor in onnx_source.inputs("m.onnx", onnx_source.Options(), fence) or ()
            if tensor.shape
        )


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (tflite, (("float32", (1, SIDE, SIDE, 3), False),)),
        (tflite_int8, (("int8", (1, SIDE, SIDE, 3), True),)),
        (tflite_bytes, (("uint8", (1, 16, 16, 3), True),)),
        (program, (("float32", ("?", 3, SIDE, SIDE), False),)),
        (script, None),
        (ncnn, None),
    ],
)
def test_a_file_tells_its_inputs(
    tmp_path: Path, make: Callable[[Path], str], inputs: tuple[Any, ...] | None
) -> None:
    """Types, shapes and scales, without its library; None where the file does not say."""
    source, name = source_of(make(tmp_path))
    taken = source.inputs(name, source.Options(), Fence(tmp_path, tmp_path))
    if inputs is None:
        assert taken is None
        return
    assert taken is not None
    shown = tuple((one.kind, one.shape, one.codes is not None) for one in taken)
    assert shown == inputs
    assert [one.takes_floats for one in taken] == [make is tflite_bytes] * len(taken)
    if make is tflite_int8:
        written = opened(built(tmp_path, name), tmp_path)._input.written
        assert taken[0].codes == (written.scale, written.zero_point)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("net.keras", 'model = "tf2onnx:net.keras"'),
        ("net/saved_model.pb", 'model = "tf2onnx:net"'),
        ("frozen.pb", "--graphdef frozen.pb --inputs INPUT:0"),
        ("saved", 'model = "tf2onnx:saved"'),
        ("rtmdet.py", 'model = { name = "mmdetection:rtmdet.py", weights = "CHECKPOINT.pth" }'),
        ("net.pth", "name a function that builds the model"),
        ("hf:owner/name", "name a file of it: hf://owner/name@REVISION/model.onnx"),
        ("torch.hub:ultralytics/yolov5", "name a function that builds the model"),
        ("exported/", "name a file in it, such as exported/model.onnx"),
    ],
)
def test_a_model_that_no_runtime_takes_is_told_with_the_command_that_converts_it(
    tmp_path: Path, model: str, says: str
) -> None:
    """Of TensorFlow in an environment of its own, and of MMDetection by its own tools."""
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    assert says in problem(tmp_path, model, "onnxruntime")


@pytest.mark.parametrize(
    ("runtime", "steps", "says"),
    [
        ("onnxruntime", "", "'onnxruntime' takes onnx, but the chain ends on tflite"),
        ("litert", '{ quantize = "static" }', "'quantize' takes onnx"),
    ],
)
def test_a_runtime_and_a_step_that_do_not_take_a_file_name_those_that_do(
    tmp_path: Path, runtime: str, steps: str, says: str
) -> None:
    """As the suite is read."""
    told = problem(tmp_path, tflite(tmp_path), runtime, steps)
    assert says in told
    assert "valid: for tflite: runtimes http, kserve, litert" in told


def suite_of(folder: Path, model: str, runtime: str, steps: str = "") -> reading.SuiteFile:
    """A suite with one recipe."""
    file = folder / "recipes.toml"
    file.write_text(
        f"""[suite]
task  = "classification"
model = "{model}"
data  = {{ calibration = {{ images = "c" }}, validation = {{ images = "v" }} }}
[[recipe]]
name    = "plain"
runtime = "{runtime}"
steps   = [{steps}]
""",
        encoding="utf-8",
    )
    return reading.read(file, folder)


def problem(folder: Path, model: str, runtime: str, steps: str = "") -> str:
    """The error of a suite with one recipe, in full."""
    read = suite_of(folder, model, runtime, steps)
    return str((read.suite_problems or read.problems["plain"])[0])


def test_litert_takes_images_in_the_files_own_type_and_layout(tmp_path: Path) -> None:
    """As production hands them over: the same outputs, without a conversion; other integers are an
    error.
    """
    session = opened(built(tmp_path, tflite_int8(tmp_path)), tmp_path)
    images = example(2)
    codes = np.rint(images.transpose(0, 2, 3, 1) / session._input.written.scale) - 128
    own = Inputs(codes.clip(-128, 127).astype(np.int8), layout="NHWC")
    for output, same in zip(session.run(Inputs(images)), session.run(own), strict=True):
        np.testing.assert_array_equal(output, same)
    with pytest.raises(InputError, match="the file takes int8; it is given uint8"):
        session.run(Inputs(images.astype(np.uint8)))


def test_an_engine_is_skipped_where_no_gpu_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suite is read, and its recipe names what is missing."""
    monkeypatch.setattr(type(cuda.GPU), "missing", True)
    (tmp_path / "net.engine").write_bytes(b"vtrt".ljust(2048, b"\0"))
    read = suite_of(tmp_path, "net.engine", "tensorrt")
    assert read.suite is not None
    failure = lacking(read.suite, read.suite.recipes["plain"])
    assert failure is not None
    assert failure.missing_package
    assert "GPU" in failure.problem

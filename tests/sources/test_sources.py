"""Models of packages: their options before any work, their weights, and the same model again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.errors import BuildError, PerfgateError
from pytest_perfgate.sources import Fence, SourceContext, SourceModel
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.suite import reading

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

SMALL = {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]}
RESNET = ("transformers:resnet", SMALL)
MODELS = [
    RESNET,
    ("timm:mobilenetv3_small_050", {}),
    ("timm:resnet18", {"drop_rate": 0.1}),
    ("torchvision:mobilenet_v3_small", {"dropout": 0.1}),
    ("torchvision:shufflenet_v2_x0_5", {}),
]

SUITE = """\
[suite]
task  = "classification"
model = {model}
data  = {{ validation = {{ images = "validation" }} }}
[[recipe]]
name    = "plain"
runtime = "torch"
"""


def made(model: str, folder: Path, arguments: Mapping[str, Any], **options: Any) -> SourceModel:
    """What a source builds; skipped where its packages are not installed."""
    source, name = source_of(model)
    asked = source.Options.model_validate({"arguments": dict(arguments), **options})
    for needed in source.requires_with(name, asked):
        if needed.missing:
            pytest.skip(f"tox run -e torchvision, or: {needed.install}")
    source.check(name, asked, Fence(folder, folder))
    return source.build(name, asked, SourceContext(Fence(folder, folder), never, folder))


def never(path: str) -> Any:
    """No source of a package asks for the suite's own code."""
    raise AssertionError(path)


def again(model: str, arguments: Mapping[str, Any], structure: Any, **options: Any) -> Any:
    """The module that the source makes again, before weights are loaded."""
    source, name = source_of(model)
    asked = source.Options.model_validate({"arguments": dict(arguments), **options})
    return source.restore(name, asked, structure, never)


@pytest.mark.parametrize(("model", "arguments"), MODELS, ids=[name for name, _ in MODELS])
def test_a_model_is_random_and_the_same_each_time(
    model: str, arguments: Mapping[str, Any], tmp_path: Path
) -> None:
    """It has as many classes as asked for, and its structure comes back for its weights."""
    first = made(model, tmp_path, arguments, num_classes=7)
    second = made(model, tmp_path, arguments, num_classes=7)
    assert first.effect["weights"] == "random"
    batch = torch.rand(2, 3, 64, 64)
    output = first.artifact.module(batch)
    assert output.shape == (2, 7)
    assert torch.equal(output, second.artifact.module(batch))
    module = again(model, arguments, first.structure, num_classes=7)
    module.load_state_dict(first.artifact.module.state_dict())
    assert torch.equal(output, module(batch))


def test_a_segmenter_gives_logits_on_its_own_grid(tmp_path: Path) -> None:
    """Those of transformers' models for semantic segmentation, at a quarter of the size."""
    sizes = {"hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 1, 2, 2]}
    more = {"depths": [1, 1, 1, 1], "decoder_hidden_size": 16}
    segmenter = made(
        "transformers:segformer", tmp_path, sizes | more, num_classes=5, head="segmentation"
    )
    assert segmenter.artifact.module(torch.rand(2, 3, 64, 96)).shape == (2, 5, 16, 24)


@pytest.mark.parametrize("kind", ["safetensors", "pt", "folder"])
def test_weights_of_a_file_are_loaded(kind: str, tmp_path: Path) -> None:
    """From safetensors, from a checkpoint of tensors, and from a folder with a configuration."""
    from safetensors.torch import save_file

    trained = made(*RESNET[:1], tmp_path, SMALL, num_classes=3).artifact.module.model
    with torch.no_grad():
        for value in trained.parameters():
            value.add_(0.01)
    state = {name: value.clone() for name, value in trained.state_dict().items()}
    given: Mapping[str, Any] = SMALL
    options: dict[str, Any] = {"weights": f"best.{kind}", "num_classes": 3}
    if kind == "folder":
        trained.save_pretrained(tmp_path / "best")
        given, options = {}, {"weights": "best"}
    elif kind == "pt":
        torch.save({"state_dict": state, "epoch": 3}, tmp_path / "best.pt")
    else:
        save_file(state, tmp_path / "best.safetensors")
    found = made(RESNET[0], tmp_path, given, **options)
    batch = torch.rand(1, 3, 32, 32)
    assert torch.equal(found.artifact.module(batch), trained(pixel_values=batch).logits)
    assert found.effect["weights"] == options["weights"]
    assert again(RESNET[0], given, found.structure)(batch).shape == (1, 3)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    """Every tensor has its place, or the build says which has not."""
    from safetensors.torch import save_file

    (tmp_path / "best.safetensors").touch()
    other = made(RESNET[0], tmp_path, SMALL, num_classes=4).artifact.module.model.state_dict()
    other["more"] = other.pop("classifier.1.bias").clone()
    save_file({name: value.clone() for name, value in other.items()}, tmp_path / "best.safetensors")
    with pytest.raises(BuildError) as caught:
        made(RESNET[0], tmp_path, SMALL, num_classes=3, weights="best.safetensors")
    assert "1 missing (classifier.1.bias)" in str(caught.value)
    assert "1 unknown (more)" in str(caught.value)
    assert "classifier.1.weight [4, 12] for [3, 12]" in str(caught.value)


class _Trap:
    """What runs when somebody unpickles it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_a_file_of_weights_runs_no_code(tmp_path: Path) -> None:
    """A checkpoint with anything but tensors in it is refused, and nothing of it is run."""
    torch.save({"x": _Trap(tmp_path / "sprung")}, tmp_path / "best.pt")
    with pytest.raises(BuildError, match="cannot be loaded as weights alone"):
        made(RESNET[0], tmp_path, SMALL, weights="best.pt")
    assert not (tmp_path / "sprung").exists()


def test_pretrained_weights_that_cannot_be_had_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, the way round is named."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BuildError, match="could not be fetched") as caught:
        made("transformers:nobody/nothing", tmp_path, {}, pretrained=True)
    assert 'set weights = "file.safetensors"' in str(caught.value)


def test_a_head_of_other_classes_stays_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of pretrained weights, when other classes are asked for; otherwise that is an error."""
    source = made(RESNET[0], tmp_path, SMALL, num_classes=4).artifact.module.model
    source.save_pretrained(tmp_path / "some" / "resnet")
    monkeypatch.chdir(tmp_path)  # transformers takes a folder for a name of the hub
    found = made("transformers:some/resnet", tmp_path, {}, pretrained=True, num_classes=3)
    assert found.effect == {"weights": "pretrained", "random_tensors": 2}
    mine, other = found.artifact.module.model.state_dict(), source.state_dict()
    differ = [name for name in mine if not torch.equal(mine[name], other[name])]
    assert sorted(differ) == ["classifier.1.bias", "classifier.1.weight"]
    module = again("transformers:some/resnet", {}, found.structure, pretrained=True)
    assert module(torch.rand(1, 3, 32, 32)).shape == (1, 3)
    source.resnet.save_pretrained(tmp_path / "some" / "headless")
    with pytest.raises(BuildError, match="2 tensors are not among the weights"):
        made("transformers:some/headless", tmp_path, {}, pretrained=True)


def test_torchvisions_own_weights_are_fetched_without_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head for other classes stays random; torch.hub is told to read tensors only."""
    whole = made("torchvision:mobilenet_v3_small", tmp_path, {}).artifact.module.state_dict()
    api = pytest.importorskip("torchvision.models._api")
    asked: dict[str, Any] = {}

    def fetch(url: str, **options: Any) -> Any:
        asked.update(options, url=url)
        return {name: value + 1 for name, value in whole.items()}

    monkeypatch.setattr(api, "load_state_dict_from_url", fetch)
    found = made("torchvision:mobilenet_v3_small", tmp_path, {}, pretrained=True, num_classes=3)
    assert asked["weights_only"] is True
    assert found.effect == {"weights": "pretrained", "random_tensors": 2}
    state = found.artifact.module.state_dict()
    assert torch.equal(state["features.0.0.weight"], whole["features.0.0.weight"] + 1)


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        ("transformers:resnett", {}, "did you mean 'resnet'"),
        ("timm:resnet18x", {}, "did you mean 'resnet18"),
        ("timm:resnet18", {"depht": 3}, "does not build"),
        ("torchvision:resnet1", {}, "did you mean 'resnet1"),
        ("torchvision:resnet18", {"depht": 3}, "does not build"),
        ("torchvision:fasterrcnn_resnet50_fpn", {}, "has no model"),
    ],
)
def test_a_model_that_a_package_does_not_have(
    model: str, arguments: Mapping[str, Any], said: str, tmp_path: Path
) -> None:
    """Its nearest names are told."""
    with pytest.raises(BuildError) as caught:
        made(model, tmp_path, arguments)
    assert said in str(caught.value)


@pytest.mark.parametrize("source", ["timm", "torchvision", "transformers"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("pretraind = true", "did you mean 'pretrained'"),
        ("num_classes = 0", "greater than or equal to 1"),
        ('pretrained = true, weights = "best.pt"', "not both"),
        ('weights = "none.safetensors"', "does not exist"),
        ('weights = "../../../x.safetensors"', "leaves the project"),
        ('weights = "recipes.toml"', "has no weights"),
        ('weights = "."', "has no weights"),
    ],
)
def test_options_of_a_model_are_checked_before_any_work(
    source: str, options: str, said: str, tmp_path: Path
) -> None:
    """No framework is needed for it; the message has its place."""
    text = SUITE.format(model=f'{{ name = "{source}:resnet18", {options} }}')
    assert said in problem(tmp_path, text)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ('"timm:res net"', "cannot be a model's name"),
        ('"timm:hf-hub:some/model"', "cannot be a model's name"),
        ('"torchvision:../x"', "cannot be a model's name"),
        ('"huggingface:some/model"', "is not an import path"),
        ('"huggingface:some/model"', "there is no source 'huggingface'"),
        ('"ftp://host/a/yolo.onnx?raw=1"', "is an address of a kind that is unknown here"),
        ('"ftp://host/a/yolo.onnx?raw=1"', 'beside recipes.toml, and name "yolo.onnx"'),
        ('"hf://some/model"', "names no file in hf"),
        ("'C:\\models\\yolo.onnx'", "a path of Windows"),
        ('"weights/best.ckpt"', "a function that builds the model and loads its weights"),
        ('"net.mlmodel"', "name the model that it was made from"),
        ('"transformers:microsoft/resnet-18"', "serves pretrained weights only"),
        ('{ name = "transformers:resnet", pretrained = true }', "has no pretrained weights"),
        ('{ name = "transformers:resnet", revision = "main" }', "only pretrained weights"),
        ('{ name = "timm:vgg11", arguments = { checkpoint_path = "x" } }', "among the arguments"),
        ('{ name = "demo.model:build", num_classes = 3 }', "'num_classes' is not a key"),
        ("{ num_classes = 3 }", "the model has no name"),
    ],
)
def test_a_name_that_cannot_be_one_is_told(model: str, said: str, tmp_path: Path) -> None:
    """With every form that a name may have, where that is the problem."""
    told = problem(tmp_path, SUITE.format(model=model))
    assert said in told
    if "import path" in said:
        assert '"package.module:function", a file (.onnx .xml .tflite ' in told
        assert '.engine .plan .trt), "mmdetection:rtmdet.py", "tf2onnx:saved_model", "timm:' in told


def test_the_weights_of_a_model_are_in_the_key_of_its_build(tmp_path: Path) -> None:
    """Other bytes, another option: another model. A suite's own function is as it was."""
    from pytest_perfgate.building.keys import source_key

    def key(model: str, content: bytes = b"") -> str:
        (tmp_path / "best.safetensors").write_bytes(content)
        (tmp_path / "recipes.toml").write_text(SUITE.format(model=model))
        suite = reading.read(tmp_path / "recipes.toml", tmp_path).suite
        assert suite is not None
        return source_key(suite)

    name = '{{ name = "timm:resnet18", weights = "best.safetensors", num_classes = {} }}'
    keys = {key(name.format(3), b"a"), key(name.format(3), b"b"), key(name.format(4), b"a")}
    assert len(keys) == 3
    assert key(name.format(3), b"a") in keys
    assert key('{ name = "demo.model:build" }') == key('"demo.model:build"')


def problem(folder: Path, text: str) -> str:
    """What is said of a suite file that is of no use."""
    (folder / "recipes.toml").write_text(text)
    found: tuple[PerfgateError, ...] = reading.read(folder / "recipes.toml", folder).suite_problems
    assert "recipes.toml: suite.model" in str(found[0])
    return str(found[0])

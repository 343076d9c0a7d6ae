"""Suites whose models are files that one runtime takes, from the file to a verdict."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Project, said
from tests.squares import HEAD

RECIPES = """\
[[recipe]]
name    = "ir"
runtime = { name = "openvino", properties = { CPU_DENORMALS_OPTIMIZATION = true } }
[recipe.budgets]
map = { min = 0.5 }
"""


def test_what_is_deployed_is_what_is_measured(project: Project) -> None:
    """Both files are the artifact, under their names; its facts have the recipe's property."""
    openvino = pytest.importorskip("openvino", reason="pip install 'pytest-perfgate[openvino]'")
    model = openvino.convert_model(str(project.suite / "squares.onnx"))
    openvino.save_model(model, project.suite / "shapes.xml", compress_to_fp16=False)
    project.write(HEAD.replace("squares.onnx", "shapes.xml") + RECIPES)
    result = project.run()
    assert project.verdicts() == {"ir-map": "PASS"}, result.outlines
    (recipe,) = project.sessions()[-1]["suites"][0]["recipes"]
    sizes = {name: (project.suite / name).stat().st_size for name in ("shapes.xml", "shapes.bin")}
    assert recipe["artifact"]["files"] == sizes
    assert recipe["runtime_facts"]["properties"]["CPU_DENORMALS_OPTIMIZATION"] == "YES"
    assert recipe["lineage"][0]["effect"]["ir_version"] == 11


BRIGHT = """\
[suite]
task  = "classification"
model = "bright.tflite"
[suite.data]
validation = { images = "pictures" }
[suite.input]
size  = [16, 16]
dtype = "uint8"

[[recipe]]
name    = "lite"
runtime = "litert"
[recipe.budgets]
accuracy = { min = 0.8 }
"""


def test_a_classifier_of_bytes_channels_last_takes_pixels_as_they_are(project: Project) -> None:
    """As TensorFlow's converter wrote it (make_bright_tflite.py): 8 bits inside and outside."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'pytest-perfgate[litert]'")
    pytest.importorskip("sklearn", reason="pip install 'pytest-perfgate[classification]'")
    shutil.copy(Path(__file__).with_name("bright.tflite"), project.suite)
    for name, low in (("bright", 160), ("dark", 0)):
        folder = project.suite / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng(number).integers(low, low + 95, (16, 16, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    project.write(BRIGHT)
    result = project.run()
    assert project.verdicts() == {"lite-accuracy": "PASS"}, result.outlines
    (recipe,) = project.sessions()[-1]["suites"][0]["recipes"]
    assert recipe["runtime_facts"]["layers"] == {"int8": 2}
    assert recipe["runtime_facts"]["input"].startswith("uint8, scale 0.0078")


PLAIN = """\
[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map = { min = 0.5 }
"""
CONVERTER = """\
#!/bin/sh
# tf2onnx.convert --keras MODEL --output FILE --opset N
[ "$2 $3" = "tf2onnx.convert --keras" ] && cp "$4" "$6"
"""


def test_what_a_converter_wrote_is_the_artifact(project: Project) -> None:
    """Of an interpreter in place of one with TensorFlow; another content of the file is converted
    anew, the same one is not.
    """
    converter = project.root / "converter"
    converter.write_text(CONVERTER)
    converter.chmod(0o755)
    (project.suite / "squares.onnx").rename(project.suite / "net.keras")
    model = f'{{ name = "tf2onnx:net.keras", python = "{converter}" }}'
    project.write(HEAD.replace('"squares.onnx"', model) + PLAIN)
    project.run()
    assert project.verdicts() == {"plain-map": "PASS"}
    (recipe,) = project.sessions()[-1]["suites"][0]["recipes"]
    assert list(recipe["artifact"]["files"]) == ["model.onnx"]
    converter.write_text("#!/bin/sh\nexit 3\n")
    project.run()
    assert project.verdicts() == {"plain-map": "PASS"}
    with (project.suite / "net.keras").open("ab") as file:
        file.write(b"\0")
    said(project.run(), "tf2onnx ended with exit code 3")

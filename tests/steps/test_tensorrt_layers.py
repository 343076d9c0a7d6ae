"""What an engine says of its layers, and what is made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps.tensorrt_layers import as_json, from_inspector, from_log, summary

Tensor = dict[str, Any]


def tensor(
    kind: str, shape: tuple[int, ...] = (1, 16, 8, 8), key: str = "Format/Datatype"
) -> Tensor:
    """A tensor as the inspector writes it."""
    return {"Name": "t", "Dimensions": list(shape), key: kind}


def layer(kind: str, inputs: list[Tensor], outputs: list[Tensor], **more: Any) -> dict[str, Any]:
    """A layer as the inspector writes it."""
    return {"Name": kind, "LayerType": kind, "Inputs": inputs, "Outputs": outputs, **more}


INT8 = "Thirty-two wide channel vectorized row major Int8 format"
FP16 = "Channel major FP16 format where channel % 8 == 0"
FP32 = "Row major linear FP32"


def read(*layers: dict[str, Any]) -> Any:
    """The layers of an inspector that says this."""
    return from_inspector(json.dumps({"Layers": list(layers), "Bindings": ["x", "y"]}))


@pytest.mark.parametrize(
    ("given", "precision", "weighted"),
    [
        # A convolution, by its weights and what goes in; what comes out does not matter.
        (
            layer("CaskConvolution", [tensor(INT8)], [tensor(FP32)], Weights={"Type": "Int8"}),
            "int8",
            True,
        ),
        (
            layer("CaskConvolution", [tensor(FP16)], [tensor(FP16)], Weights={"Type": "Half"}),
            "fp16",
            True,
        ),
        # Quantized values, multiplied in float: it is no 8-bit layer.
        (
            layer("CaskConvolution", [tensor(INT8)], [tensor(INT8)], Weights={"Type": "Float"}),
            "fp32",
            True,
        ),
        # 8-bit weights behind a dequantization: neither.
        (
            layer("CaskConvolution", [tensor(FP16)], [tensor(FP16)], Weights={"Type": "Int8"}),
            "fp16",
            True,
        ),
        # What only quantizes, or dequantizes.
        (layer("Reformat", [tensor(FP32)], [tensor(INT8)]), "fp32", False),
        (layer("Reformat", [tensor(INT8)], [tensor(FP32)]), "fp32", False),
        (layer("CudaPooling", [tensor(INT8)], [tensor(INT8)]), "int8", False),
        # Newer engines: weights are constants, types have a key of their own.
        (
            layer(
                "correlation",
                [tensor("BFloat16", key="Datatype")],
                [tensor("BFloat16", key="Datatype")],
                Constants=[tensor("BFloat16", (16, 16, 3, 3), key="Datatype")],
            ),
            "bf16",
            True,
        ),
        # A bias alone is no weight, and the constants of an elementwise kernel are none.
        (
            layer(
                "fusion", [tensor("Half")], [tensor("Half")], Constants=[tensor("Half", (1, 16))]
            ),
            "fp16",
            False,
        ),
        (
            layer(
                "kgen", [tensor("Half")], [tensor("Half")], Constants=[tensor("Half", (1, 8, 8))]
            ),
            "fp16",
            False,
        ),
        # Weights are not listed, and the kernel's name says what it multiplies.
        (
            layer(
                "gemm",
                [tensor("Int8")],
                [tensor("Half")],
                TacticName="sm80_xmma_gemm_i8i8_i8i32_f32_tn_n_tilesize64x64x64",
            ),
            "int8",
            True,
        ),
        # No computation in a type of floats: waiting, and shapes.
        (layer("wait", [], []), "", False),
        (layer("shape_call", [tensor("Int64")], [tensor("Int64")]), "", False),
    ],
)
def test_a_layer_computes_in_the_widest_of_what_it_multiplies(
    given: dict[str, Any], precision: str, weighted: bool
) -> None:
    """A layer that would be float must never be counted as 8-bit."""
    (result,) = read(given)
    assert (result.precision, result.weighted) == (precision, weighted)


def test_a_sparse_kernel_is_told_by_its_flag_or_its_name() -> None:
    """And another is not."""
    conv = layer("CaskConvolution", [tensor(FP16)], [tensor(FP16)], Weights={"Type": "Half"})
    result = read(
        {**conv, "TacticName": "sm80_xmma_fprop_sparse_conv_f16f16"},
        {**conv, "HasSparseWeights": 1},
        {**conv, "HasSparseWeights": 0, "TacticName": "sm80_xmma_fprop_implicit_gemm"},
    )
    assert [layer.sparse for layer in result] == [True, True, False]


def test_counts_and_shares_are_of_the_layers_that_compute() -> None:
    """Shares are of those with weights: copies and waiting do not thin them out."""
    conv = layer("CaskConvolution", [tensor(INT8)], [tensor(INT8)], Weights={"Type": "Int8"})
    half = layer("CaskConvolution", [tensor(FP16)], [tensor(FP16)], Weights={"Type": "Half"})
    result = read(conv, {**conv, "TacticName": "k"}, conv, half, layer("wait", [], []))
    reported = summary([*result, *read(layer("Reformat", [tensor(FP32)], [tensor(INT8)]))])
    assert reported == {
        "layers": 5,
        "layers_by_precision": {"int8": 3, "fp16": 1, "fp32": 1},
        "weighted_layers": 4,
        "weighted_by_precision": {"int8": 3, "fp16": 1},
        "int8_share": 0.75,
        "fp16_share": 0.25,
        "sparse_layers": 0,
        "kernels": 1,
    }
    assert json.loads(as_json(result))[1] == {
        "name": "CaskConvolution",
        "kind": "CaskConvolution",
        "precision": "int8",
        "weighted": True,
        "tactic": "k",
        "sparse": False,
    }


def test_nothing_said_is_nothing_found() -> None:
    """No share of nothing, and no layer from a log without any."""
    assert summary(())["int8_share"] == 0.0
    assert from_log(["Timing Runner: …", "Layers of another kind"]) == ()


@pytest.mark.parametrize("text", ["", "{}", '{"Layers": 3}', "[1]"])
def test_text_that_is_no_information_is_an_error(text: str) -> None:
    """It is not taken for an engine without layers."""
    with pytest.raises(BuildError, match="cannot be read"):
        from_inspector(text)


def test_an_engine_that_only_names_its_layers_is_an_error() -> None:
    """As one does that was built without detailed verbosity."""
    with pytest.raises(BuildError, match="reports nothing of its layers but their names"):
        from_inspector('{"Layers": ["conv_1", "conv_2"]}')

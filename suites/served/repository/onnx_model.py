"""An ONNX file in mlserver: its own code runs in mlserver's environment, not in the session's."""

from __future__ import annotations

import os
from typing import Any

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor

_DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
    "tensor(uint8)": "UINT8",
    "tensor(int64)": "INT64",
}


class OnnxModel(MLModel):  # type: ignore[misc] # mlserver is not installed beside the session
    """A file in ONNX Runtime, with as many threads as the server has cores."""

    async def load(self) -> bool:
        """Opens the file that the settings' URI names."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        self._session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        self.inputs = _tensors(self._session.get_inputs())
        self.outputs = _tensors(self._session.get_outputs())
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """An inference of a request, or of those that mlserver has put into one batch."""
        arrays = {one.name: NumpyCodec.decode_input(one) for one in payload.inputs}
        names = [one.name for one in self._session.get_outputs()]
        outputs = self._session.run(names, arrays)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output(name, array)
                for name, array in zip(names, outputs, strict=True)
            ],
        )


def _tensors(entries: Any) -> list[MetadataTensor]:
    """What the file says of its inputs or outputs; -1: any length."""
    return [
        MetadataTensor(
            name=entry.name,
            datatype=_DATATYPES[entry.type],
            shape=[size if isinstance(size, int) else -1 for size in entry.shape],
        )
        for entry in entries
    ]

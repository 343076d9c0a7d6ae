"""Makes the two small .tflite files beside it: `.litert/bin/python tests/sources/make_tflite.py`.

The environment is that of the step `tflite`: python -m venv .litert && .litert/bin/python -m pip
install litert-torch. Both take images channels last; one takes and gives int8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe

HERE = Path(__file__).parent
SIDE = 32


class Ramp(torch.nn.Module):  # type: ignore[misc] # of another environment
    """The network of tests/steps/test_tflite.py."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3, 2, 1)
        self.second = torch.nn.Conv2d(4, 2, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                values = torch.linspace(-1, 1, parameter.numel())
                parameter.copy_(values.reshape(parameter.shape))

    def forward(self, x: Any) -> Any:
        """Two outputs."""
        y = torch.relu(self.first(x))
        return self.second(y), y.sum((2, 3))


def main() -> None:
    """Converts, and quantizes."""
    module = litert_torch.to_channel_last_io(Ramp().eval(), args=[0])
    floats = str(HERE / "channels_last.tflite")
    litert_torch.convert(module, (torch.rand(1, SIDE, SIDE, 3),)).export(floats)
    ((signature, names),) = Interpreter(floats).get_signature_list().items()
    pixels = np.random.default_rng(0)
    images = [pixels.random((1, SIDE, SIDE, 3), dtype=np.float32) for _ in range(8)]
    work = quantizer.Quantizer(floats)
    work.load_quantization_recipe(recipe.static_wi8_ai8())
    ranges = work.calibrate({signature: [{names["inputs"][0]: image} for image in images]})
    work.quantize(ranges).export_model(str(HERE / "channels_last_int8.tflite"), overwrite=True)


if __name__ == "__main__":
    main()

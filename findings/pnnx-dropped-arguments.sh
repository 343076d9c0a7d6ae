#!/usr/bin/env bash
# pnnx writes an ncnn layer for arguments that ncnn lacks: circular padding becomes zeros, p=1 the norm of p=2
#
# Versions     pnnx 20261020, ncnn 1.0.20261020, torch 2.13.0 (CPU, numpy 2.4.6, Python 3.11), x86-64
# Behaviour    Three calls of torch.nn.functional, each beside one that is right. pad(mode="circular") becomes a Padding layer
#              without a type, which pads with zeros. interpolate(mode="nearest-exact", scale_factor=0.5) becomes
#              the Interp layer of "nearest", which takes the other pixel of each pair. normalize(p=1) becomes the Normalize
#              layer, which has the norm of p=2. All three load, run, and give plausible numbers. pnnx ends with 0; among
#              its lines is "unsupported" for the last two, and nothing for the first. With size in place of scale_factor
#              the same "nearest-exact" is written as a layer that ncnn does not know, and loading it fails, as one
#              would expect of the three.
# Output       pad, reflect:                   torch 2 1 0 1 2 3, ncnn 2 1 0 1 2 3
#              pad, circular:                  torch 2 3 0 1 2 3, ncnn 0 0 0 1 2 3
#              interpolate, nearest:           torch 0 2, ncnn 0 2
#              interpolate, nearest-exact:     torch 1 3, ncnn 0 2
#              nearest-exact by its size:      torch 1 3, ncnn refused
#              normalize, p=2:                 torch 0.6 0.8, ncnn 0.6 0.8
#              normalize, p=1:                 torch 0.43 0.57, ncnn 0.6 0.8
# Wrong guess  "What ncnn cannot do stays in the .param as F.something, and load_param refuses it": so it is for many
#              calls, and a converter that ends with 0 is trusted. Panoramas with circular padding have a seam then;
#              nearest-exact is what torch recommends since nearest was found to be off.
# Source       Found by converting 190 calls of torch.nn.functional. The .pnnx.param beside the result has the arguments still;
#              of the rules for ncnn, tools/pnnx/src/pass_ncnn/F_pad.cpp knows three modes and writes none for a fourth, and
#              F_normalize.cpp prints "unsupported" when the layer has its type already.
# What to do   Compare ncnn's outputs with the module's after each conversion. Write circular padding as a concatenation.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pnnx==20261020 ncnn==1.0.20261020 torch==2.13.0 numpy==2.4.6
cd "$work"
export PATH="$work/venv/bin:$PATH"
venv/bin/python - 2> /dev/null <<'PY'
import subprocess
import sys

import ncnn
import numpy as np
import torch
import torch.nn.functional as F


class Call(torch.nn.Module):
    def __init__(self, function, *arguments, **named):
        super().__init__()
        self.function, self.arguments, self.named = function, arguments, named

    def forward(self, x):
        return self.function(x, *self.arguments, **self.named)


def in_ncnn(module, example):
    """What ncnn gives for the first image; None where it refuses the converted file."""
    torch.jit.trace(module.eval(), example, check_trace=False).save("model.pt")
    shape = ",".join(map(str, example.shape))
    command = ["pnnx", "model.pt", f"inputshape=[{shape}]f32", "fp16=0"]
    subprocess.run(command, check=True, capture_output=True)
    net = ncnn.Net()
    net.opt.use_fp16_storage = net.opt.use_fp16_packed = net.opt.use_fp16_arithmetic = False
    net.opt.num_threads = 1
    if net.load_param("model.ncnn.param") or net.load_model("model.ncnn.bin"):
        return None
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(example[0].numpy()).clone())
    status, output = extractor.extract("out0")
    return None if status else np.array(output).copy()


row = torch.arange(4.0).reshape(1, 1, 1, 4).expand(1, 1, 4, 4).contiguous()
pair = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4).contiguous()
observed = []
for name, module, example in (
    ("pad, reflect", Call(F.pad, (2, 0, 0, 0), mode="reflect"), row),
    ("pad, circular", Call(F.pad, (2, 0, 0, 0), mode="circular"), row),
    ("interpolate, nearest", Call(F.interpolate, scale_factor=0.5, mode="nearest"), row),
    ("interpolate, nearest-exact", Call(F.interpolate, scale_factor=0.5, mode="nearest-exact"), row),
    ("nearest-exact by its size", Call(F.interpolate, size=(2, 2), mode="nearest-exact"), row),
    ("normalize, p=2", Call(F.normalize, p=2.0, dim=1), pair),
    ("normalize, p=1", Call(F.normalize, p=1.0, dim=1), pair),
):
    texts = []
    for output in (module(example)[0].numpy(), in_ncnn(module, example)):
        values = [] if output is None else output[0, 0] if example is row else output[:, 0, 0]
        texts.append(" ".join(f"{value:.2g}" for value in values) or "refused")
    print(f"{name + ':':31} torch {texts[0]}, ncnn {texts[1]}")
    observed.append(texts)
wrong = {1: "0 0 0 1 2 3", 3: "0 2", 4: "refused", 6: "0.6 0.8"}
if [wrong.get(place, texts[0]) for place, texts in enumerate(observed)] != [ours for _, ours in observed]:
    print("The behaviour changed.")
    sys.exit(1)
PY

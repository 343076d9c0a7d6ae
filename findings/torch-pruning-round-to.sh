#!/usr/bin/env bash
# torch-pruning's round_to removes nothing at all once less than one multiple would be left
#
# Versions     torch-pruning 1.6.1, torch 2.13.0 (CPU, Python 3.11)
# Behaviour    A layer of 64 channels, round_to=8. Asked for 85 % less it keeps 8 channels. Asked for
#              88 % or 95 % less it keeps all 64: more pruning gives the unpruned network, without a
#              warning. Below that point what is left is rounded down, not to the nearest multiple as
#              the documentation says: asked for 78 % less (14 left, nearest 16) it keeps 8.
# Output       asked 50 %: kept 32 channels freely, 32 with round_to=8
#              asked 78 %: kept 14 channels freely, 8 with round_to=8
#              asked 85 %: kept 9 channels freely, 8 with round_to=8
#              asked 88 %: kept 7 channels freely, 64 with round_to=8
#              asked 95 %: kept 3 channels freely, 64 with round_to=8
# Wrong guess  "round_to is a ceiling: at worst one multiple of eight is kept." A sweep over pruning
#              ratios then shows accuracy recovering at 88 %, which looks like a discovery.
# Source       Found by counting channels per layer after a sweep. torch_pruning/pruner/algorithms/
#              base_pruner.py, _round_to: the channels left are reduced to a multiple; with 7 left that
#              multiple is 0, all 64 are named for removal, and the caller refuses a removal of a whole
#              layer by leaving it out. The docstring says "rounded to the nearest multiple".
# What to do   Read the channels of each layer afterwards; treat an untouched layer as an error.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 torch-pruning==1.6.1 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PY'
import sys

import torch
import torch_pruning
from torch import nn


def kept(ratio, round_to):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )
    pruner = torch_pruning.pruner.BasePruner(
        network, torch.zeros(1, 3, 32, 32), importance=torch_pruning.importance.MagnitudeImportance(),
        pruning_ratio=ratio, round_to=round_to, ignored_layers=[network[4]],
    )
    pruner.step()
    return network[0].out_channels


channels = {percent: (kept(percent / 100, None), kept(percent / 100, 8)) for percent in (50, 78, 85, 88, 95)}
for percent, (freely, rounded) in channels.items():
    print(f"asked {percent} %: kept {freely} channels freely, {rounded} with round_to=8")
if [rounded for _, rounded in channels.values()] != [32, 8, 8, 64, 64]:
    sys.exit("The behaviour changed.")
PY

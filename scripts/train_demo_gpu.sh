#!/usr/bin/env bash
# Trains the demo's weights on one GPU in minutes.
#
#   scripts/train_demo_gpu.sh FOLDER [RUNS]
#
# FOLDER gets the model: config.json and four files of weights, each below 16 MB. RUNS (runs/gpu) keeps the
# trainings; started again, the script goes on where it was stopped.
#
# The configurations are those of configs/train with larger batches in fewer steps: all cores render, each
# batch once; from then on its latents stay on the GPU. At the end stand samples per second and the share of
# the time in which no batch was waited for. These settings have not been run on a GPU.
#
# QUICK=1 takes two steps of tiny pictures on the CPU instead, to see that all is in its place.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?FOLDER is missing: where the model goes}
runs=${2:-runs/gpu}
python=${PYTHON:-.venv/bin/python}
[ ! -e "$target/config.json" ] || { echo "error: $target: holds a model already" >&2; exit 2; }

common=(precision=bf16 compile=true "num_workers=$(nproc)" checkpoint_minutes=1 checkpoint_interval=100000)
common+=(validation_interval=100000 optimizer.warmup_steps=50)
clips=(task.cache_on_device=true task.data.references=96 optimizer.learning_rate=2.0e-3)
autoencoder=(steps=1200 task.batch_size=128 optimizer.learning_rate=4.0e-3)
first=(steps=1200 task.cached_batches=240 task.auxiliary_steps=500)
continued=(steps=1000 task.cached_batches=240)
second=(steps=300 task.cached_batches=80 task.data.references=24)
if [ -n "${QUICK:-}" ]; then
    common=(device=cpu precision=fp32 num_workers=0 steps=2 optimizer.warmup_steps=0 log_interval=1)
    clips=(task.cache_on_device=true task.cached_batches=1 task.data.references=2 task.data.size=32)
    clips+=("task.validation={clips: 1, frames: 2, num_inference_steps: 1, loss_timesteps: []}")
    autoencoder=(task.size=32 task.batch_size=2 task.validation_pictures=16)
    first=() continued=() second=()
fi

train() { # NAME, then values
    local name=$1
    shift
    echo "== $name"
    OMP_NUM_THREADS=1 "$python" -m megactor_core train --config "configs/train/$name.yaml" \
        --output "$runs/$name" --set "${common[@]}" "$@"
}

train demo_autoencoder "${autoencoder[@]}"
train demo_stage1 "${clips[@]}" "task.vae=$runs/demo_autoencoder/model" "${first[@]}"
train demo_stage1_continued "${clips[@]}" "task.initial_weights=$runs/demo_stage1/model" "${continued[@]}"
train demo_stage2 "${clips[@]}" "task.initial_weights=$runs/demo_stage1_continued/model" "${second[@]}"
mkdir -p "$target"
cp "$runs"/demo_stage2/model/* "$target"
"$python" - "$runs" <<'SPEED'
import json
import sys
from pathlib import Path

print(f"{'training':24}{'samples/s':>12}{'at work':>10}")
for log in sorted(Path(sys.argv[1]).glob("*/log.jsonl")):
    records = [record for record in map(json.loads, log.read_text().splitlines()) if "waiting_share" in record]
    speed = sum(record["samples_per_second"] for record in records) / len(records)
    work = 1 - sum(record["waiting_share"] for record in records) / len(records)
    print(f"{log.parent.name:24}{speed:12.1f}{work:10.0%}")
SPEED
ls -l "$target"

#!/bin/sh
# A lent GPU in three calls, nothing else to think of: `sh benchmarks/gpu_day.sh 1`, then 2, then 3.
# 1 measures the network and a training step, plans, and begins to train; 2 and 3 go on. What must
# leave the machine is copied to $OUT: figures, the log, and the weights in pieces.
# $SECONDS_A_CALL (570) bounds a call, $PLANNED (1500) is what is trained in all, in seconds; a
# rehearsal on a CPU takes a tenth of both and SCALES="1".
set -u
call=$1
begun=$(date +%s)
seconds=${SECONDS_A_CALL:-570}
planned=${PLANNED:-1500}
out=${OUT:-out/gpu_day_out}
run=out/gpu_day
mkdir -p "$out" "$run"
export PYTHONUNBUFFERED=1 PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
python=${PYTHON:-python3}

if [ "$call" = 1 ]; then
  $python -c 'import torch; print(torch.__version__, torch.cuda.is_available() and torch.cuda.get_device_name())'
  timeout 100 $python -m benchmarks.gpu --json "$run/gpu.json"
  timeout 80 $python -m benchmarks.training --bf16 --scales ${SCALES:-16 32} --json "$run/plain.json"
  timeout 80 $python -m benchmarks.training --bf16 --scales ${SCALES:-32} --compile rendering \
    --json "$run/compiled.json" || echo "compiling failed: the plan does without"
  $python -m benchmarks.plan_training "$run" --seconds "$planned" >"$run/plan" ||
    echo "--scale 16 --total 8000 --lr 6e-4 --relative 3" >"$run/plan"
  tar -cf "$out/figures.tar" -C "$run" gpu.json plain.json compiled.json plan  # at most eight files
fi
cat "$run/plan"
left=$((seconds - $(date +%s) + begun))
# shellcheck disable=SC2046  # a plan is words
$python -m svggt.train mixed "$run/slice" --bf16 --split \
  --minutes "$(awk "BEGIN {print ($left - 12) / 60}")" $(cat "$run/plan")
cp "$run/slice/log.csv" "$run"/slice/weights.safetensors.* "$out"
$python - "$run/slice/log.csv" <<'PY'
import csv, statistics, sys
rows = [r for r in csv.DictReader(open(sys.argv[1])) if None not in r.values()]
print(len(rows), "steps")
for first in range(0, len(rows), max(1, len(rows) // 12)):
    part = rows[first : first + max(1, len(rows) // 12)]
    med = {k: statistics.median(float(r[k]) for r in part) for k in part[0]}
    q = med["rotation"] / max(med["motion"], 1e-6)
    print(*(f"{k} {v:.3g}" for k, v in med.items()), f"rotation/motion {q:.3f}")
PY

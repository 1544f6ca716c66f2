#!/bin/sh
# On a machine with a CUDA card: the contract on the card, its memory checked, then the rows.
#
#   sh bench/run_on_gpu.sh [folder for the results]
#
# Needs the test and bench packages and the card's: pip install -e '.[cuda13,test,bench]'.
# compute-sanitizer comes with the CUDA toolkit; without it that step is left out, and says so.
set -eu
cd "$(dirname "$0")/.."
out=${1:-bench/results/gpu}
mkdir -p "$out"

python -c "from medkern.kernels import _cuda; reason = _cuda.available(); exit(reason)"
nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem --format=csv | tee "$out/card.csv"

echo "== the contract on the card"
python -m pytest tests -m gpu -q

if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck synccheck; do
    echo "== compute-sanitizer $tool"
    compute-sanitizer --tool "$tool" --error-exitcode 9 python -m pytest tests/test_contract.py -m gpu -q
  done
else
  echo "== compute-sanitizer is not installed: memory and races not checked on the card"
fi

echo "== rows"
python -m pytest bench/bench_kernels.py -m gpu --benchmark-enable --benchmark-json="$out/rows.json"
echo "rows in $out/rows.json"

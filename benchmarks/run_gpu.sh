#!/usr/bin/env bash
# Test and measure fastmm on a machine with an NVIDIA GPU, in under 10 minutes.
#
#   bash benchmarks/run_gpu.sh DIR [PART ...]
#
# Writes DIR/gpu-run.json and DIR/gpu-run.txt. Parts: environment tests sanitizer limits
# stages benchmarks (default: all). A part that fails does not stop the others; the exit code
# is 1 if one did. Needs a Python with fastmm's core dependencies, cupy, numba-cuda and pytest,
# and no network; fastmm runs from this checkout.
#
# Variables: PYTHON, the interpreter (python3); SIZES, full or small (full); TESTS and
# BENCHMARKS, what those parts run (tests; benchmarks/bench_*.py); SECONDS_ALLOWED, for all
# parts together (560).
set -u -o pipefail

if [ $# -lt 1 ]; then
    sed -n '2,14s/^# \{0,1\}//p' "$0"
    exit 2
fi
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
shift
wanted=" ${*:-environment tests sanitizer limits stages benchmarks} "

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
python=${PYTHON:-python3}
export SIZES=${SIZES:-full}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
export PATH="$PATH:/usr/local/cuda/bin"
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
export HYPOTHESIS_STORAGE_DIRECTORY="$work/hypothesis"
log=$work/log.txt parts=$work/parts.tsv
: >"$log"
: >"$parts"
deadline=$((SECONDS + ${SECONDS_ALLOWED:-560}))
failed=0

note() { # NAME STATE EXIT_CODE SECONDS
    printf '%s\t%s\t%s\t%s\n' "$@" >>"$parts"
    printf '== %s: %s (exit code %s, %s s)\n\n' "$@" | tee -a "$log"
}

run() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2 start=$SECONDS left=$((deadline - SECONDS)) code state=passed
    shift 2
    if [ "$left" -lt 5 ]; then
        note "$name" 'no time left' - 0
        failed=1
        return
    fi
    [ "$limit" -gt "$left" ] && limit=$left
    printf '== %s\n$ %s\n' "$name" "$*" | tee -a "$log"
    timeout --kill-after=5 "$limit" "$@" 2>&1 | tee -a "$log"
    code=${PIPESTATUS[0]}
    if [ "$code" -ne 0 ]; then
        state=FAILED
        failed=1
        [ "$code" -eq 124 ] || [ "$code" -eq 137 ] && state="FAILED: over $limit s"
    fi
    note "$name" "$state" "$code" $((SECONDS - start))
}

wants() { [[ $wanted == *" $1 "* ]]; }

no_gpu=$("$python" -c 'from fastmm._space import _cuda_fault; print(_cuda_fault() or "")' 2>&1) ||
    no_gpu="fastmm cannot be imported: $no_gpu"
[ -z "$no_gpu" ] || printf 'There is no GPU to run on: %s\n\n' "$no_gpu" | tee -a "$log"

if wants environment; then
    if command -v nvidia-smi >/dev/null; then
        run 'nvidia-smi' 30 nvidia-smi
    else
        note 'nvidia-smi' 'no GPU' - 0
    fi
    run 'environment' 60 "$python" -m fastmm.bench.machine "$work/environment.json"
fi

if wants tests; then
    options=(-o filterwarnings=default -p no:cacheprovider --continue-on-collection-errors -q)
    # The project's own options name pytest-benchmark's, which may be missing here.
    "$python" -c 'import pytest_benchmark' 2>/dev/null || options+=(-o addopts=--strict-markers)
    # Its tests run this script.
    options+=(--ignore=tests/test_benchmarks.py "--junitxml=$work/tests.xml")
    run 'tests' 200 "$python" -m pytest "${options[@]}" ${TESTS:-tests}
    [ -z "$no_gpu" ] || note 'tests on the GPU' 'no GPU' - 0
fi

if wants sanitizer; then
    for tool in memcheck racecheck initcheck synccheck; do
        if [ -n "$no_gpu" ]; then
            note "sanitizer, $tool" 'no GPU' - 0
        elif ! command -v compute-sanitizer >/dev/null; then
            note "sanitizer, $tool" 'no compute-sanitizer' - 0
        else
            check=(compute-sanitizer --tool "$tool" --error-exitcode 9 --target-processes all)
            check+=("$python" benchmarks/sanitize.py)
            run "sanitizer, $tool" 40 "${check[@]}"
            # shellcheck disable=SC2016
            run "sanitizer, $tool finds a planted fault" 25 \
                bash -c '"$@"; test $? -eq 9' planted "${check[@]}" --plant "$tool"
        fi
    done
fi

if wants limits; then
    quick=()
    [ "$SIZES" = full ] || quick=(--quick)
    run 'limits' 60 "$python" -m fastmm.bench.limits "$work/limits.json" "${quick[@]}"
    [ -z "$no_gpu" ] || note 'limits of the GPU' 'no GPU' - 0
fi

if wants stages; then
    quick=()
    [ "$SIZES" = full ] || quick=(--quick)
    run 'stages' 150 "$python" -m fastmm bench --json "$work/stages.json" "${quick[@]}"
fi

if wants benchmarks; then
    # A part for each file: one that hangs costs only its own figures. scikit-learn's ridge
    # search stays out, since it takes minutes and says nothing of the GPU.
    for file in ${BENCHMARKS:-benchmarks/bench_*.py}; do
        name=$(basename "$file" .py)
        run "$name" 120 "$python" -m pytest "$file" -q "--sizes=$SIZES" \
            -k 'not ridge_cv_sklearn' "--benchmark-json=$work/$name.json"
    done
    [ -z "$no_gpu" ] || note 'benchmarks on the GPU' 'no GPU' - 0
fi

if ! "$python" benchmarks/summary.py --combine "$work" "$out/gpu-run.json" "$out/gpu-run.txt"; then
    failed=1
    cp "$log" "$out/gpu-run.txt"
    awk -F '\t' 'BEGIN { printf "{\"parts\": [" }
        { printf "%s{\"part\": \"%s\", \"state\": \"%s\", \"exit_code\": \"%s\", \"seconds\": %s}",
          (NR > 1 ? ", " : ""), $1, $2, $3, $4 }
        END { print "]}" }' "$parts" >"$out/gpu-run.json"
fi
printf 'Wrote %s and %s\n' "$out/gpu-run.json" "$out/gpu-run.txt"
exit "$failed"

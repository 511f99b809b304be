#!/usr/bin/env bash
# Test and measure fastmm on a machine with an NVIDIA GPU, in under 10 minutes.
#
#   bash benchmarks/run_gpu.sh DIR [PART ...]
#
# Writes DIR/gpu-run.json and DIR/gpu-run.txt, anew after each part, so that what was measured
# is there whatever ends the run. Parts: environment tests sanitizer alone limits stages
# benchmarks others (default: all). A part that fails does not stop the others; the exit
# code is 1 if one did. Needs a Python with fastmm's core dependencies, cupy, numba-cuda and
# pytest, and no network; fastmm runs from this checkout.
#
# With a GPU, `tests` are those marked gpu, beside the sanitizer. `alone`, those that want all of
# its memory, and all that is timed come after, one by one; `others`, the tests that need no GPU,
# take what time is left. Without one, `tests` are all, and what needs a GPU is noted as refused.
#
# Variables: PYTHON, the interpreter (python3); SIZES, full or small (full); TESTS and
# BENCHMARKS, what those parts run (tests; benchmarks/bench_*.py); SECONDS_ALLOWED, for all
# parts together (560).
set -u -o pipefail

if [ $# -lt 1 ]; then
    sed -n '2,20s/^# \{0,1\}//p' "$0"
    exit 2
fi
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
shift
wanted=" ${*:-environment tests sanitizer alone limits stages benchmarks others} "

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
    gather || cp "$log" "$out/gpu-run.txt"
}

gather() { # what there is so far
    "$python" benchmarks/gpu_record.py "$work" "$work/run.json" "$work/run.txt" 2>/dev/null &&
        mv "$work/run.json" "$out/gpu-run.json" && mv "$work/run.txt" "$out/gpu-run.txt"
}

# SIGINT, since pytest then still writes what it found.
limited=(timeout --signal=INT --kill-after=25)
most_log=40000 # bytes that one part may add to the text

has_time() { # NAME LIMIT; sets `limit`
    local left=$((deadline - SECONDS))
    limit=$2
    if [ "$left" -lt 5 ]; then
        note "$1" 'no time left' - 0
        failed=1
        return 1
    fi
    [ "$limit" -le "$left" ] || limit=$left
}

judge() { # NAME LIMIT EXIT_CODE SECONDS
    local state=passed
    if [ "$3" -ne 0 ]; then
        state=FAILED
        failed=1
        [ "$3" -eq 124 ] || [ "$3" -eq 137 ] && state="FAILED: over $2 s"
    fi
    note "$1" "$state" "$3" "$4"
}

run() { # NAME SECONDS COMMAND...
    local limit start=$SECONDS name=$1 code
    has_time "$name" "$2" || return
    shift 2
    printf '== %s\n$ %s\n' "$name" "$*" | tee -a "$log"
    "${limited[@]}" "$limit" "$@" 2>&1 | tail -c "$most_log" | tee -a "$log"
    code=${PIPESTATUS[0]}
    judge "$name" "$limit" "$code" $((SECONDS - start))
}

jobs=()
start() { # NAME SECONDS COMMAND...: beside others, until `finish`
    local limit name=$1 job=$work/job-${#jobs[@]}
    has_time "$name" "$2" || return
    shift 2
    jobs+=("$name")
    printf '%s\n' "$limit" >"$job.limit"
    (
        trap - INT # which a job in the background would ignore
        SECONDS=0
        printf '$ %s\n' "$*" >"$job.log"
        "${limited[@]}" "$limit" "$@" >>"$job.log" 2>&1
        printf '%s %s\n' $? "$SECONDS" >"$job.end"
    ) &
}

finish() { # what was started
    local i code seconds
    wait
    for i in "${!jobs[@]}"; do
        printf '== %s\n' "${jobs[i]}" | tee -a "$log"
        tail -c "$most_log" "$work/job-$i.log" | tee -a "$log"
        read -r code seconds <"$work/job-$i.end" || { code=1 seconds=0; }
        judge "${jobs[i]}" "$(cat "$work/job-$i.limit")" "$code" "$seconds"
    done
    jobs=()
}

wants() { [[ $wanted == *" $1 "* ]]; }

# Its last line alone: libraries may warn, which is no fault.
no_gpu=$("$python" -c 'from fastmm._space import _cuda_fault; print(_cuda_fault() or "")' \
    2>"$work/import.txt" | tail -n 1) ||
    no_gpu="fastmm cannot be imported: $(tail -n 1 "$work/import.txt")"
[ -z "$no_gpu" ] || printf 'There is no GPU to run on: %s\n\n' "$no_gpu" | tee -a "$log"

if wants environment; then
    if command -v nvidia-smi >/dev/null; then
        run 'nvidia-smi' 30 nvidia-smi
    else
        note 'nvidia-smi' 'no GPU' - 0
    fi
    run 'environment' 60 "$python" -m fastmm.bench.machine "$work/environment.json"
fi

options=(-o filterwarnings=default -p no:cacheprovider --continue-on-collection-errors -q)
# The project's own options name pytest-benchmark's, which may be missing here.
"$python" -c 'import pytest_benchmark' 2>/dev/null || options+=(-o addopts=--strict-markers)
# They run this script, or benchmarks.
options+=(--ignore=tests/test_benchmarks.py --ignore=tests/test_run_gpu.py)
workers() { # SHARE of the cores; pytest-xdist may be missing
    "$python" -c 'import xdist' 2>/dev/null && echo "-n $(($(nproc) / $1 + 1)) --dist worksteal"
}
if wants tests; then
    if [ -n "$no_gpu" ]; then
        run 'tests' 200 "$python" -m pytest "${options[@]}" "--junitxml=$work/tests.xml" \
            ${TESTS:-tests}
        note 'tests on the GPU' 'no GPU' - 0
    else
        # shellcheck disable=SC2046
        start 'tests on the GPU' 200 "$python" -m pytest "${options[@]}" -m gpu $(workers 2) \
            --ignore=tests/test_on_gpu.py "--junitxml=$work/gpu-tests.xml" ${TESTS:-tests}
    fi
fi

if wants sanitizer; then
    for tool in memcheck racecheck initcheck synccheck; do
        if [ -n "$no_gpu" ]; then
            note "sanitizer, $tool" 'no GPU' - 0
        elif ! command -v compute-sanitizer >/dev/null; then
            note "sanitizer, $tool" 'no compute-sanitizer' - 0
        else
            check=(compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 10)
            # Libraries try calls that may fail, and catch it.
            check+=(--report-api-errors no)
            # Only fastmm's kernels; but initcheck has to see who wrote what they read.
            mine=(--kernel-name kernel_substring=fastmm7kernels)
            [ "$tool" = initcheck ] && mine=()
            start "sanitizer, $tool" 200 \
                "${check[@]}" "${mine[@]}" "$python" benchmarks/sanitize.py
            # shellcheck disable=SC2016
            start "sanitizer, $tool finds a planted fault" 60 bash -c '"$@"; test $? -eq 9' \
                planted "${check[@]}" "$python" benchmarks/sanitize.py --plant "$tool"
        fi
    done
fi
finish

if wants alone && [ -z "$no_gpu" ]; then
    run 'tests alone on the GPU' 120 "$python" -m pytest "${options[@]}" \
        "--junitxml=$work/alone-tests.xml" tests/test_on_gpu.py
fi

if wants limits; then
    quick=()
    [ "$SIZES" = full ] || quick=(--quick)
    run 'limits' 60 "$python" -m fastmm.bench.limits "$work/limits.json" "${quick[@]}"
    if [ -n "$no_gpu" ]; then
        note 'limits of the GPU' 'no GPU' - 0
        note 'launches' 'no GPU' - 0
    else
        run 'launches' 60 "$python" benchmarks/launching.py "$work/launches.json"
    fi
fi

if wants stages; then
    quick=()
    [ "$SIZES" = full ] || quick=(--quick)
    [ -n "$no_gpu" ] || quick+=(--device cuda)
    run 'stages' 150 "$python" -m fastmm bench --json "$work/stages.json" "${quick[@]}"
fi

if wants benchmarks; then
    # A part for each file: one that hangs costs only its own figures. scikit-learn's ridge
    # search stays out, since it takes minutes and says nothing of the GPU.
    marked=()
    [ -n "$no_gpu" ] || marked=(-m gpu)
    for file in ${BENCHMARKS:-benchmarks/bench_*.py}; do
        if [ -z "$no_gpu" ] && ! grep -qE '\b(arrays|torch_from)\b' "$file"; then
            continue # nothing in it runs on a GPU
        fi
        name=$(basename "$file" .py)
        run "$name" 60 "$python" -m pytest "$file" -q "--sizes=$SIZES" "${marked[@]}" \
            -k 'not ridge_cv_sklearn' "--benchmark-json=$work/$name.json"
    done
    [ -z "$no_gpu" ] || note 'benchmarks on the GPU' 'no GPU' - 0
fi

if wants others && [ -z "$no_gpu" ]; then
    # shellcheck disable=SC2046
    run 'tests' 300 "$python" -m pytest "${options[@]}" -m 'not gpu' $(workers 1) \
        "--junitxml=$work/tests.xml" ${TESTS:-tests}
fi

if ! gather; then
    failed=1
    cp "$log" "$out/gpu-run.txt"
    awk -F '\t' 'BEGIN { printf "{\"parts\": [" }
        { printf "%s{\"part\": \"%s\", \"state\": \"%s\", \"exit_code\": \"%s\", \"seconds\": %s}",
          (NR > 1 ? ", " : ""), $1, $2, $3, $4 }
        END { print "]}" }' "$parts" >"$out/gpu-run.json"
fi
printf 'Wrote %s and %s\n' "$out/gpu-run.json" "$out/gpu-run.txt"
exit "$failed"

#!/usr/bin/env bash
# One job under Slurm: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, PYTHON may be set. GPUS=0 trains on CPUs (TASKS processes).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# the environment that make creates, unless PYTHON names another
python=${PYTHON:-$([ -x "$here/../.venv/bin/python" ] && echo "$here/../.venv/bin/python" || echo python)}
[ $# -ge 4 ] || { echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]" >&2; exit 2; }
partition=$1; job=$2; config=$3; work_dir=$4; shift 4
gpus=${GPUS:-8}; per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
if [ "$gpus" -gt 0 ]; then
    resources=(--gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node")
else
    resources=(--ntasks="${TASKS:-2}")
fi
# SRUN_ARGS is split into words on purpose
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job" "${resources[@]}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "$python" -u "$here/train.py" "$config" \
    --work-dir "$work_dir" --launcher slurm "$@"

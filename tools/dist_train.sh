#!/usr/bin/env bash
# Several processes on one machine or more: tools/dist_train.sh CONFIG NUM_PROCESSES [arguments]
# NNODES, NODE_RANK, PORT, MASTER_ADDR, PYTHON may be set. Without CUDA the processes use gloo.
# One machine takes a free port unless PORT names one. MMSEG_EXT_TIMEOUT: seconds until processes that
# wait for one that is stopped or gone end (600).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# the environment that make creates, unless PYTHON names another
python=${PYTHON:-$([ -x "$here/../.venv/bin/python" ] && echo "$here/../.venv/bin/python" || echo python)}
[ $# -ge 2 ] || { echo "usage: $0 CONFIG NUM_PROCESSES [arguments of tools/train.py]" >&2; exit 2; }
config=$1; processes=$2; shift 2
torchrun=$here/../mmseg_ext/engine/torchrun.py  # of a checkout; an installation has it elsewhere
[ -f "$torchrun" ] || torchrun=$here/../../engine/torchrun.py
if [ -z "${PORT:-}" ] && [ "${NNODES:-1}" = 1 ]; then
    meeting=(--standalone)
else
    meeting=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}"
             --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi
exec "$python" "$torchrun" "${meeting[@]}" --nproc_per_node="$processes" \
    "$here/train.py" "$config" --launcher pytorch "$@"

#!/usr/bin/env bash
# Everything that needs a GPU: bench/gpu.sh (see bench/gpu.py). Needs what `pip install ".[cuda13,test]"` installs, less
# the browsers and databases; the checkout itself need not be installed. PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 "${PYTHON:-python3}" bench/gpu.py "$@"

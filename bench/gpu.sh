#!/usr/bin/env bash
# Everything that needs a GPU: bench/gpu.sh (see bench/gpu.py). Needs Python 3.11+, CuPy 14, NumPy, SciPy, pyarrow and
# pytest; no network, no installation. PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

# A checkout that is not installed has no metadata for gpu_var to read its version from.
metadata=$(mktemp -d)
trap 'rm -rf "$metadata"' EXIT
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -1)
mkdir "$metadata/gpu_var-$version.dist-info"
printf 'Metadata-Version: 2.1\nName: gpu-var\nVersion: %s\n' "$version" >"$metadata/gpu_var-$version.dist-info/METADATA"

PYTHONPATH="$PWD:$metadata${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 "${PYTHON:-python3}" bench/gpu.py "$@"

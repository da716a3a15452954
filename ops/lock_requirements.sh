#!/bin/sh
# Rewrite requirements.lock from the ranges in pyproject.toml, every extra included: exact versions and hashes, and no
# address of any package source. pyproject.toml is the only place where a dependency is named; tests/test_packaging.py
# compares it with the lock. With KEEP=1 the versions of the present lock stay where the ranges allow them.
set -eu
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
.venv/bin/python -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet pip-tools
if [ -n "${KEEP:-}" ]; then cp requirements.lock "$tools/lock"; fi
"$tools/venv/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --all-extras \
    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links "$@" --output-file "$tools/lock" pyproject.toml
{
    echo "# Exact versions and hashes of everything installed into .venv; made by 'make lock' from pyproject.toml."
    grep -v "^# Exact versions" "$tools/lock"
} >requirements.lock
if grep -nE '(https?|file)://' requirements.lock; then
    echo "requirements.lock names an address; it must not." >&2
    exit 1
fi

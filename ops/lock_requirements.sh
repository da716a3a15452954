#!/bin/sh
# Rewrite requirements.lock from requirements-dev.in: exact versions and hashes, and no address of any package source.
set -eu
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
.venv/bin/python -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet pip-tools
"$tools/venv/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links "$@" --output-file "$tools/lock" requirements-dev.in
{
    echo "# Exact versions and hashes of everything installed into .venv; made by 'make lock' from requirements-dev.in."
    cat "$tools/lock"
} >requirements.lock
if grep -nE '(https?|file)://' requirements.lock; then
    echo "requirements.lock names an address; it must not." >&2
    exit 1
fi

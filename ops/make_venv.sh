#!/bin/sh
# Make or update the virtual environment $1 with exactly the packages of requirements.lock, each checked by its hash.
set -eu
venv=$1

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=""
for candidate in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
    if is_new_enough "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null || echo "no python3")
    echo "Python 3.11 or newer is needed; found: $found." >&2
    echo "Install it, or say where it is: make PYTHON=/path/to/python3.11 ..." >&2
    exit 2
fi

if [ -x "$venv/bin/python" ] && ! is_new_enough "$venv/bin/python"; then
    echo "$venv was made by an older Python; making it anew" >&2
    rm -rf "$venv"
fi
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "making $venv with $("$python" --version)" >&2
    if ! "$python" -m venv --clear "$venv"; then
        echo "$python cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)." >&2
        exit 2
    fi
fi
echo "installing the locked packages into $venv (about 120 MB on the first run)" >&2
if ! "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar on --require-hashes --no-deps \
    --only-binary :all: -r requirements.lock >"$venv/install.log" 2>&1; then
    tail -n 20 "$venv/install.log" >&2
    echo "The packages could not be installed (all of it: $venv/install.log). Is this machine connected?" >&2
    exit 3
fi

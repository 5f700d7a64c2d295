#!/usr/bin/env bash
# Everything from one command: set up what is needed, then make the figures, run the tests, or open JupyterLab.
set -euo pipefail
case ${MEMLIB_DATA:-/} in /*) ;; *) export MEMLIB_DATA=$PWD/$MEMLIB_DATA ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'TEXT'
Usage: ./run_all.sh [reproduce] [options]   make every figure and check every claim (the default)
       ./run_all.sh redraw [options]        draw the figures again from their committed tables, without any data set
       ./run_all.sh test [--quick]          check style and types, run the tests, and check the notebooks' output
       ./run_all.sh lab [options]           open JupyterLab in notebooks/; the options are JupyterLab's

Options of reproduce:
  --preset smoke|paper   smoke (default): offline, minutes. paper: CIFAR-10, hours; see MEMLIB_DATA
  --only 05              one notebook, by the start of its name
  --jobs N               worker processes of a notebook
  --together N           notebooks at a time. Default: 1; smoke: as many as cores and memory allow, without workers
  --scheduler ADDRESS    a running Dask cluster, such as tcp://10.0.0.1:8786, instead of local processes
  --fresh                run notebooks again that are up to date
  -p NAME=VALUE          change a parameter of the notebooks; needs -p preset=NAME, the folder of its results
  --keep-outputs         smoke only: keep the outputs in notebooks/ too

Options of redraw:
  --preset paper|smoke   folder in figures/ (default: paper)
  --only 05              only figures whose name starts so

Options of test:
  --quick                under 2 minutes on two cores: leaves out the notebooks and each test marked as slow,
                         which is one that takes more than a second

The command uses the active virtual or conda environment, except conda's base. Without one it uses .venv in this
folder, and makes that from Python 3.11 or newer if it is missing. It installs the packages of requirements.lock there
once, and again when that file changes.

Notebook 11 needs ngspice (Debian, Ubuntu: apt-get install ngspice; conda: conda install -c conda-forge ngspice).
Without ngspice, the notebook and its tests are skipped, with a note.

MEMLIB_DATA   a folder that holds CIFAR-10. Without it, the paper preset downloads CIFAR-10 into data/
TEXT
}

die() { # exit code, words of the message
    local code=$1
    shift
    printf 'run_all.sh: %s\n' "$*" >&2
    exit "$code"
}

recent_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

version_of() {
    "$1" -c 'import platform; print("Python", platform.python_version())' 2>/dev/null || echo "no working Python"
}

make_venv() {
    local candidate found=""
    for candidate in python3.11 python3.12 python3.13 python3; do
        if recent_enough "$candidate"; then
            echo "Making the virtual environment .venv with $(version_of "$candidate") (seconds)."
            "$candidate" -m venv --clear .venv ||
                die 1 "$candidate could not make a virtual environment; on Debian or Ubuntu, install its venv package"
            return
        fi
        if "$candidate" --version >/dev/null 2>&1; then found+=" $candidate is $(version_of "$candidate")."; fi
    done
    die 1 "Python 3.11 or newer is needed; found:${found:- none.} Install it, or activate an environment that has it."
}

# Sets `python` to the interpreter of the active environment, else to that of .venv.
choose_python() {
    local environment=""
    if [[ -n ${VIRTUAL_ENV:-} ]]; then
        environment=$VIRTUAL_ENV
    elif [[ -n ${CONDA_PREFIX:-} && ${CONDA_DEFAULT_ENV:-} != base ]]; then
        environment=$CONDA_PREFIX
    fi
    python=${environment:-$PWD/.venv}/bin/python
    if [[ -n $environment ]]; then
        recent_enough "$python" ||
            die 1 "the active environment $environment has $(version_of "$python"); 3.11 or newer is needed." \
                "Activate another environment, or none."
    elif ! recent_enough "$python"; then
        make_venv
    fi
}

# Installs the locked packages, unless the stamp says that this was done. The stamp is written last.
set_up() {
    local environment stamp wanted begun=$SECONDS
    environment=$("$python" -c 'import sys; print(sys.prefix)')
    stamp=$environment/.memlib-setup
    wanted=$("$python" -c '
import hashlib, pathlib, sys
parts = [sys.argv[1].encode(), *(pathlib.Path(name).read_bytes() for name in sys.argv[2:])]
print(hashlib.sha256(b"".join(parts)).hexdigest())' "$PWD" requirements.lock pyproject.toml)
    if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then return; fi
    rm -f "$stamp"
    echo "Installing the packages of requirements.lock into $environment (1 to 15 minutes, up to several GB)."
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null ||
        die 1 "the environment $environment has no pip; install pip there"
    pip_install -r requirements.lock
    pip_install --no-deps -e .
    "$python" -m memlib.zoo.torchvision_import
    echo "$wanted" >"$stamp"
    echo "The environment is ready after $(elapsed)."
}

elapsed() { # since `begun`
    local seconds=$((SECONDS - begun))
    if ((seconds < 60)); then echo "$seconds s"; else echo "$((seconds / 60)) min $((seconds % 60)) s"; fi
}

pip_install() {
    PYTHONUNBUFFERED=1 PIP_ROOT_USER_ACTION=ignore \
        "$python" -m pip install --progress-bar off --disable-pip-version-check "$@" 2>&1 | show_pip ||
        die 1 "pip could not install the packages; its message stands above. Check the network, the free disk space" \
            "and the Python version (the lock file was made on 3.11), then give the same command again."
}

# Says what pip does now and for how long: on a terminal in one line that moves, elsewhere in a line every 30 seconds.
# Passes on the errors, and drops the warnings.
show_pip() {
    local piece line="" status now="Starting pip" asked=0 total=0 before next=$((SECONDS + 30)) clear=""
    before=$(count_installed)
    if [[ -t 1 && ${TERM:-dumb} != dumb && -z ${NO_COLOR:-} ]]; then clear=$'\r\e[K'; fi
    while true; do
        IFS= read -r -t 1 piece && status=0 || status=$?
        if ((status > 0 && status <= 128)); then break; fi # over 128: the second is over, and the line may not be
        line+=$piece
        if ((status == 0)); then
            read_pip
            line=""
        fi
        if ((total)); then now="Installing packages, $(($(count_installed) - before)) of $total done"; fi
        if [[ $clear ]]; then
            piece="$now ($(elapsed))"
            printf '%s%s' "$clear" "${piece:0:79}"
        elif ((SECONDS >= next)); then
            echo "$now ($(elapsed))"
            next=$((SECONDS + 30))
        fi
    done
    printf '%s' "$clear"
}

read_pip() { # a line of pip's, for show_pip
    local name
    case $line in
        "Collecting "* | "Processing "* | "Requirement already satisfied: "*)
            name=${line#*satisfied: } name=${name#*ing } name=${name%% *} name=${name##*/} asked=$((asked + 1))
            now="Collecting package $asked: ${name%%[=-][0-9=]*}"
            ;;
        " "*"Downloading "*)
            name=${line##*Downloading } name=${name##*/}
            now="Downloading ${name%%-[cp]*} (${line##*\(}"
            ;;
        "WARNING: Retrying "*) now="The package index does not answer; pip tries again" ;;
        "Installing collected packages: "*) name=${line//[^,]/} total=$((${#name} + 1)) ;;
        "" | " "* | "WARNING: "* | "Looking in "* | "Obtaining "* | "Building "* | "Successfully "*) ;;
        *) printf '%s%s\n' "$clear" "$line" ;;
    esac
}

count_installed() {
    local packages=("$environment"/lib/python3.*/site-packages/*.dist-info)
    echo ${#packages[@]}
}

run_tests() {
    "$python" -m ruff check .
    "$python" -m ruff format --check .
    "$python" -m mypy
    # one process with one thread for each core, and no more of them than the memory of most machines holds
    export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
    local pytest=("$python" -m pytest -n auto --maxprocesses 8)
    unset PYTHONDONTWRITEBYTECODE # which images of containers set; a hundred processes would compile the package
    if [[ ${1:-} == --quick ]]; then exec "${pytest[@]}" -p no:nbval -m "not slow"; fi
    "${pytest[@]}" -p no:nbval # which takes a second to import
    # the notebooks write to a folder of their own here, and their tables must agree with the committed ones
    rm -rf results/.check && mkdir -p results/.check
    MEMLIB_JOBS=1 MEMLIB_ROOT=$PWD/results/.check "${pytest[@]}" --dist loadfile --nbval-lax \
        --nbval-current-env --nbval-cell-timeout=600 --nbval-sanitize-with=tests/nbval_sanitize.cfg notebooks
    "$python" -m memlib.artifact.table_agreement figures/smoke results/.check/figures/smoke
}

command=reproduce
case ${1:-} in
    -h | --help | help) usage && exit ;;
    reproduce | redraw | test | lab) command=$1 && shift ;;
    "" | -*) ;;
    *) die 2 "unknown command '$1'; allowed: reproduce (the default), redraw, test, lab; ./run_all.sh --help explains them" ;;
esac
if [[ $command != lab && " $* " == *\ @(-h|--help)\ * ]]; then usage && exit; fi
if [[ $command == test && $# -gt 0 && $* != --quick ]]; then die 2 "test takes --quick or no option, found: $*"; fi

# glibc would give freed memory back to the system after every layer, and runs would take 1.1 to 1.3 times as long
export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-1073741824}"
export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-4294967296}"
export MALLOC_TOP_PAD_="${MALLOC_TOP_PAD_:-67108864}"
export PYDEVD_DISABLE_FILE_VALIDATION=1 # no warning of the debugger at every start of a kernel

if [[ ! -w ${HOME:-} ]]; then # as on some clusters: these programs would fail, or warn in each process
    for folder in JUPYTER_CONFIG_DIR JUPYTER_DATA_DIR IPYTHONDIR MPLCONFIGDIR; do
        export "$folder=$PWD/results/.home/$folder"
        mkdir -p "${!folder}"
    done
fi

choose_python
set_up
case $command in
    reproduce) exec "$python" -m memlib.artifact.runner "$@" ;;
    redraw) exec "$python" -m memlib.artifact.redraw "$@" ;;
    test) run_tests "$@" ;;
    lab)
        [[ -d notebooks ]] || die 1 "there is no folder notebooks/ here"
        cd notebooks
        exec "$python" -m jupyterlab "$@"
        ;;
esac

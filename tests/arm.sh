#!/usr/bin/env bash
# arm.sh WHEEL [TEST…]: the tests of the kernels with a wheel for arm64 on Linux, under qemu's user mode: make arm
# It needs root, mmdebstrap and pip. CPU=neoverse-v1 is another processor than the default, WORK the folder of the system.
set -euo pipefail
wheel=$(realpath "$1"); shift
here=$(dirname "$(dirname "$(realpath "$0")")")
work=${WORK:-/tmp/fastbp-arm}; root=$work/root; site=$root/opt/site; mkdir -p "$work"
python=python3.13; version=313

# Packages are unpacked and nothing of them is run, so the root of another architecture takes seconds.
unpacked() { mmdebstrap --quiet --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' "$@"; }
mirror=$(grep -hoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null | head -n 1 | tr -d ' ' || true)
qemu=$work/qemu/usr/bin/qemu-aarch64
# shellcheck disable=SC2086  # without a mirror, there is no argument
[ -x "$qemu" ] || unpacked --include=qemu-user trixie "$work/qemu" $mirror
if [ ! -x "$root/usr/bin/$python" ]; then
  # shellcheck disable=SC2086
  unpacked --architectures=arm64 --include=libc6,libstdc++6,libgcc-s1,zlib1g,libexpat1,$python-minimal,lib$python-minimal,lib$python-stdlib \
    trixie "$root" $mirror
  [ -e "$root/lib" ] || ln -s usr/lib "$root/lib"
fi
arm_pip() {
  "${PYTHON:-python3}" -m pip install --quiet --target "$site" --only-binary=:all: --implementation cp --python-version $version \
    --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 "$@"
}
[ -d "$site/hypothesis" ] || arm_pip numpy numba pytest pytest-timeout hypothesis
rm -rf "$site"/fastbp*; arm_pip --no-deps "$wheel"

# The tests without the sources, so that they test the wheel.
rm -rf "$work/src"; mkdir "$work/src"; cp -r "$here/tests" "$here/pyproject.toml" "$work/src"
cd "$work/src"
export PYTHONHOME=$root/usr PYTHONPATH=$site NUMBA_CACHE_DIR=$work/cache FASTBP_CACHE_DIR=$work/kernels
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE  # names of x86's kernels
arm() { nice -n 10 "$qemu" -cpu "${CPU:-neoverse-n1}" -L "$root" "$root/usr/bin/$python" "$@"; }
arm -m fastbp info | sed -n '/^processor/,$p'
# By default those that run whole kernels. Others compile parts of them with Numba, which is slow here.
[ $# -gt 0 ] || set -- tests/_kernels/test_{epoch,gradients,small}.py tests/test_engine.py
arm -m pytest -q --timeout 1200 -p no:cacheprovider "$@"

#!/usr/bin/env bash
# Installs the Debian packages that the tests compile with (C compilers, for the resolvers of glibc and musl and the race
# detector). Does nothing where they are there, where this is no Debian, or without root. The embedded cluster installs
# its own (bin/cluster install-deps).
set -euo pipefail
missing=()
for pair in gcc:gcc musl-gcc:musl-tools curl:curl jq:jq; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ "${#missing[@]}" = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "test: not installed, and this is not root on Debian: ${missing[*]}; tests that need them say so" >&2
  exit 0
fi
echo "test: installing ${missing[*]}" >&2
apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" libc6-dev >/dev/null

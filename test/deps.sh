#!/usr/bin/env bash
# Installs the Debian packages that the tests compile with (C compilers, for the resolvers of glibc and musl and the race
# detector). Does nothing where they are there, where this is no Debian, or without root. The embedded cluster installs
# its own (bin/cluster install-deps). With the argument chromium: the browser, and nothing else; with ruby: that alone.
set -euo pipefail
missing=()
pairs=(gcc:gcc musl-gcc:musl-tools curl:curl jq:jq)
libraries=(libc6-dev)
if [ "${1:-}" = chromium ]; then
  for name in chromium-browser google-chrome; do # which will do as well
    if command -v "$name" >/dev/null; then exit 0; fi
  done
  pairs=(chromium:chromium)
  libraries=(fonts-dejavu-core)
fi
if [ "${1:-}" = ruby ]; then
  pairs=(ruby:ruby)
  libraries=()
fi
for pair in "${pairs[@]}"; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ "${#missing[@]}" = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "test: not installed, and this is not root on Debian: ${missing[*]}; tests that need them say so" >&2
  exit 0
fi
echo "test: installing ${missing[*]}" >&2
apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" "${libraries[@]}" >/dev/null

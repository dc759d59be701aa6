#!/usr/bin/env bash
# Two snapshots of HEAD, from clones in different folders, one with another umask and time zone and without a remote:
# equal to the byte.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build() { # folder umask zone
  (cd "$work/$1" && umask "$2" && TZ=$3 make --no-print-directory snapshot >"$work/$(basename "$1").log" 2>&1) ||
    { tail -30 "$work/$(basename "$1").log"; exit 1; }
  (cd "$work/$1" && sha256sum plugins/*.yaml && cd dist && find . -maxdepth 1 \( -name '*.tar.gz' -o -name '*.zip' -o -name '*.cdx.json' -o -name checksums.txt \) -print0 | sort -z | xargs -0 sha256sum) >"$work/$(basename "$1").sums"
}
git clone -q . "$work/one"
build one 022 UTC
git clone -q . "$work/some/where/else/two"
git -C "$work/some/where/else/two" remote remove origin
build some/where/else/two 077 Asia/Tokyo
[ "$(wc -l <"$work/one.sums")" -ge 10 ] || { echo "repro: too little was built" >&2; exit 1; }
diff "$work/one.sums" "$work/two.sums" || { echo "repro: the two snapshots differ" >&2; exit 1; }
echo "repro: $(wc -l <"$work/one.sums") files are equal in both snapshots"

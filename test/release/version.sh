#!/usr/bin/env bash
# Prints what a build of this tree is called, as shell assignments:
#   RELEASE_VERSION  the newest heading of docs/CHANGELOG.md, with -dirty where the tree differs from its commit
#   RELEASE_COMMIT   the last commit that changed anything but plugins/*.yaml: those hold the archives' checksums, so
#                    a commit that only writes them must not change the archives
#   RELEASE_DATE, RELEASE_EPOCH   that commit's time, for every time stamp inside an archive
# Outside a git repository all of them must be set by the caller.
set -euo pipefail
cd "$(dirname "$0")/../.."
built=(. ':(exclude,glob)plugins/*.yaml')
if git rev-parse --git-dir >/dev/null 2>&1; then
  if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
    echo "version: a shallow clone may name the wrong commit: fetch the whole history for a release" >&2
  fi
  : "${RELEASE_VERSION:=$(grep -m1 -oE '^## v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?' docs/CHANGELOG.md | cut -d' ' -f2)}"
  [ -z "$(git status --porcelain -- "${built[@]}")" ] || RELEASE_VERSION=$RELEASE_VERSION-dirty
  : "${RELEASE_COMMIT:=$(git log -1 --format=%H -- "${built[@]}")}"
  : "${RELEASE_EPOCH:=$(git log -1 --format=%ct "$RELEASE_COMMIT")}"
fi
: "${RELEASE_VERSION:?not a git repository: set it}" "${RELEASE_COMMIT:?not a git repository: set it}" "${RELEASE_EPOCH:?not a git repository: set it}"
cat <<END
RELEASE_VERSION=$RELEASE_VERSION
RELEASE_COMMIT=$RELEASE_COMMIT
RELEASE_EPOCH=$RELEASE_EPOCH
RELEASE_DATE=$(date -u -d "@$RELEASE_EPOCH" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$RELEASE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
END

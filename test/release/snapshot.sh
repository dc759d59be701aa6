#!/usr/bin/env bash
# Builds what a release publishes: dist/ and plugins/. GORELEASER is the command to run; arguments are
# goreleaser's (none: a snapshot). SNAPSHOT_DIR puts both folders elsewhere, and SNAPSHOT_PLATFORM (linux/amd64) builds
# for one platform: by the same configuration, for the tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 022
assignments=$(./test/release/version.sh)
work=$(mktemp -d)
mkdir -p bin
completion=$(mktemp -d bin/completion.XXXXXX) # within the repository: goreleaser archives no other files
trap 'rm -rf "$work" "$completion"' EXIT
set -a
eval "$assignments"
# goreleaser calls everything v0.0.0 in a repository without a tag or a remote; both are given here and written nowhere.
GORELEASER_CURRENT_TAG=$RELEASE_VERSION
if ! git remote get-url origin >/dev/null 2>&1; then
  GIT_CONFIG_COUNT=1
  GIT_CONFIG_KEY_0=remote.origin.url
  GIT_CONFIG_VALUE_0=https://github.com/kubectl-runbooks/kubectl-runbooks.git
fi
PATH=$work:$PATH
RELEASE_COMPLETION=$completion
set +a
# The files that kubectl completes the arguments of a plugin with.
for folder in cmd/kubectl-*; do
  name=${folder#cmd/kubectl-}
  printf '#!/bin/sh\nexec kubectl %s __complete "$@"\n' "$name" >"$RELEASE_COMPLETION/kubectl_complete-${name//-/_}"
  chmod 0755 "$RELEASE_COMPLETION/kubectl_complete-${name//-/_}"
done
CGO_ENABLED=0 go build -trimpath -o "$work/runbooks-sbom" ./test/release/sbom
out=${SNAPSHOT_DIR:-.}
config=.goreleaser.yaml
if [ "$out" != . ] || [ -n "${SNAPSHOT_PLATFORM:-}" ]; then
  config=$work/goreleaser.yaml
  { cat .goreleaser.yaml; echo "dist: $out/dist"; } >"$config"
fi
if [ -n "${SNAPSHOT_PLATFORM:-}" ]; then
  sed -i.all -e "s|^\( *goos:\) \[.*|\1 [${SNAPSHOT_PLATFORM%/*}]|" -e "s|^\( *goarch:\) \[.*|\1 [${SNAPSHOT_PLATFORM#*/}]|" "$config"
fi
if [ $# = 0 ]; then
  set -- release --snapshot --clean --skip=sign --timeout=2h
fi
$GORELEASER "$@" --config "$config"
# The container image, of the programs for Linux that were built.
if compgen -G "$out/dist/runbooks_linux_*" >/dev/null; then
  CGO_ENABLED=0 go -C test/release/image build -trimpath -o "$work/image" .
  "$work/image" -dist "$out/dist" -version "$RELEASE_VERSION" -commit "$RELEASE_COMMIT" -epoch "$RELEASE_EPOCH" \
    -out "$out/dist/kubectl-runbooks_${RELEASE_VERSION}_image.tar"
fi
# A manifest says in its first line where its checksums come from.
mkdir -p "$out/plugins"
for manifest in "$out"/dist/krew/*.yaml; do
  {
    echo "# Checksums of what \`make snapshot\` builds from commit $RELEASE_COMMIT with $(go env GOVERSION). See docs/releasing.md."
    grep -v '^#' "$manifest"
  } >"$work/manifest"
  cp "$work/manifest" "$manifest"
  cp "$work/manifest" "$out/plugins/$(basename "$manifest")"
done
echo "built $RELEASE_VERSION: $(find "$out/dist" -maxdepth 1 \( -name '*.tar.gz' -o -name '*.zip' \) | wc -l) archives in $out/dist/, manifests in $out/plugins/" >&2

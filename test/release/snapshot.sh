#!/usr/bin/env bash
# Builds what a release publishes into dist/, and writes krew-manifests/. GORELEASER is the command to run; arguments
# are goreleaser's (none: a snapshot).
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 022
assignments=$(./test/release/version.sh)
set -a
eval "$assignments"
# goreleaser calls everything v0.0.0 in a repository without a tag or a remote; both are given here and written nowhere.
GORELEASER_CURRENT_TAG=$RELEASE_VERSION
if ! git remote get-url origin >/dev/null 2>&1; then
  GIT_CONFIG_COUNT=1
  GIT_CONFIG_KEY_0=remote.origin.url
  GIT_CONFIG_VALUE_0=https://github.com/kubectl-runbooks/kubectl-runbooks.git
fi
set +a
CGO_ENABLED=0 go build -trimpath -o bin/sbom ./test/release/sbom
if [ $# = 0 ]; then
  set -- release --snapshot --clean --skip=sign --timeout=2h
fi
$GORELEASER "$@"
for manifest in dist/krew/*.yaml; do
  {
    echo "# Checksums of what \`make snapshot\` builds from commit $RELEASE_COMMIT with $(go env GOVERSION). See docs/releasing.md."
    grep -v '^#' "$manifest"
  } >"krew-manifests/$(basename "$manifest")"
done
echo "built $RELEASE_VERSION: $(find dist -maxdepth 1 -name '*.tar.gz' -o -maxdepth 1 -name '*.zip' | wc -l) archives in dist/, manifests in krew-manifests/" >&2

// Package podspec is the part of helper pods that needs no cluster: the marks by which they are found, the main process
// that ends with its lease, and the reading of a pod that does not run.
package podspec

import (
	"strconv"
	"time"
)

// The labels and annotations of every helper. `cleanup` and the reaper find helpers by them.
const (
	ManagedByLabel    = "app.kubernetes.io/managed-by"
	RunLabel          = "kubectl-runbooks.github.io/run"    // one invocation
	HelperLabel       = "kubectl-runbooks.github.io/helper" // one helper of it; also its object's name
	UserAnnotation    = "kubectl-runbooks.github.io/user"
	ReasonAnnotation  = "kubectl-runbooks.github.io/reason"
	ExpiresAnnotation = "kubectl-runbooks.github.io/expires"
)

// Lease is how long a helper lives without a word from its client. Long enough for a kubelet restart or a lost VPN
// to heal, short enough that nothing is left a minute after the client died.
const Lease = 30 * time.Second

// Expired says that a helper or its guard is dead for certain, by its own annotation. Without one it is not.
func Expired(annotations map[string]string, now time.Time) bool {
	t, err := time.Parse(time.RFC3339, annotations[ExpiresAnnotation])
	return err == nil && now.After(t)
}

// holder is the main process of a helper's container. It reads a line every few seconds and ends when none has come for
// the lease: the container is then torn down with everything that was started in it. `read -t` is in busybox and bash
// and not in dash (POSIX has none), where a second process watches, and is woken by each line.
const holder = `
t=$1
trap 'exit 0' TERM
if echo x | read -t 1 l 2>/dev/null; then
  while read -t "$t" l; do [ "$l" = bye ] && exit 0; done
  exit 75
fi
m=$$; trap '' USR1
( trap 'n=1' USR1
  while :; do n=0; sleep "$t" & s=$!; wait $s; kill $s; [ $n = 1 ] || break; done; kill -TERM $m ) </dev/null >/dev/null 2>&1 & w=$!
while read -r l; do [ "$l" = bye ] && exit 0; kill -USR1 $w; done
exit 75
`

// lapsed is the holder's exit code at the end of its lease.
const lapsed = 75

// HolderCommand is the command of a helper's container, run by sh (a path, or a name in the image).
func HolderCommand(sh string) []string {
	return []string{sh, "-c", holder, "lease", strconv.Itoa(int(Lease.Seconds()))}
}

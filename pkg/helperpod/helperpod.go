// Package helperpod runs short-lived pods on behalf of a person: create with the watch already open, wait and say why it
// waits, exec with an exit status that is known to be true, and leave nothing behind, not even after kill -9. It knows
// nothing of what a helper is for: nodeshell starts privileged ones, dns unprivileged ones and ephemeral containers.
package helperpod

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	corev1 "k8s.io/api/core/v1"
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

const (
	// Lease is how long a helper lives without a word from its client. Long enough for a kubelet restart or a lost VPN
	// to heal, short enough that nothing is left a minute after the client died.
	Lease = 30 * time.Second
	// pendingLease is the same for a pod that does not run yet, kept by its Job's deadline, which is pushed on every sixth
	// of it: an API server or a machine that is overloaded must not end a session that waits.
	pendingLease = 30 * time.Second
	// beat is the interval of the heartbeats; they also keep load balancers from closing the stream as idle
	// (https://github.com/kubernetes/kubernetes/issues/128314).
	beat = 5 * time.Second
	// farewell bounds the deletion at the end, which has a context of its own.
	farewell = 15 * time.Second
)

// NewID gives the id of a run: 10 hexadecimal digits.
func NewID() string {
	b := make([]byte, 5)
	rand.Read(b) // never fails, https://pkg.go.dev/crypto/rand#Read
	return hex.EncodeToString(b)
}

// Expiry tells when a helper is dead for certain, by its own annotation.
func Expiry(pod *corev1.Pod) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, pod.Annotations[ExpiresAnnotation])
	return t, err == nil
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
( trap 'n=1' USR1; while :; do n=0; sleep "$t" & s=$!; wait $s; kill $s; [ $n = 1 ] || break; done; kill -TERM $m ) </dev/null >/dev/null 2>&1 & w=$!
while read -r l; do [ "$l" = bye ] && exit 0; kill -USR1 $w; done
exit 75
`

// HolderCommand is the command of a helper's container, run by sh (a path, or a name in the image).
func HolderCommand(sh string) []string {
	return []string{sh, "-c", holder, "lease", seconds(Lease)}
}

// Package helperpod runs short-lived pods on behalf of a person: create with the watch already open, wait and say why it
// waits, exec with an exit status that is known to be true, and leave nothing behind, not even after kill -9. It knows
// nothing of what a helper is for: nodeshell starts privileged ones, dns unprivileged ones and ephemeral containers.
package helperpod

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

const (
	// pendingLease is podspec.Lease for a pod that does not run yet, kept by its Job's deadline, which is pushed on every
	// sixth of it: an API server or a machine that is overloaded must not end a session that waits.
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

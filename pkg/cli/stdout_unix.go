//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// unread says whether standard output is a pipe or a socket whose other end was closed, without writing to it: poll reports POLLERR
// of a pipe, and POLLHUP of a socket (https://man7.org/linux/man-pages/man2/poll.2.html).
func unread() bool {
	out := []unix.PollFd{{Fd: int32(os.Stdout.Fd()), Events: unix.POLLOUT}} //nolint:gosec // a descriptor is small
	n, err := unix.Poll(out, 0)
	return err == nil && n > 0 && out[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}

package harness

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A test that may begin at any time begins when a third of the processors has been idle for a second, or after five minutes.
const (
	spare   = 0.3
	glance  = time.Second
	glances = 300
)

var room sync.Mutex

// Room waits until the machine has processor time to spare. Most of a test's time is waiting, so that many of them run side by side;
// but what they start with (namespaces, images, pods) keeps a processor busy, and then those that are under way come too late for
// what they look at.
func Room(t testing.TB) {
	t.Helper()
	room.Lock()
	defer room.Unlock()
	for range glances {
		idle, whole := processorTime()
		time.Sleep(glance)
		idleNow, wholeNow := processorTime()
		if wholeNow == whole || float64(idleNow-idle) >= spare*float64(wholeNow-whole) {
			return
		}
	}
}

// processorTime is how long all processors have been idle since the machine began, and how long they have been at all, in ticks; zeros
// where that is not told. https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat
func processorTime() (idle, whole uint64) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(data), "\n")
	var t [8]uint64 // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d %d", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]); err != nil {
		return 0, 0
	}
	for _, x := range t {
		whole += x
	}
	return t[3] + t[4], whole
}

package stdin

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Meant judges the standard input of this process: it tells a pipe or file that was put there for this command (data | kubectl …,
// < file) from one that belongs to a caller, as in `while read n; do kubectl nodeshell $n -- uptime; done`, where reading it would eat
// the list. It is judged by the descriptor, not by who calls: a caller that has the same file as its own standard input may
// read on from it, be it a shell, a script whatever its name, or a program in Python. Only programs that never read it
// themselves are passed over. Where the callers cannot be seen (another user's), it is not taken.
//
// dash redirects itself for as long as a command runs, so that `kubectl … <file` looks like a loop there; but of a file
// that a loop reads at least a line has been read, and its offset is not 0.
func Meant(in *os.File) Purpose {
	own, err := in.Stat()
	if err != nil || own.Mode()&os.ModeCharDevice != 0 {
		return Purpose{}
	}
	if own.Mode().IsRegular() {
		offset, err := in.Seek(0, io.SeekCurrent)
		if err == nil && offset == 0 {
			return Purpose{Given: true}
		}
	}
	for pid := os.Getppid(); pid > 1; {
		theirs, err := os.Stat(fmt.Sprintf("/proc/%d/fd/0", pid))
		if err != nil {
			return Purpose{}
		}
		if !os.SameFile(own, theirs) {
			break
		}
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			return Purpose{}
		}
		if name := filepath.Base(program); !slices.Contains(wrappers, name) {
			return heldBy(name, in, own)
		}
		if pid, err = parentOf(pid); err != nil {
			return Purpose{}
		}
	}
	return Purpose{Given: true}
}

// heldBy names the holder of a pipe that has data in it. A silent one says nothing: a CI runner's stays open and empty.
func heldBy(name string, in *os.File, own os.FileInfo) Purpose {
	waiting, err := unix.IoctlGetInt(int(in.Fd()), unix.TIOCINQ)
	if own.Mode().IsRegular() || err != nil || waiting == 0 {
		return Purpose{}
	}
	return Purpose{Holder: name}
}

// wrappers start one program, wait for it, and leave standard input to it.
var wrappers = []string{"timeout", "sudo", "doas", "runuser", "time", "flock", "strace", "kubectl"}

// parentOf reads a process's parent (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html).
func parentOf(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	rest := string(data)
	rest = rest[strings.LastIndexByte(rest, ')')+1:] // a name may hold parentheses
	var state string
	var parent int
	_, err = fmt.Sscan(rest, &state, &parent)
	return parent, err
}

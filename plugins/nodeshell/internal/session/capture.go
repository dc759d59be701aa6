package session

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// CaptureScript runs tcpdump and ends it when its standard input ends: an exec cannot send a signal, and killing the
// client would leave tcpdump running on the node. The kernel hands packets over in blocks that it closes after a second,
// and those of an open block would be lost: so it waits that long, and then SIGTERM makes tcpdump flush and print its
// counters. Arguments: where ("net" with descriptor 9, "host" or "here"), interface or nothing, seconds or 0, then
// tcpdump's own.
const CaptureScript = `
where=$1 i=$2 d=$3; shift 3
PATH=/tmp/nodeshell:$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
net= mnt=
case $where in net) net="nsenter --net=/proc/self/fd/9 --" mnt="nsenter -t 1 -m --net=/proc/self/fd/9 --";; host) mnt="nsenter -t 1 -m --";; esac
if command -v tcpdump >/dev/null 2>&1; then tool=image in=$net
elif [ -n "$mnt" ] && nsenter -t 1 -m -- /bin/sh -c 'command -v tcpdump' >/dev/null 2>&1; then tool=node in=$mnt
else echo "no tcpdump in the image$([ -z "$mnt" ] || echo ', and none on the node'): name an image that has it with --image, or a static build with --tcpdump" >&2; exit 127; fi
if [ -z "$i" ]; then
  n=0; for l in $($net cat /proc/net/dev | sed -n 's/^ *\([^:]*\):.*/\1/p'); do [ "$l" = lo ] || { i=$l; n=$((n+1)); }; done
  [ $where = net ] || [ $n = 1 ] || i=$(while read -r l dest rest; do [ "$dest" = 00000000 ] && echo "$l" && break; done </proc/net/route)
  [ $where = host ] && [ -n "$i" ] || [ $n = 1 ] || i=any
fi
# Debian's tcpdump wants to become user tcpdump, and -Z root wants root to have a name.
[ $tool = node ] || grep -qs ^root: /etc/passwd || { mkdir -p /etc && echo root:x:0:0:root:/:/bin/sh >>/etc/passwd; } 2>/dev/null
z=; $in tcpdump --help 2>&1 | grep -q -e '-Z' && z="-Z root"
echo "capture tool=$tool interface=$i" >&2
exec 3<&0
$in tcpdump $z -i "$i" "$@" </dev/null 3<&- & t=$!
{ cat <&3; sleep 1.1 || sleep 2; kill -TERM $t; } >/dev/null 2>&1 & w=$!
[ "$d" = 0 ] || { sleep "$d"; kill -TERM $t; } >/dev/null 2>&1 & s=$!
wait $t; r=$?
kill $w $s 2>/dev/null
exit $r
`

// TcpdumpLog reads what tcpdump says on standard error.
type TcpdumpLog struct {
	Listening func(tool, device string) // called once, when packets begin to be kept; may be nil

	mu      sync.Mutex
	text    strings.Builder
	listens bool
}

// Write keeps the first part of the text; a broken filter says so at once.
func (l *TcpdumpLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	if l.text.Len() < 64<<10 {
		l.text.Write(p)
	}
	began := !l.listens && strings.Contains(l.text.String(), "listening on ")
	l.listens = l.listens || began
	l.mu.Unlock()
	if began && l.Listening != nil {
		l.Listening(l.Setup())
	}
	return len(p), nil
}

var counter = regexp.MustCompile(`(\d+) packets? (captured|received by filter|dropped by kernel)`)

// Counts gives tcpdump's counters, nil where it did not print them.
func (l *TcpdumpLog) Counts() (captured, received, dropped *int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range counter.FindAllStringSubmatch(l.text.String(), -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			continue
		}
		switch m[2] {
		case "captured":
			captured = &n
		case "received by filter":
			received = &n
		default:
			dropped = &n
		}
	}
	return captured, received, dropped
}

var announced = regexp.MustCompile(`(?m)^capture tool=(\S+) interface=(\S+)$`)

// Setup gives which tcpdump runs (of the image or the node) on which interface; empty before it has begun.
func (l *TcpdumpLog) Setup() (tool, device string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := announced.FindStringSubmatch(l.text.String()); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

// Complaint gives what is neither a counter nor the usual start, in one line.
func (l *TcpdumpLog) Complaint() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []string
	for line := range strings.Lines(l.text.String()) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", counter.MatchString(line), announced.MatchString(line), strings.Contains(line, "listening on "),
			strings.HasPrefix(line, "dropped privs"), strings.Contains(line, "verbose output suppressed"), strings.HasPrefix(line, "tcpdump: data link type"):
		default:
			kept = append(kept, strings.TrimPrefix(line, "tcpdump: "))
		}
	}
	return strings.Join(kept, "; ")
}

// UntilClosed is an input that stays open, without a byte, until the channel is closed.
type UntilClosed <-chan struct{}

func (u UntilClosed) Read([]byte) (int, error) {
	<-u
	return 0, io.EOF
}

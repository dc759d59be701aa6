package capture

import (
	"fmt"
	"strconv"
	"time"
)

// captureScript runs tcpdump and ends it when its standard input ends: an exec cannot send a signal, and killing the
// client would leave tcpdump running on the node. The kernel hands packets over in blocks that it closes after a second,
// and those of an open block would be lost: so it waits that long, and then SIGTERM makes tcpdump flush and print its
// counters. Arguments: where ("net" with descriptor 9, "host" or "here"), interface or nothing, seconds or 0, then
// tcpdump's own.
const captureScript = `
where=$1 i=$2 d=$3; shift 3
PATH=/tmp/nodeshell:$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
net= mnt=
case $where in
  net) net="nsenter --net=/proc/self/fd/9 --" mnt="nsenter -t 1 -m --net=/proc/self/fd/9 --";;
  host) mnt="nsenter -t 1 -m --";;
esac
if command -v tcpdump >/dev/null 2>&1; then tool=image in=$net
elif [ -n "$mnt" ] && nsenter -t 1 -m -- /bin/sh -c 'command -v tcpdump' >/dev/null 2>&1; then tool=node in=$mnt
else
  and=; [ -z "$mnt" ] || and=", and none on the node"
  echo "no tcpdump in the image$and; use --image with an image that has tcpdump, or upload a static build with --tcpdump" >&2; exit 127
fi
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

// uploadScript puts its standard input where captureScript looks first.
const uploadScript = "mkdir -p /tmp/nodeshell && cat >/tmp/nodeshell/tcpdump && chmod 755 /tmp/nodeshell/tcpdump"

// terminated is the code of a tcpdump that SIGTERM ended before it could take care of the signal.
const terminated = 128 + 15

// command runs the capture script. No immediate mode: its fixed ring slots lost 8 % of a light load. The big buffer costs
// nothing.
func (c *capturing) command(t *one, where string) []string {
	shell := t.Shell
	if where == "here" {
		shell = "sh"
	}
	remote := time.Duration(0)
	if c.o.Duration > 0 {
		remote = c.o.Duration + c.o.Pod.StartTimeout + lastWords // the local clock stops first, in order
	}
	argv := []string{shell, "-c", captureScript, "capture", where, c.o.Device, strconv.Itoa(int(remote.Seconds())), "-nn", "-B", "32768"}
	if where == "here" {
		argv = append(argv, "-p")
	}
	if c.o.Text() {
		argv = append(argv, "-l")
	} else {
		argv = append(argv, "-U", "-w", "-")
	}
	if c.o.SnapLen > 0 {
		argv = append(argv, "-s", strconv.Itoa(c.o.SnapLen))
	}
	if c.o.Count > 0 {
		argv = append(argv, "-c", strconv.Itoa(c.o.Count))
	}
	if filter := c.filter(t, where); filter != "" {
		argv = append(argv, filter)
	}
	return argv
}

// filter is the user's. On the node the stream itself would be captured, and grow without end: it is filtered out.
func (c *capturing) filter(t *one, where string) string {
	if where != "host" {
		return c.o.Filter
	}
	port := t.Target.Node.Status.DaemonEndpoints.KubeletEndpoint.Port
	if port == 0 {
		port = 10250
	}
	own := fmt.Sprintf("not tcp port %d", port)
	if c.o.Filter == "" {
		return own
	}
	return "(" + c.o.Filter + ") and " + own
}

package collect

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Script asks every question at once with the first tool that can carry raw bytes, so that no tool's own idea of DNS
// comes between: python3, perl, bash, nc; every answer comes back in hexadecimal. Without those dig or nslookup serve,
// whose text is read. The script holds no "$$": as a container's command Kubernetes would make one "$" of it.
//
// Each question is asked once in every round, since one lost packet says nothing about a path. A query is lost after the given
// seconds.
func Script(questions []InPodQuestion, rounds, seconds int) string {
	var b strings.Builder
	b.WriteString(`echo "@file /etc/resolv.conf"; cat /etc/resolv.conf 2>/dev/null; echo
echo "@file /etc/hosts"; cat /etc/hosts 2>/dev/null; echo
echo "@file /etc/nsswitch.conf"; cat /etc/nsswitch.conf 2>/dev/null; echo
echo "@libc"; ls /lib/ld-musl-* /lib*/ld-linux* /lib/*/libc.so.6 2>/dev/null
`)
	if len(questions) == 0 {
		return b.String() + "echo @end\n"
	}
	own := slices.ContainsFunc(questions, func(q InPodQuestion) bool { return q.Server == "" })
	fmt.Fprintf(&b, "wait=%d\n", seconds)
	b.WriteString(askFunction)
	fmt.Fprintf(&b, "for round in %s; do\n", strings.TrimSpace(strings.Repeat("x ", rounds)))
	for i, q := range questions {
		wire, err := message(q.Question, uint16(0x4b00+i)).Pack()
		if err != nil {
			continue
		}
		if q.Transport == "TCP" {
			wire = append([]byte{byte(len(wire) >> 8), byte(len(wire))}, wire...) //nolint:gosec // the two bytes of a length
		}
		rest := fmt.Sprintf("%s %s %s", hex.EncodeToString(wire), finding.Quote(q.Name), q.Type)
		transport, server := strings.ToLower(q.Transport), finding.Quote(q.Server)
		switch {
		case q.Server == "":
			fmt.Fprintf(&b, "for s in $servers; do ask %d %s $s %s & done\n", i, transport, rest)
		case own: // not a second time
			fmt.Fprintf(&b, "is_own %s || ask %d %s %s %s &\n", server, i, transport, server, rest)
		default:
			fmt.Fprintf(&b, "ask %d %s %s %s &\n", i, transport, server, rest)
		}
	}
	// an interpreter takes tens of megabytes: no more of them at once than there are questions
	b.WriteString("case $udp$tcp in *python3*|*perl*) wait;; esac\ndone\nwait\necho @end\n")
	return b.String()
}

const askFunction = `py='import sys,socket
t,s,w=sys.argv[1],sys.argv[2],bytes.fromhex(sys.argv[3])
k=socket.socket(socket.AF_INET6 if ":" in s else socket.AF_INET, socket.SOCK_DGRAM if t=="udp" else socket.SOCK_STREAM)
k.settimeout(float(sys.argv[4]))
try:
    k.connect((s,53)); k.send(w); r=k.recv(65535)
    while t=="tcp" and len(r)<2+int.from_bytes(r[:2],"big"):
        p=k.recv(65535)
        if not p: break
        r+=p
    print(r.hex())
except Exception as e:
    print("!"+str(e))'
pl='use IO::Socket::IP; my($t,$s,$w,$n)=@ARGV; $SIG{ALRM}=sub{print "!timed out\n";exit}; alarm $n;
my $k=IO::Socket::IP->new(PeerAddr=>$s,PeerPort=>53,Proto=>$t) or do{print "!$!\n";exit};
$k->send(pack("H*",$w)); my $r; defined $k->recv($r,65535) or do{print "!$!\n";exit};
while($t eq "tcp" and (length($r)<2 or length($r)<2+unpack("n",$r))){my $p; last if !defined $k->recv($p,65535) or $p eq ""; $r.=$p}
print unpack("H*",$r),"\n";'
# one DNS message over TCP: its length in two bytes, then as many, which may come in several packets
frame='h=$(dd bs=1 count=2 2>/dev/null | od -An -v -tx1 | tr -d " \n"); echo "$h"
[ -z "$h" ] || dd bs=1 count=$((0x$h)) 2>/dev/null | od -An -v -tx1'
servers=
[ -r /etc/resolv.conf ] && while read -r key value _; do [ "$key" = nameserver ] && servers="$servers $value"; done </etc/resolv.conf
set -- $servers; servers="$1 $2 $3"
is_own() { case " $servers " in *" $1 "*) return 0;; esac; return 1; }
oct() { h=$1; while [ -n "$h" ]; do r=${h#??}; printf '\\x%s' "${h%"$r"}"; h=$r; done; }
have() { command -v $1 >/dev/null 2>&1; }
udp=none tcp=none
if have dig; then udp=dig tcp=dig; fi
if [ $udp = none ] && have nslookup; then udp=nslookup; fi
if have nc; then tcp=nc; case "$(nc -u 2>&1 </dev/null)" in *nvalid*|*nrecognized*) ;; *) udp=nc;; esac; fi
if have bash && have timeout && have dd && have od; then udp=bash tcp=bash; fi
if have perl && perl -MIO::Socket::IP -e 1 2>/dev/null; then udp=perl tcp=perl; fi
if have python3; then udp=python3 tcp=python3; fi
echo "@tool udp $udp"; echo "@tool tcp $tcp"
ask() {
  case $2 in udp) tool=$udp take='dd bs=65535 count=1 2>/dev/null | od -An -v -tx1';; *) tool=$tcp take=$frame;; esac
  case $tool in
  python3) a=$(python3 -c "$py" $2 $3 $4 $wait 2>&1);;
  perl) a=$(perl -e "$pl" $2 $3 $4 $wait 2>&1);;
  bash) a=$(bash -c 'exec 3<>/dev/'$2'/'$3'/53 || exit; printf "'$(oct $4)'" >&3
    timeout '$wait' sh -c "$1" <&3' ask "$take" 2>/dev/null);;
  nc) u=; [ $2 = udp ] && u=-u
    a=$(printf "$(oct $4)" | nc $u -w $wait $3 53 2>/dev/null | { eval "$take"; });;
  dig) t=; [ $2 = tcp ] && t=+tcp
    a="text $(dig +tries=1 +time=$wait +noall +comments +answer $t -t $6 $5 @$3 2>&1 | tr '\n' '|' | tr -s ' \t' ' ')";;
  nslookup) a="text $(nslookup -timeout=$wait -retry=1 -type=$6 $5 $3 2>&1 | tr '\n' '|' | tr -s ' \t' ' ')";;
  *) return;;
  esac
  case "$a" in text*) ;; !*) ;; *) a=$(echo $a | tr -d ' \n');; esac
  echo "@answer $1 $3 $a"
}
`

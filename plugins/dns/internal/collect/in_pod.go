package collect

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// InPodQuestion is a question that the pod's own network carries to one server over one transport.
type InPodQuestion struct {
	Server    string
	Transport string // UDP, TCP
	records.Question
}

// insidePod reads the pod's files and asks its questions, in one exec with what the image has.
func (c *Collector) insidePod(ctx context.Context, from From) {
	var questions []InPodQuestion
	if from.Ask && from.Questions != nil {
		questions = from.Questions(c.in, c.Cluster.Clock.Now())
	}
	if !from.Ask && !from.Files {
		return
	}
	pod := c.in.From.Pod
	result := evaluate.FromPod{Pod: pod, Wanted: from.Ask}
	script := Script(questions)
	out, method, err := c.runInside(ctx, from, pod, script)
	if err == nil || from.Probe.Kind != "" {
		result.Method = method
	}
	if err != nil {
		result.Error = kube.OneLine(err)
	} else {
		readOutput(&result, out, questions)
	}
	if forbiddenErr := err != nil && forbidden(err); forbiddenErr {
		c.note("exec", "create", "pods/exec in "+pod.Namespace, err)
	}
	c.mu.Lock()
	c.in.From = &result
	c.mu.Unlock()
}

func (c *Collector) runInside(ctx context.Context, from From, pod corev1.Pod, script string) (string, string, error) {
	if from.Probe.Kind != "" {
		return c.runProbe(ctx, from, pod, script)
	}
	ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	container := from.Container
	if container == "" {
		container = pod.Spec.Containers[0].Name
	}
	var stdout, stderr bytes.Buffer
	err := execIn(ctx, c.Cluster, pod.Namespace, pod.Name, container, []string{"sh", "-c", script}, &stdout, &stderr)
	if err != nil && stdout.Len() == 0 {
		return "", "", explainExec(err, stderr.String(), container)
	}
	return stdout.String(), "exec", nil
}

func explainExec(err error, stderr, container string) error {
	text := err.Error() + " " + stderr
	if strings.Contains(text, "no such file") || strings.Contains(text, "executable file not found") || strings.Contains(text, "not found") {
		return fmt.Errorf("container %q has no shell", container)
	}
	var code utilexec.CodeExitError
	if errors.As(err, &code) {
		return fmt.Errorf("the shell in container %q exited with code %d: %s", container, code.Code, strings.TrimSpace(stderr))
	}
	return kube.Explain(err)
}

// execIn runs a command in a container of a pod: WebSocket, or SPDY where that is refused.
func execIn(
	ctx context.Context, cluster *kube.Cluster, namespace, pod, container string, command []string, stdout, stderr *bytes.Buffer,
) error {
	client, err := cluster.Typed()
	if err != nil {
		return err
	}
	request := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	config := rest.CopyConfig(cluster.Config)
	websocket, err := remotecommand.NewWebSocketExecutor(config, "GET", request.URL().String())
	if err != nil {
		return err
	}
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", request.URL())
	if err != nil {
		return err
	}
	executor, err := remotecommand.NewFallbackExecutor(websocket, spdy, fallBack)
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: stdout, Stderr: stderr})
}

// Script asks every question at once with the first tool that can carry raw bytes, so that no tool's own idea of DNS
// comes between: python3, perl, bash, nc; every answer comes back in hexadecimal. Without those dig or nslookup serve,
// whose text is read. The script holds no "$$": as a container's command Kubernetes would make one "$" of it.
func Script(questions []InPodQuestion) string {
	var b strings.Builder
	b.WriteString(`echo "@file /etc/resolv.conf"; cat /etc/resolv.conf 2>/dev/null
echo "@file /etc/hosts"; cat /etc/hosts 2>/dev/null
echo "@file /etc/nsswitch.conf"; cat /etc/nsswitch.conf 2>/dev/null
echo "@libc"; ls /lib/ld-musl-* /lib*/ld-linux* /lib/*/libc.so.6 2>/dev/null
`)
	if len(questions) == 0 {
		return b.String() + "echo @end\n"
	}
	b.WriteString(askFunction)
	for i, q := range questions {
		wire, err := message(q.Question, uint16(0x4b00+i)).Pack()
		if err != nil {
			continue
		}
		if q.Transport == "TCP" {
			wire = append([]byte{byte(len(wire) >> 8), byte(len(wire))}, wire...)
		}
		fmt.Fprintf(&b, "ask %d %s %s %s %s %s &\n", i, strings.ToLower(q.Transport), finding.Quote(q.Server), hex.EncodeToString(wire),
			finding.Quote(q.Name), q.Type)
	}
	b.WriteString("wait\necho @end\n")
	return b.String()
}

const askFunction = `py='import sys,socket
t,s,w=sys.argv[1],sys.argv[2],bytes.fromhex(sys.argv[3])
k=socket.socket(socket.AF_INET6 if ":" in s else socket.AF_INET, socket.SOCK_DGRAM if t=="udp" else socket.SOCK_STREAM)
k.settimeout(3)
try:
    k.connect((s,53)); k.send(w); r=k.recv(65535)
    print(r.hex())
except Exception as e:
    print("!"+str(e))'
pl='use IO::Socket::INET; my($t,$s,$w)=@ARGV; $SIG{ALRM}=sub{print "!timed out\n";exit}; alarm 3;
my $k=IO::Socket::INET->new(PeerAddr=>$s,PeerPort=>53,Proto=>$t) or do{print "!$!\n";exit};
$k->send(pack("H*",$w)); my $r; defined $k->recv($r,65535) or do{print "!$!\n";exit}; print unpack("H*",$r),"\n";'
oct() { h=$1; while [ -n "$h" ]; do r=${h#??}; printf '\\x%s' "${h%"$r"}"; h=$r; done; }
have() { command -v $1 >/dev/null 2>&1; }
udp=none tcp=none
if have dig; then udp=dig tcp=dig; fi
if [ $udp = none ] && have nslookup; then udp=nslookup; fi
if have nc; then tcp=nc; case "$(nc -u 2>&1 </dev/null)" in *nvalid*|*nrecognized*) ;; *) udp=nc;; esac; fi
if have bash && have timeout && have dd && have od; then udp=bash tcp=bash; fi
if have perl && perl -MIO::Socket::INET -e 1 2>/dev/null; then udp=perl tcp=perl; fi
if have python3; then udp=python3 tcp=python3; fi
echo "@tool udp $udp"; echo "@tool tcp $tcp"
ask() {
  case $2 in udp) tool=$udp;; *) tool=$tcp;; esac
  case $tool in
  python3) a=$(python3 -c "$py" $2 $3 $4 2>&1);;
  perl) a=$(perl -e "$pl" $2 $3 $4 2>&1);;
  bash) a=$(bash -c 'exec 3<>/dev/'$2'/'$3'/53 || exit; printf "'$(oct $4)'" >&3
    timeout 3 dd bs=65535 count=1 <&3 2>/dev/null | od -An -v -tx1' 2>/dev/null);;
  nc) u=; [ $2 = udp ] && u=-u; 
    a=$(printf "$(oct $4)" | nc $u -w 2 $3 53 2>/dev/null | { dd bs=65535 count=1 2>/dev/null; } | od -An -v -tx1);;
  dig) t=; [ $2 = tcp ] && t=+tcp
    a="text $(dig +tries=1 +time=3 +noall +comments +answer $t -t $6 $5 @$3 2>&1 | tr '\n' '|' | tr -s ' \t' ' ')";;
  nslookup) a="text $(nslookup -type=$6 $5 $3 2>&1 | tr '\n' '|' | tr -s ' \t' ' ')";;
  *) return;;
  esac
  case "$a" in text*) ;; !*) ;; *) a=$(echo $a | tr -d ' \n');; esac
  echo "@answer $1 $a"
}
`

// readOutput takes the script's output apart.
func readOutput(f *evaluate.FromPod, out string, questions []InPodQuestion) {
	f.Files = map[string]string{}
	section, file := "", ""
	tools := map[string]string{}
	libc := ""
	answered := map[int]string{}
	for line := range strings.Lines(out) {
		trimmed := strings.TrimRight(line, "\r\n")
		words := strings.Fields(trimmed)
		switch {
		case strings.HasPrefix(trimmed, "@file "):
			section, file = "file", words[1]
			f.Files[file] = ""
		case trimmed == "@libc", trimmed == "@end":
			section = strings.TrimPrefix(trimmed, "@")
		case strings.HasPrefix(trimmed, "@tool ") && len(words) == 3:
			section = ""
			tools[strings.ToUpper(words[1])] = words[2]
		case strings.HasPrefix(trimmed, "@answer ") && len(words) >= 2:
			section = ""
			if i, err := strconv.Atoi(words[1]); err == nil {
				answered[i] = strings.Join(words[2:], " ")
			}
		case section == "file":
			f.Files[file] += line
		case section == "libc":
			libc += line
		}
	}
	for name, text := range f.Files {
		if text == "" {
			delete(f.Files, name)
		}
	}
	musl, glibc := strings.Contains(libc, "ld-musl"), strings.Contains(libc, "ld-linux") || strings.Contains(libc, "libc.so.6")
	f.Musl, f.Glibc = &musl, &glibc
	if len(questions) == 0 {
		return
	}
	readAnswers(f, questions, answered, tools)
}

// readAnswers leaves out what could not be asked: a missing tool is no missing answer.
func readAnswers(f *evaluate.FromPod, questions []InPodQuestion, answered map[int]string, tools map[string]string) {
	used := []string{}
	for _, transport := range []string{"UDP", "TCP"} {
		wanted := slices.ContainsFunc(questions, func(q InPodQuestion) bool { return q.Transport == transport })
		switch tool := tools[transport]; {
		case wanted && (tool == "" || tool == "none"):
			f.Unasked = append(f.Unasked, transport)
		case wanted && !slices.Contains(used, tool):
			used = append(used, tool)
		}
	}
	f.Method += " " + strings.Join(used, "+")
	if len(f.Unasked) > 0 {
		f.Error = "the image has a shell but no tool to query over " + strings.Join(f.Unasked, " and ") +
			" (python3, perl, bash, nc, dig or nslookup)"
	}
	for i, q := range questions {
		if slices.Contains(f.Unasked, q.Transport) {
			continue
		}
		text, ran := answered[i]
		if !ran {
			f.Error = "the shell exited before all queries were sent"
			continue
		}
		f.Answers = append(f.Answers, inPodAnswer(q, f.Pod, text))
	}
}

func inPodAnswer(q InPodQuestion, pod corev1.Pod, text string) report.Answer {
	a := report.Answer{
		Viewpoint: "pod:" + pod.Namespace + "/" + pod.Name, Server: q.Server, Transport: q.Transport, Name: q.Name, Type: q.Type,
	}
	switch {
	case text == "":
		a.Error = "no answer in time"
		return a
	case strings.HasPrefix(text, "!"):
		a.Error = "no answer: " + strings.TrimPrefix(text, "!")
		return a
	}
	if rest, ok := strings.CutPrefix(text, "text "); ok {
		readText(&a, rest)
		return a
	}
	wire, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if q.Transport == "TCP" && len(wire) > 2 {
		wire = wire[2:]
	}
	m := new(dns.Msg)
	if err != nil || m.Unpack(wire) != nil {
		a.Error = "the response is not a DNS message"
		return a
	}
	fill(&a, m, 0)
	a.Milliseconds = nil
	return a
}

// readText understands dig and nslookup, whose lines come joined by |. Of nslookup's "Address" lines those before the
// first "Name" are the server's own.
func readText(a *report.Answer, text string) {
	record := func(data string) {
		a.Records = append(a.Records, report.Record{Name: a.Name, Type: a.Type, Data: strings.ToLower(data)})
	}
	named := false
	answered := false
	for line := range strings.SplitSeq(text, "|") {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case strings.Contains(line, "timed out"), strings.Contains(line, "no servers could be reached"),
			strings.Contains(line, "connection refused"), strings.Contains(line, "communications error"):
			a.Error = "no answer: " + strings.TrimLeft(line, "; *")
			return
		case strings.Contains(line, "status: "):
			_, rest, _ := strings.Cut(line, "status: ")
			a.Rcode, _, _ = strings.Cut(rest, ",")
			answered = true
		case strings.Contains(line, "server can't find") && strings.Contains(line, ": "):
			a.Rcode = line[strings.LastIndex(line, ": ")+2:]
			return
		case strings.HasPrefix(line, "Server:"):
			answered = true
		case strings.HasPrefix(line, "Name:"):
			named = true
		case named && strings.HasPrefix(line, "Address") && len(words) >= 2:
			record(words[len(words)-1])
		case len(words) >= 5 && words[2] == "IN" && words[3] == a.Type:
			record(strings.Join(words[4:], " "))
		}
	}
	switch {
	case a.Rcode == "" && answered:
		a.Rcode = "NOERROR"
	case a.Rcode == "":
		a.Error = "no answer: " + text
	}
}

func fallBack(err error) bool {
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

package collect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
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

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// InPodQuestion is a question that the pod's own network carries to one server over one transport.
type InPodQuestion struct {
	Server    string // empty: each nameserver of the pod's own resolv.conf
	Transport string // UDP, TCP
	records.Question
}

// How often each question is asked, and when a query counts as lost. A step of a lookup gets what the C libraries give it:
// two attempts of 5s (https://man7.org/linux/man-pages/man5/resolv.conf.5.html).
const (
	pathRounds, pathSeconds     = 3, 3
	lookupRounds, lookupSeconds = 2, 5
)

// insidePod reads the pod's files and asks its questions with what the image has: in one exec, or in two where the questions
// depend on resolv.conf.
func (c *Collector) insidePod(ctx context.Context, from From) {
	if !from.Ask && !from.Files {
		return
	}
	pod := c.in.From.Pod
	result := evaluate.FromPod{Pod: pod, Wanted: from.Ask}
	if from.Probe.Kind == "" {
		result.Container = cmp.Or(from.Container, facts.RunningContainer(&pod))
	}
	if from.Probe.Kind == "" && !facts.Runs(&pod) {
		result.Error = "the pod is not running (" + podfact.Status(&pod) + ")"
		c.in.From = &result
		return
	}
	rounds, seconds := pathRounds, pathSeconds
	if from.Lookup {
		rounds, seconds = lookupRounds, lookupSeconds
		if c.runScript(ctx, from, &result, nil, Script(nil, 0, 0)); result.Error != "" {
			c.in.From = &result
			return
		}
		c.in.From = &result
	}
	var questions []InPodQuestion
	if from.Ask && from.Questions != nil {
		questions = from.Questions(c.in, c.Cluster.Clock.Now())
	}
	if !from.Lookup || len(questions) > 0 {
		c.runScript(ctx, from, &result, questions, Script(questions, rounds, seconds))
	}
	c.in.From = &result
}

// longestExec is what questions may take that are asked from inside a pod.
const longestExec = 25 * time.Second

// runScript runs a script in the pod and reads what it printed.
func (c *Collector) runScript(ctx context.Context, from From, result *evaluate.FromPod, questions []InPodQuestion, script string) {
	limit := longestExec
	if len(questions) == 0 { // of files there is nothing to wait for
		limit = min(limit, c.Timeout)
	}
	out, method, err := c.runInside(ctx, from, result.Pod, script, limit)
	if err == nil || from.Probe.Kind != "" {
		result.Method = method
	}
	if err != nil {
		result.Error = kube.OneLine(err)
	} else {
		readOutput(result, out, questions)
	}
	var told containerError
	if err != nil && !errors.As(err, &told) && (from.Probe.Kind == "" || forbidden(err)) {
		c.note("exec", "create", "pods/exec in "+result.Pod.Namespace, err)
	}
}

func (c *Collector) runInside(ctx context.Context, from From, pod corev1.Pod, script string, limit time.Duration) (string, string, error) {
	if from.Probe.Kind != "" {
		return c.runProbe(ctx, from, pod, script)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	container := cmp.Or(from.Container, facts.RunningContainer(&pod))
	var stdout, stderr bytes.Buffer
	err := execIn(ctx, c.Cluster, pod.Namespace, pod.Name, container, []string{"sh", "-c", script}, &stdout, &stderr)
	if err != nil && stdout.Len() == 0 {
		return "", "", explainExec(err, stderr.String(), container)
	}
	return stdout.String(), "exec", nil
}

// containerError is what the container itself answered: it was reached.
type containerError string

func (e containerError) Error() string { return string(e) }

func explainExec(err error, stderr, container string) error {
	text := err.Error() + " " + stderr
	if strings.Contains(text, "no such file") || strings.Contains(text, "executable file not found") || strings.Contains(text, "not found") {
		return containerError(fmt.Sprintf("container %q has no shell", container))
	}
	var code utilexec.CodeExitError
	if errors.As(err, &code) {
		return containerError(fmt.Sprintf("the shell in container %q exited with code %d: %s", container, code.Code, strings.TrimSpace(stderr)))
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
	transport, upgrader, err := kube.SPDY(ctx, config)
	if err != nil {
		return err
	}
	spdy, err := remotecommand.NewSPDYExecutorForTransports(transport, upgrader, "POST", request.URL())
	if err != nil {
		return err
	}
	executor, err := remotecommand.NewFallbackExecutor(websocket, spdy, fallBack)
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: stdout, Stderr: stderr})
}

// readOutput takes the script's output apart.
func readOutput(f *evaluate.FromPod, out string, questions []InPodQuestion) {
	f.Files = map[string]string{}
	section, file := "", ""
	tools := map[string]string{}
	libc := ""
	answered := map[int]map[string][]string{}
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(line, "\n") {
			break // the script ends each line: this one is cut off
		}
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
		case strings.HasPrefix(trimmed, "@answer ") && len(words) >= 3:
			section = ""
			if i, err := strconv.Atoi(words[1]); err == nil {
				if answered[i] == nil {
					answered[i] = map[string][]string{}
				}
				answered[i][words[2]] = append(answered[i][words[2]], strings.Join(words[3:], " "))
			}
		case section == "file":
			f.Files[file] += line
		case section == "libc":
			libc += line
		}
	}
	for name, text := range f.Files {
		text = strings.TrimSuffix(text, "\n") // the script's, for a file without one at its end
		if f.Files[name] = text; text == "" {
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
func readAnswers(f *evaluate.FromPod, questions []InPodQuestion, answered map[int]map[string][]string, tools map[string]string) {
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
	own := resolver.Parse(f.Files["/etc/resolv.conf"]).Asked()
	for i, q := range questions {
		if slices.Contains(f.Unasked, q.Transport) {
			continue
		}
		for _, server := range serversFor(q, questions, own) {
			var got []report.Answer
			for _, text := range answered[i][server] {
				got = append(got, inPodAnswer(InPodQuestion{server, q.Transport, q.Question}, f.Pod, text))
			}
			if len(got) == 0 {
				f.Error = "the shell exited before all queries were sent"
			}
			f.Answers = append(f.Answers, merged(got)...)
		}
	}
}

// serversFor gives the addresses at which the script asked a question: one that resolv.conf has is not asked a second time.
func serversFor(q InPodQuestion, questions []InPodQuestion, own []string) []string {
	asksOwn := slices.ContainsFunc(questions, func(q InPodQuestion) bool { return q.Server == "" })
	switch {
	case q.Server == "":
		return own
	case asksOwn && slices.Contains(own, q.Server):
		return nil
	}
	return []string{q.Server}
}

// merged joins what the rounds of one question got: each different answer once, the first of them with the count of those lost.
func merged(rounds []report.Answer) []report.Answer {
	var list []report.Answer
	var silent *report.Answer
	lost := 0
	seen := map[string]bool{}
	for _, a := range rounds {
		if a.Rcode == "" {
			lost++
			silent = &a
			continue
		}
		key := a.Rcode + " " + strings.Join(records.Data(a), " ")
		if a.Truncated { // which records fit into a packet changes from one answer to the next
			key = a.Rcode + " (truncated)"
		}
		if !seen[key] {
			seen[key] = true
			list = append(list, a)
		}
	}
	if len(list) == 0 && silent != nil {
		list = append(list, *silent)
	}
	if len(list) > 0 && len(rounds) > 1 {
		list[0].Asked, list[0].Lost = len(rounds), lost
	}
	return list
}

// dnsHeader is the size of what each message begins with; the low half of its fourth byte is the rcode
// (https://www.rfc-editor.org/rfc/rfc1035#section-4.1.1).
const dnsHeader = 12

// inPodAnswer reads what a tool printed for one query. A response over TCP that arrived in part is an answer, too: nothing was lost.
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
	size := len(wire)
	if q.Transport == "TCP" && len(wire) > 2 {
		size, wire = int(binary.BigEndian.Uint16(wire)), wire[2:]
	}
	m := new(dns.Msg)
	switch {
	case err == nil && m.Unpack(wire) == nil:
		fill(&a, m, 0)
		a.Milliseconds = nil
	case err == nil && len(wire) >= dnsHeader && len(wire) < size:
		a.Rcode, a.Truncated = dns.RcodeToString[int(wire[3]&0xf)], true
	default:
		a.Error = "the response is not a DNS message"
	}
	return a
}

// readText understands dig and nslookup, whose lines come joined by |. Of nslookup's "Address" lines those before the
// first "Name" are the server's own.
func readText(a *report.Answer, text string) {
	record := func(value string) {
		a.Records = append(a.Records, report.Record{Name: a.Name, Type: a.Type, Data: textData(a.Type, value)})
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
		case nslookupWords[a.Type] != "" && strings.Contains(line, nslookupWords[a.Type]):
			_, value, _ := strings.Cut(line, nslookupWords[a.Type])
			record(value)
		case len(words) >= 5 && words[2] == "IN" && words[3] == a.Type:
			record(strings.Join(words[4:], " "))
		}
	}
	a.Truncated = a.Transport == "UDP" && filled(*a)
	switch {
	case a.Rcode == "" && answered:
		a.Rcode = "NOERROR"
	case a.Rcode == "":
		a.Error = "no answer: " + text
	}
}

// nslookupWords are what nslookup prints before the data of a record that is no address
// (https://git.busybox.net/busybox/tree/networking/nslookup.c, https://github.com/isc-projects/bind9/blob/main/bin/dig/nslookup.c).
var nslookupWords = map[string]string{
	"CNAME": "canonical name = ", "MX": "mail exchanger = ", "NS": "nameserver = ", "PTR": "name = ", "SRV": "service = ", "TXT": "text = ",
}

// textData gives what a tool printed of a record as data has it: SRV without priority and weight, each name with its last dot, TXT
// without quotes.
func textData(typ, value string) string {
	words := strings.Fields(value)
	switch typ {
	case "TXT":
		return strings.Trim(strings.TrimSpace(value), `"`)
	case "SRV":
		if len(words) == 4 {
			words = words[2:]
		}
	}
	if last := len(words) - 1; last >= 0 && nslookupWords[typ] != "" {
		words[last] = dns.Fqdn(words[last])
	}
	return strings.ToLower(strings.Join(words, " "))
}

// filled says whether one more record like those of an answer would not fit into a UDP packet without EDNS, which has 512 bytes
// (https://www.rfc-editor.org/rfc/rfc1035#section-4.2.1): the nslookup of BusyBox prints what has fitted, and not that it was truncated.
func filled(a report.Answer) bool {
	const packet, question, record = 512, 5, 12 // sizes without the name, to which a record points in two bytes
	sizes := map[string]int{"A": 4, "AAAA": 16}
	size, largest := dnsHeader+len(a.Name)+question, 0
	for _, r := range a.Records {
		n := record + cmp.Or(sizes[r.Type], len(r.Data)+4) // the numbers of SRV take more than their digits
		size, largest = size+n, max(largest, n)
	}
	return len(a.Records) > 0 && size+largest > packet && size <= packet+largest // what is larger came over TCP
}

func fallBack(err error) bool {
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

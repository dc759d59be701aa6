package render

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// recorded is a report that evaluate's tests have recorded.
func recorded(t *testing.T, name string) report.List {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "evaluate", "testdata", name, "report.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var list report.List
	if err := yaml.UnmarshalStrict(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestReportsReadAsRecorded(t *testing.T) {
	for _, name := range []string{
		"healthy", "KubeletNotReporting", "NetworkPluginNotReady", "DiskPressure", "Cordoned", "LeaderLeaseExpired", "PodCrashLooping",
		"only-nodes", "no-metrics", "virtual-kubelet", "windows", "karpenter", "request-arithmetic", "zero-allocatable", "hostile-text", "kubelet-answers", "kubelet-psi", "DevicesNotAllocatable", "devices", "ClaimedDeviceUnusable", "DeviceDriverNotPublishing", "autoscaler", "nodeclaim", "karpenter-draining",
	} {
		t.Run(name, func(t *testing.T) {
			list := recorded(t, name)
			var b bytes.Buffer
			if err := Report(&b, list.Items[0], list.Time, ReportOptions{}); err != nil {
				t.Fatal(err)
			}
			testkit.Golden(t, name+".txt", b.String())
		})
	}
}

func TestAPreviewReadsAsRecorded(t *testing.T) {
	for _, name := range []string{"drain", "remove"} {
		data, err := os.ReadFile(filepath.Join("..", "evaluate", "testdata", name, "report.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var d report.Drain
		if err := yaml.UnmarshalStrict(data, &d); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Drain(&b, d, output.Terminal{}); err != nil {
			t.Fatal(err)
		}
		testkit.Golden(t, name+".txt", b.String())
	}
}

func TestTablesReadAsRecorded(t *testing.T) {
	tests := []struct {
		name, input string
		options     TableOptions
	}{
		{"table", "all-silent", TableOptions{}},
		{"table-healthy", "healthy", TableOptions{}},
		{"table-wide", "karpenter", TableOptions{Wide: true}},
		{"table-no-headers", "Cordoned", TableOptions{NoHeaders: true}},
		{"table-labels", "karpenter", TableOptions{LabelColumns: []string{"karpenter.sh/nodepool", "no-such"}}},
		{"table-only-nodes", "only-nodes", TableOptions{}},
		{"table-hostile", "hostile-text", TableOptions{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := recorded(t, tt.input)
			var b bytes.Buffer
			if err := Table(&b, list, tt.options); err != nil {
				t.Fatal(err)
			}
			if !tt.options.NoHeaders {
				if err := Footer(&b, list, tt.options.Terminal); err != nil {
					t.Fatal(err)
				}
			}
			testkit.Golden(t, tt.name+".txt", b.String())
		})
	}
}

// A column of which nothing is known is left out; one of which something is known says where it is not.
func TestPodsThatWereNotCountedHaveNoColumn(t *testing.T) {
	table := func(list report.List) string {
		var b bytes.Buffer
		if err := Table(&b, list, TableOptions{}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	list := recorded(t, "healthy")
	list.Items[0].Pods = nil
	if text := table(list); !strings.Contains(text, "PODS") || !strings.Contains(text, "   2/110   ") || !strings.Contains(text, "   "+output.Unknown+"   ") {
		t.Errorf("one of two was counted:\n%s", text)
	}
	list.Items[1].Pods = nil
	if text := table(list); strings.Contains(text, "PODS") || strings.Contains(text, "110") {
		t.Errorf("none was counted:\n%s", text)
	}
}

// On a narrow terminal only the reason gives way: names and verdicts are never cut.
func TestANarrowTerminalCutsTheReason(t *testing.T) {
	list := recorded(t, "all-silent")
	var b bytes.Buffer
	if err := Table(&b, list, TableOptions{Terminal: output.Terminal{TTY: true, Width: 120}}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if output.Width(strings.TrimRight(line, "\n")) > 120 {
			t.Errorf("wider than the terminal: %s", line)
		}
	}
	if !strings.Contains(b.String(), "w1     Unhealthy") || !strings.Contains(b.String(), "…") {
		t.Error(b.String())
	}
}

func TestColourRepeatsTheWord(t *testing.T) {
	list := recorded(t, "KubeletNotReporting")
	var b bytes.Buffer
	if err := Report(&b, list.Items[0], list.Time, ReportOptions{Terminal: output.Terminal{Color: true}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[31mUnhealthy\x1b[0m") {
		t.Error("the verdict has no color")
	}
}

func TestSectionsAreChosen(t *testing.T) {
	list := recorded(t, "healthy")
	for _, section := range Sections() {
		var b bytes.Buffer
		if err := Report(&b, list.Items[0], list.Time, ReportOptions{Sections: []string{section}}); err != nil {
			t.Fatal(err)
		}
		titles := 0
		for _, title := range []string{"Health:", "Components:", "Resources:", "Devices:", "Pods:", "Network:", "Storage:", "Control plane:", "Scheduling:", "Autoscaler:", "Events:", "Lifecycle:"} {
			if strings.Contains(b.String(), "\n"+title) {
				titles++
			}
		}
		if titles != 1 {
			t.Errorf("--section=%s prints %d sections:\n%s", section, titles, b.String())
		}
	}
}

func TestBarsAreForWideTerminalsOnly(t *testing.T) {
	list := recorded(t, "request-arithmetic")
	for width, want := range map[int]bool{0: false, 80: false, 160: true} {
		var b bytes.Buffer
		if err := Report(&b, list.Items[0], list.Time, ReportOptions{Sections: []string{"resources"}, Terminal: output.Terminal{TTY: width > 0, Width: width}}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "[####"); got != want {
			t.Errorf("width %d: bars %v\n%s", width, got, b.String())
		}
	}
}

func TestUnknownIsWrittenAsSuch(t *testing.T) {
	n := recorded(t, "only-nodes").Items[0]
	if got := podsCell(n).Text; got != output.Unknown {
		t.Errorf("pods that were not counted: %s", got)
	}
	if got := percentText(nil); got != output.Unknown {
		t.Error(got)
	}
	if got := amountText("bytes", nil); got != output.Unknown {
		t.Error(got)
	}
	if got := heartbeatCell(n).Text; got != output.Unknown {
		t.Errorf("a heartbeat that may not be read: %s", got)
	}
	if got := heartbeatCell(recorded(t, "virtual-kubelet").Items[0]).Text; got != output.None {
		t.Errorf("a node without a lease: %s", got)
	}
}

// pathsRecorded is a report on paths that evaluate's tests have recorded.
func pathsRecorded(t *testing.T) report.Paths {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "evaluate", "testdata", "paths", "broken.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var p report.Paths
	if err := yaml.UnmarshalStrict(data, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPathsReadAsRecorded(t *testing.T) {
	p := pathsRecorded(t)
	var b bytes.Buffer
	if err := Paths(&b, p, output.Terminal{}); err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "paths.txt", b.String())
	published, err := PublishedPaths(p)
	if err != nil || len(published.Subjects) != 1 || len(published.Subjects[0].Findings) != len(p.Findings) || published.Subjects[0].Text != b.String() {
		t.Errorf("%v: %+v", err, published)
	}
}

// Paths of a kind and state that are more than three are one row; those that differ in what is wrong are not.
func TestManyPathsThatAreAlikeAreOneRow(t *testing.T) {
	p := pathsRecorded(t)
	p.Paths, p.Findings, p.Checks = nil, nil, nil
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		p.Paths = append(p.Paths,
			report.Path{Group: report.PathHeartbeat, From: "kubelet/" + name, To: "kube-apiserver", State: report.PathOK, Evidence: "renewed by " + name, Node: name},
			report.Path{Group: report.PathWebhook, From: "kube-apiserver", To: "webhook " + name, State: report.PathCritical, Evidence: "broken by " + name})
	}
	var b bytes.Buffer
	if err := Paths(&b, p, output.Terminal{}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if strings.Count(text, "kubelet") != 1 || !strings.Contains(text, "kubelet (5)") || !strings.Contains(text, "such as: renewed by a") || strings.Count(text, "broken by") != 5 {
		t.Error(text)
	}
}

func TestAJoinReadsAsRecorded(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "evaluate", "testdata", "join", "report.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var r report.Join
	if err := yaml.UnmarshalStrict(data, &r); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Join(&b, r, output.Terminal{}); err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "join.txt", b.String())
	published, err := PublishedJoin(r)
	if err != nil || len(published.Subjects) != 2 || len(published.Subjects[0].Findings) != 1 || !strings.Contains(published.Subjects[1].Text, "csr-w9") {
		t.Errorf("%v: %+v", err, published)
	}
	r.Machines, r.Verdict, r.Summary = nil, report.Joined, "nothing is missing"
	b.Reset()
	if err := Join(&b, r, output.Terminal{}); err != nil || b.String() != "Joined: all nodes: nothing is missing\n" {
		t.Errorf("%v: %s", err, b.String())
	}
}

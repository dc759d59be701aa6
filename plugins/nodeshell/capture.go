package nodeshell

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/capture"
)

const captureLong = `
	Capture the packets of pods, workloads, Services or nodes, live: into a file, to standard output, as text, or into
	Wireshark. Several targets are written to one pcapng file in which every packet names its pod and node.

	The network of a pod is found on its node by the cgroup of its processes. Where no privileged pod is allowed, the
	capture runs in an ephemeral container of the pod (--mode ephemeral), whose entry stays in the pod spec.

	Ctrl-C stops the remote tcpdump and prints its counters.`

const captureExample = `
	# Print the packets of one pod as text, until Ctrl-C
	PROGRAM capture web-0

	# Write to a file for 30s, with a filter
	PROGRAM capture web-0 -w web.pcap --duration 30s -- tcp port 8080

	# Capture all pods of a Deployment in one file
	PROGRAM capture deploy/web -w all.pcapng --duration 10s

	# Show the traffic of a node in Wireshark
	PROGRAM capture node/worker-1 --wireshark`

var captureKinds = target.Kinds{Default: "Pod", Words: map[string]string{
	"pod": "Pod", "pods": "Pod", "po": "Pod", "node": "Node", "nodes": "Node", "no": "Node",
	"deploy": "Deployment", "deployment": "Deployment", "deployments": "Deployment",
	"deployments.apps": "Deployment", "deployment.apps": "Deployment",
	"sts": "StatefulSet", "statefulset": "StatefulSet", "statefulsets": "StatefulSet",
	"statefulsets.apps": "StatefulSet", "statefulset.apps": "StatefulSet",
	"ds": "DaemonSet", "daemonset": "DaemonSet", "daemonsets": "DaemonSet", "daemonsets.apps": "DaemonSet", "daemonset.apps": "DaemonSet",
	"svc": "Service", "service": "Service", "services": "Service",
}}

type captureFlags struct {
	pod       podFlags
	selector  string
	device    string
	write     string
	wireshark bool
	duration  time.Duration
	count     int
	maxSize   string
	rotate    int
	snapLen   int
	mode      string
	container string
	tcpdump   string
	output    string
}

func (f *captureFlags) add(set *pflag.FlagSet) {
	f.pod.add(set)
	set.StringVarP(&f.selector, "selector", "l", "", "Capture on every running pod that matches this label selector.")
	set.StringVarP(&f.device, "interface", "i", "",
		"Network interface. Default: the only one of a pod besides lo, the one of a node with the default route, otherwise any.")
	set.StringVarP(&f.write, "write", "w", "",
		"Write packets to FILE, to - (standard output), or into the directory DIR/, a file per target. Default: print text.")
	set.BoolVar(&f.wireshark, "wireshark", false, "Show the packets live in the local Wireshark.")
	set.DurationVar(&f.duration, "duration", 0, "Stop after this duration; the node enforces it too. 0 runs until Ctrl-C.")
	set.IntVar(&f.count, "count", 0, "Stop each target after this many packets. 0 means no limit.")
	set.StringVar(&f.maxSize, "max-size", "", "Stop when a file reaches this size, such as 100Mi; with --rotate, start a new file.")
	set.IntVar(&f.rotate, "rotate", 0, "Keep this many files of --max-size per target, and delete older ones.")
	set.IntVar(&f.snapLen, "snaplen", 0, "Keep this many bytes of each packet. 0 keeps all.")
	set.StringVar(&f.mode, "mode", "auto",
		"Where tcpdump runs: node (in a privileged pod), ephemeral (in an ephemeral container of the pod) or auto (node where allowed).")
	set.StringVarP(&f.container, "container", "c", "", "Find the network of the pod by this container.")
	set.StringVar(&f.tcpdump, "tcpdump", "", "Upload this static tcpdump binary, where neither the image nor the node has tcpdump.")
	set.StringVarP(&f.output, "output", "o", "",
		"Report format at the end: json or yaml on standard output, instead of text on standard error.")
}

func (f *captureFlags) toOptions(args, filter []string) (capture.Options, error) {
	errs := f.pod.check()
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	o := capture.Options{
		Selector: f.selector, Filter: strings.Join(filter, " "), Pod: f.pod.options(), Device: f.device, Write: f.write, Wireshark: f.wireshark,
		Duration: f.duration, Count: f.count, Rotate: f.rotate, SnapLen: f.snapLen, Mode: f.mode, Container: f.container, Tcpdump: f.tcpdump,
	}
	var err error
	if o.Targets, err = captureKinds.Parse(args); err != nil {
		errs = append(errs, err)
	}
	if len(args) == 0 && f.selector == "" {
		fail("no target given; name a pod, deploy/NAME, sts/NAME, ds/NAME, svc/NAME or node/NAME, or use -l")
	}
	if _, err := labels.Parse(f.selector); err != nil {
		fail("-l %q: %w", f.selector, err)
	}
	if f.maxSize != "" {
		quantity, err := resource.ParseQuantity(f.maxSize)
		if err != nil || quantity.Value() < 1024 {
			fail("--max-size %q: not a size of 1Ki or more; use a size such as 100Mi", f.maxSize)
		}
		o.MaxSize = quantity.Value()
	}
	if f.mode != "auto" && f.mode != "node" && f.mode != "ephemeral" {
		fail("--mode %q: unknown mode; use auto, node or ephemeral", f.mode)
	}
	if o.Format, err = output.ParseFormat(f.output, output.JSON, output.YAML); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, checkCapture(o)...)
	return o, cli.Usage(errors.Join(errs...))
}

func checkCapture(o capture.Options) []error {
	var errs []error
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	for name, value := range map[string]int{"count": o.Count, "rotate": o.Rotate, "snaplen": o.SnapLen, "duration": int(o.Duration)} {
		if value < 0 {
			fail("--%s must not be negative", name)
		}
	}
	if o.Rotate > 0 && (o.MaxSize == 0 || o.Write == "" || o.Write == "-") {
		fail("--rotate needs --max-size and -w with a file or directory")
	}
	if o.Wireshark && o.Write != "" {
		fail("--wireshark and -w exclude each other")
	}
	if o.Text() && o.MaxSize > 0 {
		fail("--max-size needs -w")
	}
	if o.Write == "-" && o.Format.Structured() {
		fail("-o and -w - exclude each other: both use standard output")
	}
	if o.Mode == "ephemeral" {
		for _, t := range o.Targets {
			if t.Kind == "Node" {
				fail("--mode ephemeral needs pods, and node/%s is a node", t.Name)
			}
		}
	}
	return errs
}

type captureFunc func(context.Context, *cli.Env, *kube.Flags, capture.Options) error

func captureCommand(env *cli.Env, connection *kube.Flags, runF captureFunc) *cobra.Command {
	f := &captureFlags{}
	command := &cobra.Command{
		Use:     "capture TARGET… [-- FILTER]",
		Short:   "Capture packets of pods, workloads, Services or nodes",
		Long:    cli.Long(captureLong),
		Example: cli.Example(env, captureExample),
		Args:    func(*cobra.Command, []string) error { return nil },
		RunE: func(c *cobra.Command, args []string) error {
			names, filter := split(c, args)
			if hint := tcpdumpOption(connection, names, given(c), filter); hint != nil {
				return cli.Usage(hint)
			}
			if err := fromEnvironment(env, c.Flags()); err != nil {
				return err
			}
			o, err := f.toOptions(names, filter)
			if err == nil {
				o.Given = given(c, "selector")
				err = runF(c.Context(), env, connection, o)
			}
			if hint := nodeForPod(connection, names, given(c), filter, err); hint != nil {
				return hint
			}
			if hint := filterWithoutDash(connection, names, given(c), filter, err); hint != nil {
				return hint
			}
			return err
		},
	}
	f.add(command.Flags())
	command.ValidArgsFunction = captureTargets(connection)
	completeWords(command, map[string][]string{"mode": {"auto", "node", "ephemeral"}, "output": {"json", "yaml"}})
	return command
}

package runbooks

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

const (
	// readLimit is how long the workflows may take together; the slowest wait is that for a DNS upstream.
	readLimit = 30 * time.Second
	// watchInterval is how often -w looks: each time also queries the DNS pods.
	watchInterval = 15 * time.Second
)

// flagValues are the flags as typed.
type flagValues struct {
	output, outputFile, selector, color, failOn, fromInput string
	allNamespaces, watch, requireComplete                  bool
	timeout, since                                         time.Duration
}

// Options are the flags understood.
type Options struct {
	AllNamespaces   bool
	Selector        string
	Format          output.Format
	OutputFile      string // written whole, instead of standard output
	Color           output.ColorMode
	Watch           bool
	Interval        time.Duration
	FailOn          finding.Threshold
	RequireComplete bool
	Timeout         time.Duration
	Since           time.Duration // of the changes that are reported; 0: none are
	FromInput       string
	Snapshot        string   // the file to write instead of a report
	Page            string   // the saved report to make a page of instead
	MCP             bool     // serve calls instead
	Namespaces      []string // of which rollouts may be read by a call; none: all

	Connection *kube.Flags
}

var formats = append([]output.FormatKind{
	output.Wide, output.JSON, output.YAML, output.Name, output.JSONPath, output.HTML,
}, output.PublishedKinds()...)

// toOptions reads the flags, and reports everything that is wrong at once.
func (v *flagValues) toOptions(connection *kube.Flags) (Options, error) {
	o := Options{
		AllNamespaces: v.allNamespaces, Selector: v.selector, Watch: v.watch, Interval: watchInterval, RequireComplete: v.requireComplete,
		Timeout: v.timeout, Since: v.since, FromInput: v.fromInput, OutputFile: v.outputFile, Connection: connection,
	}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	var err error
	o.Format, err = output.ParseFormat(v.output, formats...)
	check(err)
	o.Color, err = output.ParseColorMode(v.color)
	check(err)
	o.FailOn, err = finding.ParseThreshold(v.failOn)
	check(err)
	check(v.checkScope())
	if v.since < 0 {
		check(errors.New("--since must be positive"))
	}
	if v.watch {
		check(o.Format.ForbidRepeated("--watch"))
	}
	if v.watch && v.outputFile != "" {
		check(errors.New("--output-file cannot be combined with -w: it holds one report"))
	}
	if v.fromInput != "" && (v.watch || v.selector != "" || v.allNamespaces) {
		check(errors.New("--from-input cannot be combined with -A, -l or -w"))
	}
	return o, cli.Usage(errors.Join(errs...))
}

func (v *flagValues) checkScope() error {
	var errs []error
	if _, err := labels.Parse(v.selector); err != nil {
		errs = append(errs, fmt.Errorf("-l %q: invalid selector: %w", v.selector, err))
	}
	if v.timeout <= 0 {
		errs = append(errs, errors.New("--timeout must be positive"))
	}
	return errors.Join(errs...)
}

package session

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/enter"
)

// Options are a checked command line.
type Options struct {
	Nodes collect.Selection
	Pod   enter.Options

	TTY         string // auto, true, false
	Stdin       string
	HostTTY     bool
	InContainer bool
	PVC         string
	PVCPath     string
	Netns       bool
	Container   string
	Script      string
	Eval        string
	Command     []string
	Timeout     time.Duration
	DryRun      string // none, client, server
	Format      output.Format
	Parallel    int
	Group       bool
	OutputDir   string
	Yes         bool
	Color       output.ColorMode
	Given       []string // the flags as they were given, but those that choose nodes or say what to run
}

// call repeats the call for one target, for next commands.
func (o Options) call(t collect.Target) []string {
	if t.Pod == nil {
		return append([]string{t.Node.Name}, o.Given...)
	}
	return append([]string{"pod/" + t.Pod.Name}, o.Given...)
}

func (o Options) callRest() []string {
	var words []string
	if o.Eval != "" {
		words = []string{"--eval", o.Eval}
	}
	if o.Script != "" {
		words = []string{"--script", o.Script}
	}
	if len(o.Command) > 0 {
		words = append(append(words, "--"), o.Command...)
	}
	return words
}

// shell says that no command was given.
func (o Options) shell() bool { return o.Script == "" && o.Eval == "" && len(o.Command) == 0 }

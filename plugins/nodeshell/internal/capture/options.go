package capture

import (
	"os"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/enter"
)

// Options are a checked `nodeshell capture`.
type Options struct {
	Targets   []target.Ref
	Selector  string
	Filter    string
	Pod       enter.Options
	Device    string
	Write     string
	Wireshark bool
	Duration  time.Duration
	Count     int
	MaxSize   int64 // bytes
	Rotate    int
	SnapLen   int
	Mode      string // auto, node, ephemeral
	Container string
	Tcpdump   string
	Format    output.Format
	Given     []string // the flags as they were given, but those that choose targets
}

// Text says that packets are printed, not written.
func (o Options) Text() bool { return o.Write == "" && !o.Wireshark }

// dir says that -w names a directory.
func (o Options) dir() bool {
	if strings.HasSuffix(o.Write, "/") {
		return true
	}
	info, err := os.Stat(o.Write)
	return err == nil && info.IsDir()
}

// call repeats the words of a capture of one target, for next commands.
func (o Options) call(t collect.Target) (words, rest []string) {
	words = []string{"capture", "node/" + t.Node.Name}
	if t.Pod != nil {
		words[1] = t.Pod.Name
	}
	words = append(words, o.Given...)
	if o.Filter != "" {
		rest = []string{"--", o.Filter}
	}
	return words, rest
}

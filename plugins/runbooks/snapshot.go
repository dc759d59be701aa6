package runbooks

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

func snapshotCommand(env *cli.Env, connection *kube.Flags, run runF) *cobra.Command {
	var values flagValues
	command := &cobra.Command{
		Use:   "snapshot FILE.tar.gz",
		Short: "Save what the workflows read, for a ticket or to explain it elsewhere",
		Long: cli.Long(`Save what nodeinfo, dns check and rollout-explain read into one file, for --from-input. Values that look
			secret are masked, and Secrets are never read. The archive holds one file for each workflow, which is also what its
			own --from-input takes. - writes to standard output.`),
		Example: cli.Example(env, `
			# Save the cluster
			PROGRAM snapshot cluster.tar.gz
			# Explain it elsewhere
			PROGRAM --from-input cluster.tar.gz`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return cli.Usage(errors.New("snapshot takes the name of one file"))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			if err := values.checkScope(); err != nil {
				return cli.Usage(err)
			}
			return run(command.Context(), env, Options{
				AllNamespaces: values.allNamespaces, Selector: values.selector, Timeout: values.timeout, Snapshot: args[0], Connection: connection,
			})
		},
	}
	values.addScope(command)
	return command
}

// The files of a snapshot.
const (
	fileAbout    = "runbooks.json"
	fileNodes    = "nodeinfo.json"
	fileDNS      = "dns.json"
	fileRollouts = "rollout-explain.json"
)

// about is what a snapshot says of itself.
type about struct {
	Time   time.Time                         `json:"time"`
	Scope  report.Scope                      `json:"scope"`
	Unread map[report.Workflow]source.Source `json:"unread,omitempty"`
}

// save writes a snapshot.
func save(env *cli.Env, path string, r *reading) error {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	archive := tar.NewWriter(zip)
	add := func(name string, content any) error {
		data, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return err
		}
		header := tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: r.Time.Truncate(time.Second)}
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		_, err = archive.Write(data)
		return err
	}
	errs := []error{add(fileAbout, about{r.Time, r.Scope, r.Unread})}
	if r.Nodes != nil {
		errs = append(errs, add(fileNodes, r.Nodes))
	}
	if r.DNS != nil {
		errs = append(errs, add(fileDNS, r.DNS))
	}
	if r.Rollouts != nil {
		errs = append(errs, add(fileRollouts, r.Rollouts))
	}
	if err := errors.Join(append(errs, archive.Close(), zip.Close())...); err != nil {
		return err
	}
	return env.WriteFile(path, b.Bytes())
}

// mostUnpacked bounds what a file may unpack to.
const mostUnpacked = 2 << 30

// load reads a snapshot.
func load(env *cli.Env, path string) (*reading, error) {
	data, err := env.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := unpack(data)
	if err != nil {
		return nil, fmt.Errorf("--from-input %q: not a file that the command snapshot wrote: %w", path, err)
	}
	return r, nil
}

func unpack(data []byte) (*reading, error) {
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(io.LimitReader(zip, mostUnpacked))
	r, a, found := &reading{}, about{}, false
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var into any
		switch header.Name {
		case fileAbout:
			into, found = &a, true
		case fileNodes:
			r.Nodes = &nodeinfo.Reading{}
			into = r.Nodes
		case fileDNS:
			r.DNS = &dns.Reading{}
			into = r.DNS
		case fileRollouts:
			r.Rollouts = &rolloutexplain.Reading{}
			into = r.Rollouts
		default:
			continue
		}
		if err := json.NewDecoder(archive).Decode(into); err != nil {
			return nil, fmt.Errorf("%s: %w", header.Name, err)
		}
	}
	if !found {
		return nil, errors.New(fileAbout + " is missing")
	}
	r.Time, r.Scope, r.Unread = a.Time, a.Scope, a.Unread
	return r, nil
}

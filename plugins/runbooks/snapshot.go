package runbooks

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
		Use:   "snapshot FILE.tar.gz|DIRECTORY/",
		Short: "Save what the workflows read, for a ticket or to explain it elsewhere",
		Long: cli.Long(`Save what nodeinfo, dns check and rollout-explain read into one archive, or into a directory (one that exists, or
			a name that ends in /), for --from-input. Values that look secret are masked, and values of Secrets are never read. Both hold one
			file for each workflow, which is also what its own --from-input takes. - writes the archive to standard output.`),
		Example: cli.Example(env, `
			# Save the cluster
			PROGRAM snapshot cluster.tar.gz
			# Explain it elsewhere
			PROGRAM --from-input cluster.tar.gz
			# Save it into files, and read one of them with the plugin that it is of
			PROGRAM snapshot cluster/
			kubectl dns check --from-input cluster/dns.json`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return cli.Usage(errors.New("snapshot takes the name of one file or directory"))
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

// file is one of a snapshot.
type file struct {
	name string
	data []byte
}

// files are those of a snapshot.
func (r *reading) files() ([]file, error) {
	var list []file
	var errs []error
	add := func(name string, content any) {
		data, err := json.MarshalIndent(content, "", "  ")
		list, errs = append(list, file{name, append(data, '\n')}), append(errs, err)
	}
	add(fileAbout, about{r.Time, r.Scope, r.Unread})
	if r.Nodes != nil {
		add(fileNodes, r.Nodes)
	}
	if r.DNS != nil {
		add(fileDNS, r.DNS)
	}
	if r.Rollouts != nil {
		add(fileRollouts, r.Rollouts)
	}
	return list, errors.Join(errs...)
}

// save writes a snapshot.
func save(env *cli.Env, path string, r *reading) error {
	files, err := r.files()
	if err != nil {
		return err
	}
	if isDirectory(path) {
		return saveDirectory(path, files)
	}
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	archive := tar.NewWriter(zip)
	var errs []error
	for _, f := range files {
		header := tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.data)), ModTime: r.Time.Truncate(time.Second)}
		errs = append(errs, archive.WriteHeader(&header))
		_, err := archive.Write(f.data)
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, archive.Close(), zip.Close())...); err != nil {
		return err
	}
	return env.WriteFile(path, b.Bytes())
}

// isDirectory says whether a path is one, or is to be.
func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() || err != nil && os.IsPathSeparator(path[len(path)-1])
}

// saveDirectory writes the files of a snapshot, and leaves none of an earlier one.
func saveDirectory(path string, files []file) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for _, name := range []string{fileAbout, fileNodes, fileDNS, fileRollouts} {
		if err := os.Remove(filepath.Join(path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(path, f.name), f.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// mostUnpacked bounds what a file may unpack to.
const mostUnpacked = 2 << 30

// load reads a snapshot.
func load(env *cli.Env, path string) (*reading, error) {
	r, err := loadFrom(env, path)
	if err != nil {
		return nil, fmt.Errorf("--from-input %q: %w", path, err)
	}
	return r, nil
}

func loadFrom(env *cli.Env, path string) (*reading, error) {
	if path != "" && isDirectory(path) {
		r, err := readDirectory(path)
		if err != nil {
			return nil, fmt.Errorf("not a directory that the command snapshot wrote: %w", err)
		}
		return r, nil
	}
	data, err := env.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := unpack(data)
	if err != nil {
		return nil, fmt.Errorf("not a file that the command snapshot wrote: %w", err)
	}
	return r, nil
}

func readDirectory(path string) (*reading, error) {
	r, found := &reading{}, false
	for _, name := range []string{fileAbout, fileNodes, fileDNS, fileRollouts} {
		data, err := os.ReadFile(filepath.Join(path, name)) //nolint:gosec // of the directory that the user names
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = found || name == fileAbout
		if err := r.take(name, bytes.NewReader(data)); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, errors.New(fileAbout + " is missing")
	}
	return r, nil
}

func unpack(data []byte) (*reading, error) {
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(io.LimitReader(zip, mostUnpacked))
	r, found := &reading{}, false
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		found = found || header.Name == fileAbout
		if err := r.take(header.Name, archive); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, errors.New(fileAbout + " is missing")
	}
	return r, nil
}

// take reads a file of a snapshot; others are left alone.
func (r *reading) take(name string, data io.Reader) error {
	var into any
	a := about{}
	switch name {
	case fileAbout:
		into = &a
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
		return nil
	}
	if err := json.NewDecoder(data).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if name == fileAbout {
		r.Time, r.Scope, r.Unread = a.Time, a.Scope, a.Unread
	}
	return nil
}

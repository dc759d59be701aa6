package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Builder builds components of a source tree into the cache.
type Builder struct {
	Root   host.Root
	Source string // the directory that holds components/
	Report func(format string, args ...any)
}

// Binaries says where the built programs are.
type Binaries struct {
	Dir     string            // one directory with every program and link
	Workers string            // the same for workers with a kubelet of another version; empty without one
	Keys    map[string]string // component name to the key of its content
}

// Path is the place of a program.
func (b Binaries) Path(program string) string { return filepath.Join(b.Dir, program) }

// Build makes the named components, or finds them made: one after another, Kubernetes first. The compiler works on all processors as it is,
// and what components share (their module files have it in equal versions) is compiled once: two that are built at a time would both compile it.
func (b *Builder) Build(ctx context.Context, names []string) (Binaries, error) {
	toolchain, err := toolchain(ctx)
	if err != nil {
		return Binaries{}, err
	}
	made := Binaries{Keys: map[string]string{}}
	var fails []error
	for _, c := range Components() {
		if !slices.Contains(names, c.Name) {
			continue
		}
		key, err := b.component(ctx, c, toolchain)
		if err != nil {
			fails = append(fails, err)
			continue
		}
		made.Keys[c.Name] = key
	}
	if len(fails) > 0 {
		return Binaries{}, errors.Join(fails...)
	}
	made.Dir, err = b.link(made.Keys)
	return made, err
}

// toolchain names the Go version and platform, which are part of every key.
func toolchain(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH", "GOAMD64").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version (is go installed?): %w", err)
	}
	return strings.Join(strings.Fields(string(out)), " "), nil
}

// component builds one component if the cache does not hold it.
func (b *Builder) component(ctx context.Context, c Component, toolchain string) (string, error) {
	source := filepath.Join(b.Source, "components", c.source())
	key, err := Key(source, c, toolchain)
	if err != nil {
		return "", err
	}
	final := b.dir(c.Name, key)
	if host.Exists(final) {
		return key, nil
	}
	release, err := host.Lock(ctx, b.Root.Join("locks", "build-"+c.Name), func() {
		b.Report("waiting for another build of %s", c.Name)
	})
	if err != nil {
		return "", err
	}
	defer release()
	if host.Exists(final) {
		return key, nil
	}
	b.Report("building %s", c.Name)
	if err := b.compile(ctx, c, source, final); err != nil {
		return "", fmt.Errorf("build %q: %w", c.Name, err)
	}
	b.Report("built %s", c.Name)
	return key, nil
}

func (b *Builder) dir(component, key string) string {
	return b.Root.Join("components", component+"-"+key)
}

// compile builds into a directory beside the final one and renames it, so that
// a half-made component is never taken for a whole one.
func (b *Builder) compile(ctx context.Context, c Component, source, final string) error {
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return err
	}
	// The lock is held, so what lies about is of a build that was killed.
	prefix := ".building-" + c.Name + "-"
	stale, err := filepath.Glob(filepath.Join(filepath.Dir(final), prefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	temp, err := os.MkdirTemp(filepath.Dir(final), prefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) //nolint:errcheck // gone after the rename
	for i, pkg := range c.Packages {
		output := filepath.Join(temp, programName(c, pkg))
		if i == 0 && c.Program != "" {
			output = filepath.Join(temp, c.Program)
		}
		cmd := goCommand(ctx, source, "build", "-modfile="+c.modFile(), "-ldflags", strings.TrimSpace(c.LDFlags+" -s -w"), "-o", output, pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", pkg, err, tail(string(out), 20))
		}
	}
	if c.Manifest.Path != "" {
		if err := keep(ctx, source, append(slices.Clone(c.Definitions), c.Manifest), filepath.Join(temp, c.Name+".yaml")); err != nil {
			return err
		}
	}
	for _, link := range c.Links {
		if err := os.Symlink(programName(c, c.Packages[0]), filepath.Join(temp, link)); err != nil {
			return err
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return os.Rename(temp, final)
}

// programName is the last element of a package's path, unless that says nothing.
func programName(c Component, pkg string) string {
	if name := path.Base(pkg); name != "." && name != "cmd" {
		return name
	}
	return c.source()
}

// goCommand runs go in a component's module. The build must not depend on a workspace or on flags that the
// caller happens to have set; no C compiler is on a new machine. The flags are those of the Makefile: what plugins and Kubernetes both
// consist of is compiled once.
func goCommand(ctx context.Context, source string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false -trimpath -gcflags=all=-dwarf=false")
	if os.Getenv("GOGC") == "" && roomy() {
		cmd.Env = append(cmd.Env, "GOGC=400")
	}
	return cmd
}

// roomy says whether each compiler that runs at once may have 3 GiB. Then they collect their garbage less often: building
// kubectl-nodeinfo from nothing took 154 s of processor time instead of 182.
func roomy() bool {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return false
	}
	return available(string(data)) >= uint64(runtime.NumCPU())*3<<30
}

// available is MemAvailable of /proc/meminfo, in bytes; 0 where it is not stated.
// https://docs.kernel.org/filesystems/proc.html#meminfo
func available(meminfo string) uint64 {
	for line := range strings.Lines(meminfo) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// source is the directory of the component that requires the module, beside that of the component whose manifest it is.
func (f ModuleFile) source(own string) string {
	if f.Of == "" {
		return own
	}
	return filepath.Join(filepath.Dir(own), f.Of)
}

// keep copies files of modules into one: the modules themselves may go from the machine, and what was built of them stays.
func keep(ctx context.Context, source string, files []ModuleFile, target string) error {
	var kept []byte
	for _, file := range files {
		dir, err := goCommand(ctx, file.source(source), "list", "-m", "-f", "{{.Dir}}", file.Module).Output()
		if err != nil {
			return fmt.Errorf("find module %q: %w", file.Module, err)
		}
		data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), file.Path))
		if err != nil {
			return err
		}
		if len(kept) > 0 {
			kept = append(kept, "\n---\n"...)
		}
		kept = append(kept, data...)
	}
	return os.WriteFile(target, kept, 0o644)
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// link gathers the programs of several components in one directory, to stand
// in PATH. What a later component calls like an earlier one's takes its place: an older kubelet.
func (b *Builder) link(keys map[string]string) (string, error) {
	var parts []string
	for _, c := range Components() {
		if key, made := keys[c.Name]; made {
			parts = append(parts, c.Name+"-"+key)
		}
	}
	final := b.Root.Join("bin", KeyOf(parts...))
	if host.Exists(final) {
		return final, nil
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(filepath.Dir(final), ".linking-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp) //nolint:errcheck // gone after the rename
	for _, part := range parts {
		programs, err := os.ReadDir(b.Root.Join("components", part))
		if err != nil {
			return "", err
		}
		for _, p := range programs {
			target, place := filepath.Join("..", "..", "components", part, p.Name()), filepath.Join(temp, p.Name())
			if err := os.Remove(place); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			if err := os.Symlink(target, place); err != nil {
				return "", err
			}
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(temp, final); err != nil && !host.Exists(final) {
		return "", err
	}
	return final, nil
}

// compiledFrom is this program's own module, which the Makefile gives.
var compiledFrom string

// FindSource looks for the directory with the components: from the working
// directory upwards, then where this program was compiled.
func FindSource() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{dir, filepath.Join(dir, "test", "cluster")} {
			if host.Exists(filepath.Join(candidate, "components", Kube, "go.mod")) {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if compiledFrom != "" && host.Exists(filepath.Join(compiledFrom, "components", Kube, "go.mod")) {
		return compiledFrom, nil
	}
	return "", errors.New("find the component sources: run inside the checkout")
}

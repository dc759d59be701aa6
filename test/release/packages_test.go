package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// packages gives the packages of one format.
func packages(t *testing.T, b snapshot, format string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.dist, "*."+format))
	if err != nil || len(files) == 0 {
		t.Fatalf("no .%s in %s: %v", format, b.dist, err)
	}
	return files
}

// inPackage is what a package must install, with modes as numbers.
func inPackage(t *testing.T) map[string]string {
	t.Helper()
	want := map[string]string{"usr/share/doc/kubectl-runbooks/copyright": "644"}
	for _, name := range plugins(t) {
		file := strings.TrimSuffix(linkName(name, ""), ".exe")
		want["usr/bin/"+file] = "755"
		want["usr/bin/"+strings.Replace(file, "kubectl-", "kubectl_complete-", 1)] = "755"
	}
	pages, err := filepath.Glob("../../docs/man/*.1")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no manual pages: %v", err)
	}
	for _, page := range pages {
		want["usr/share/man/man1/"+filepath.Base(page)] = "644"
	}
	return want
}

func TestPackagesHoldThePluginsTheirPagesAndTheirCompletion(t *testing.T) {
	if !strings.HasPrefix(here, "linux/") && *dist == "" {
		t.Skip("packages are built for Linux")
	}
	b := built(t)
	want := inPackage(t)
	for _, file := range packages(t, b, "deb") {
		if d := cmp.Diff(want, debFiles(t, file)); d != "" {
			t.Errorf("%s (-want +got):\n%s", file, d)
		}
	}
	for _, file := range packages(t, b, "rpm") {
		if d := cmp.Diff(want, rpmFiles(t, file)); d != "" {
			t.Errorf("%s (-want +got):\n%s", file, d)
		}
	}
}

// What is unpacked runs, and completes through the file that kubectl calls.
func TestWhatAPackageInstallsRuns(t *testing.T) {
	if !strings.HasPrefix(here, "linux/") {
		t.Skip("packages are for Linux")
	}
	b := built(t)
	root := t.TempDir()
	for _, file := range packages(t, b, "deb") {
		if !strings.Contains(file, strings.ReplaceAll(here, "/", "_")) {
			continue
		}
		unpack := gzipped(t, ar(t, file)["data.tar.gz"])
		c := exec.Command("tar", "-x", "-f", "-", "-C", root)
		c.Stdin = bytes.NewReader(unpack)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	path := filepath.Join(root, "usr/bin") + ":" + handingOver(t)
	for _, name := range plugins(t) {
		file := strings.Replace(strings.TrimSuffix(linkName(name, ""), ".exe"), "kubectl-", "kubectl_complete-", 1)
		c := exec.Command(filepath.Join(root, "usr/bin", file), "vers") //nolint:gosec // what was unpacked
		c.Env = append(os.Environ(), "PATH="+path)
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "version") {
			t.Errorf("%s vers<Tab>: %v\n%s", name, err, out)
		}
	}
}

// ar reads the members of an archive of the ar format, in which a Debian package comes: https://man7.org/linux/man-pages/man5/deb.5.html
func ar(t *testing.T, file string) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	if !ok {
		t.Fatalf("%s is no ar archive", file)
	}
	members := map[string][]byte{}
	for len(data) >= 60 {
		name := strings.TrimRight(strings.TrimSpace(string(data[:16])), "/")
		size, err := strconv.Atoi(strings.TrimSpace(string(data[48:58])))
		if err != nil || 60+size > len(data) {
			t.Fatalf("%s: member %q: %v", file, name, err)
		}
		members[name] = data[60 : 60+size]
		data = data[min(60+size+size%2, len(data)):]
	}
	return members
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func debFiles(t *testing.T, file string) map[string]string {
	t.Helper()
	files := map[string]string{}
	members := ar(t, file)
	for r := tar.NewReader(bytes.NewReader(gzipped(t, members["data.tar.gz"]))); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			files[strings.TrimPrefix(h.Name, "./")] = strconv.FormatInt(h.Mode&0o777, 8)
			if h.Uname != "root" || h.Gname != "root" {
				t.Errorf("%s: %s belongs to %s:%s", file, h.Name, h.Uname, h.Gname)
			}
		}
	}
	return files
}

// rpmFiles reads the cpio archive at the end of an RPM package: https://rpm.org/docs/latest/manual/format_payload.html
func rpmFiles(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte{0x1f, 0x8b, 0x08})
	if !bytes.HasPrefix(data, []byte{0xed, 0xab, 0xee, 0xdb}) || at < 0 {
		t.Fatalf("%s is no RPM package with a gzip payload", file)
	}
	cpio := gzipped(t, data[at:])
	files := map[string]string{}
	field := func(i int) int64 { // of the header: 8 hexadecimal digits each, after the magic of 6
		n, err := strconv.ParseInt(string(cpio[6+8*i:14+8*i]), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	pad := func(n int64) int64 { return (n + 3) &^ 3 }
	for len(cpio) >= 110 {
		mode, size, nameSize := field(1), field(6), field(11)
		name := strings.TrimRight(string(cpio[110:110+nameSize]), "\x00")
		if name == "TRAILER!!!" {
			break
		}
		if mode&0o170000 == 0o100000 {
			files[strings.TrimPrefix(strings.TrimPrefix(name, "."), "/")] = fmt.Sprintf("%o", mode&0o777)
		}
		cpio = cpio[pad(110+nameSize)+pad(size):]
	}
	return files
}

package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A command that was started ends when this program is killed: nobody is left who waits for it.
func TestACommandEndsWithTheProgram(t *testing.T) {
	if file := os.Getenv("TIED"); file != "" { // the program that is killed
		_, _ = Run(context.Background(), "", "sh", "-c", "echo $$ >"+file+"; exec sleep 1000")
		return
	}
	file := filepath.Join(t.TempDir(), "pid")
	program := exec.Command(os.Args[0], "-test.run=^TestACommandEndsWithTheProgram$") //nolint:gosec // this test
	program.Env = append(os.Environ(), "TIED="+file)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	pid := ""
	for i := 0; i < 3000 && pid == ""; i++ {
		data, _ := os.ReadFile(file)
		pid = strings.TrimSpace(string(data))
		time.Sleep(10 * time.Millisecond)
	}
	if err := program.Process.Kill(); err != nil || pid == "" {
		t.Fatal(err, pid)
	}
	_ = program.Wait()
	for range 1000 {
		if _, err := os.Stat(fmt.Sprintf("/proc/%s/exe", pid)); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %s runs on", pid)
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes a module with one test file.
func module(t *testing.T, test string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.test/m\n", "m.go": "package m\n", "m_test.go": "package m\n\nimport \"testing\"\n\n" + test} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

func TestASkippedTestIsPrintedAndInCIRefused(t *testing.T) {
	module(t, `func TestA(t *testing.T) { t.Log("kept to itself") }
func TestB(t *testing.T) { t.Run("part", func(t *testing.T) { t.Skip("needs a moon") }) }
`)
	for _, c := range []struct {
		strict bool
		code   int
	}{{false, 0}, {true, 1}} {
		var out strings.Builder
		if code := run([]string{"./..."}, &out, c.strict); code != c.code {
			t.Errorf("strict %t: exit %d", c.strict, code)
		}
		text := out.String()
		if !strings.Contains(text, "skipped: example.test/m TestB/part: m_test.go:6: needs a moon\n") || !strings.Contains(text, "ok  \texample.test/m") || strings.Contains(text, "kept to itself") {
			t.Errorf("strict %t:\n%s", c.strict, text)
		}
	}
}

func TestAFailureIsPrintedWhole(t *testing.T) {
	module(t, `func TestA(t *testing.T) { t.Log("before"); t.Run("part", func(t *testing.T) { t.Error("wrong") }) }
`)
	var out strings.Builder
	if code := run([]string{"./..."}, &out, false); code != 1 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"before", "wrong", "--- FAIL: TestA", "FAIL\texample.test/m"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lost: %q of\n%s", want, out.String())
		}
	}
}

// A package that is ended by its time limit, or by a test that exits, ends tests without a word of how.
func TestATestThatDidNotEndIsPrinted(t *testing.T) {
	for limit, test := range map[string]string{
		"1s":  `func TestA(t *testing.T) { t.Run("part", func(t *testing.T) { println("the last words"); select {} }) }`,
		"10s": "func TestA(t *testing.T) { println(\"the last words\"); go panic(\"it ends\"); select {} }",
	} {
		module(t, test+"\nfunc TestB(t *testing.T) {}\n")
		var out strings.Builder
		if code := run([]string{"-timeout", limit, "./..."}, &out, false); code != 1 {
			t.Errorf("exit %d", code)
		}
		for _, want := range []string{"the last words", "panic: ", "FAIL\texample.test/m"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: lost: %q of\n%s", limit, want, out.String())
			}
		}
	}
}

func TestABuildThatFailsIsPrinted(t *testing.T) {
	module(t, "func TestA(t *testing.T) { undefined() }\n")
	var out strings.Builder
	if code := run([]string{"./..."}, &out, false); code != 1 || !strings.Contains(out.String(), "undefined: undefined") {
		t.Errorf("exit %d\n%s", code, out.String())
	}
}

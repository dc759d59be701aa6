package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

func TestEscape(t *testing.T) {
	tests := []struct {
		name, typed, sent string
		dropped, help     bool
	}{
		{"at the very start", "~.", "", true, false},
		{"after a return", "ls\r~.", "ls\r", true, false},
		{"within a line it is text", "ls ~.\r", "ls ~.\r", false, false},
		{"a home directory at the start of a line", "~/bin/x\r", "~/bin/x\r", false, false},
		{"doubled, it is sent once", "\r~~.\r", "\r~.\r", false, false},
		{"help", "\r~?x", "\rx", false, true},
		{"held back at the end of input", "~", "~", false, false},
		{"bytes of every kind", "\x00\xff\x1b[A~\r", "\x00\xff\x1b[A~\r", false, false},
	}
	for _, test := range tests {
		for _, slow := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				var in io.Reader = strings.NewReader(test.typed)
				if slow {
					in = iotest.OneByteReader(in)
				}
				var help bytes.Buffer
				var dropped error
				e := &escape{in: in, say: &help, drop: func(err error) { dropped = err }}
				sent, err := io.ReadAll(e)
				if err != nil || string(sent) != test.sent {
					t.Errorf("sent %q, %v; want %q", sent, err, test.sent)
				}
				if errors.Is(dropped, errDropped) != test.dropped || (help.Len() > 0) != test.help {
					t.Errorf("dropped %v, help %q", dropped, help.String())
				}
			})
		}
	}
}

func TestFoldGroupsWhatIsEqual(t *testing.T) {
	outputs := []nodeOutput{{"w3", "b", "0"}, {"w2", "a\n", "0"}, {"w1", "a\n", "0"}, {"w0", "a\n", "2"}}
	want := "== w1,w2 (2 nodes) ==\na\n== w0, exit code 2 ==\na\n== w3 ==\nb\n"
	if d := cmp.Diff(want, fold(outputs)); d != "" {
		t.Error(d)
	}
	outputs[0], outputs[3] = outputs[3], outputs[0]
	if d := cmp.Diff(want, fold(outputs)); d != "" {
		t.Errorf("in another order: %s", d)
	}
}

func TestInterpreter(t *testing.T) {
	tests := []struct {
		script, want, err string
	}{
		{"echo hi\n", "sh -s -- a b", ""},
		{"#!/bin/bash -eu\nx\n", "/bin/bash -eu -s -- a b", ""},
		{"#!/usr/bin/env python3\nx\n", "python3 - a b", ""},
		{"#!/usr/bin/perl -w\n", "/usr/bin/perl -w - a b", ""},
		{"#!/usr/bin/node\n", "", "unknown here"},
		{"#!\n", "", "names no interpreter"},
		{"", "sh -s -- a b", ""},
	}
	for _, test := range tests {
		argv, err := interpreter([]byte(test.script), []string{"a", "b"})
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v", test.script, err)
			}
			continue
		}
		if got := strings.Join(argv, " "); err != nil || got != test.want {
			t.Errorf("%q: %q, %v; want %q", test.script, got, err, test.want)
		}
	}
}

// Bytes that are no text are not changed on their way into JSON: they stand in a field that names its encoding.
func TestOutputThatIsNoTextIsEncoded(t *testing.T) {
	for text, want := range map[string]string{"plain ü": "", "\xff\x00\x1e": "/wAe", "": ""} {
		o := report.Outcome{Stdout: text}
		encode(&o.Stdout, &o.StdoutBase64)
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var back struct {
			Stdout       string  `json:"stdout"`
			StdoutBase64 *string `json:"stdoutBase64"`
		}
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		switch {
		case want == "" && (back.StdoutBase64 != nil || back.Stdout != text):
			t.Errorf("%q: %s", text, data)
		case want != "" && (back.StdoutBase64 == nil || *back.StdoutBase64 != want || back.Stdout != ""):
			t.Errorf("%q: %s", text, data)
		}
	}
}

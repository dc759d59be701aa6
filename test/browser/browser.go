// Package browser looks at the pages that kubectl runbooks writes, in a real browser: nothing overflows, nothing is requested, the
// script works.
package browser

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// browser is a headless Chromium, spoken to over two pipes (--remote-debugging-pipe; messages end with a zero byte,
// https://chromedevtools.github.io/devtools-protocol/).
type browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	session string // of the page
	last    int
	events  []event
}

// event is what the browser tells without being asked.
type event struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// program is the browser; one that is missing is a failure: what nobody looked at is not tested.
func program(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium: install the Debian package chromium (test/deps.sh chromium does, as root)")
	return ""
}

// start runs a browser with one empty page; it ends with the test.
func start(t *testing.T) *browser {
	t.Helper()
	command := exec.Command(program(t), "--headless", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "--no-sandbox", "--no-first-run",
		"--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "about:blank")
	command.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stderr bytes.Buffer
	command.Stderr = &stderr
	in, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.ExtraFiles = []*os.File{in, out} // 3 and 4
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	b := &browser{t: t, to: to, from: bufio.NewReaderSize(from, 1<<20)}
	stop := time.AfterFunc(8*time.Minute, func() { command.Process.Kill() }) //nolint:errcheck // it may have ended
	t.Cleanup(func() {
		b.call("Browser.close", nil, nil)
		to.Close()
		command.Wait() //nolint:errcheck // it was told to end
		stop.Stop()
		if t.Failed() {
			t.Logf("%.2000s", stderr.String())
		}
	})
	var targets struct {
		TargetInfos []struct{ TargetID, Type string }
	}
	b.call("Target.getTargets", nil, &targets)
	i := slices.IndexFunc(targets.TargetInfos, func(x struct{ TargetID, Type string }) bool { return x.Type == "page" })
	if i < 0 {
		t.Fatalf("no page: %+v", targets)
	}
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": targets.TargetInfos[i].TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Log", "Runtime"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call sends a command and reads up to its answer.
func (b *browser) call(method string, params any, result any) {
	b.t.Helper()
	b.last++
	message := map[string]any{"id": b.last, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" && !strings.HasPrefix(method, "Browser.") {
		message["sessionId"] = b.session
	}
	data, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(data, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		answer := b.read(method)
		if answer.ID != b.last {
			continue
		}
		if answer.Error != nil {
			b.t.Fatalf("%s: %s", method, *answer.Error)
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.t.Fatalf("%s: %v: %s", method, err, answer.Result)
			}
		}
		return
	}
}

type answer struct {
	event

	ID     int              `json:"id"`
	Result json.RawMessage  `json:"result"`
	Error  *json.RawMessage `json:"error"`
}

// read reads one message; events are kept.
func (b *browser) read(what string) answer {
	b.t.Helper()
	data, err := b.from.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("%s: the browser ended: %v", what, err)
	}
	var a answer
	if err := json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &a); err != nil {
		b.t.Fatal(err)
	}
	if a.Method != "" {
		b.events = append(b.events, a.event)
	}
	return a
}

// show sets the width of the window, and light or dark.
func (b *browser) show(width int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// open loads a file.
func (b *browser) open(file string) {
	b.t.Helper()
	b.events = nil
	b.call("Page.navigate", map[string]any{"url": "file://" + file}, nil)
	for !slices.ContainsFunc(b.events, func(e event) bool { return e.Method == "Page.loadEventFired" }) {
		b.read("load")
	}
}

// eval gives the value of an expression in the page.
func (b *browser) eval(expression string, into any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, *r.ExceptionDetails)
	}
	if into != nil {
		if err := json.Unmarshal(r.Result.Value, into); err != nil {
			b.t.Fatalf("%s: %v: %s", expression, err, r.Result.Value)
		}
	}
}

// screenshot writes the whole page as a PNG, but no more than this height.
func (b *browser) screenshot(file string, width, most int) {
	b.t.Helper()
	var height int
	b.eval("document.documentElement.scrollHeight", &height)
	var shot struct{ Data []byte }
	clip := map[string]any{"x": 0, "y": 0, "width": width, "height": min(height, most), "scale": 1}
	b.call("Page.captureScreenshot", map[string]any{"clip": clip, "captureBeyondViewport": true}, &shot)
	if len(shot.Data) < 1000 {
		b.t.Errorf("%s is empty", file)
	}
	if err := os.WriteFile(file, shot.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// complaints are the requests that a page made beside its own file, and what the browser refused or failed to run.
func (b *browser) complaints(file string) []string {
	var list []string
	for _, e := range b.events {
		var p struct {
			Request          struct{ URL string }
			Entry            struct{ Level, Text string }
			Type             string
			ExceptionDetails json.RawMessage
		}
		if err := json.Unmarshal(e.Params, &p); err != nil {
			b.t.Fatal(err)
		}
		switch {
		case e.Method == "Network.requestWillBeSent" && p.Request.URL != "file://"+file:
			list = append(list, "requests "+p.Request.URL)
		case e.Method == "Log.entryAdded":
			list = append(list, p.Entry.Level+": "+p.Entry.Text)
		case e.Method == "Runtime.exceptionThrown":
			list = append(list, fmt.Sprintf("exception: %s", p.ExceptionDetails))
		case e.Method == "Runtime.consoleAPICalled" || e.Method == "Page.javascriptDialogOpening":
			list = append(list, e.Method)
		}
	}
	return list
}

// Command testapp is a workload that misbehaves as it is told: the only file of
// an image without shell, libc or anything else, for tests of workloads.
//
// Every flag can also be set through the environment (TESTAPP_READY_AFTER=30s
// for --ready-after), so that a pod changes without a change of its command.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type options struct {
	network, listen                     string
	readyAfter, liveFor, exitAfter      time.Duration
	startDelay, termDelay, requestDelay time.Duration
	exitCode, allocateMiB               int
	ignoreTerm, burnCPU                 bool
	message, terminationMessage, body   string
}

func main() {
	o := parse()
	if o.message != "" {
		fmt.Println(o.message)
	}
	fmt.Fprintf(os.Stderr, "testapp %s started, pid %d\n", version(), os.Getpid())
	time.Sleep(o.startDelay)
	keep := allocate(o.allocateMiB)
	if o.burnCPU {
		go burn()
	}
	if o.exitAfter >= 0 {
		go func() {
			time.Sleep(o.exitAfter)
			end(o, o.exitCode)
		}()
	}
	go serve(o)
	wait(o)
	_ = keep
}

func parse() options {
	var o options
	flag.StringVar(&o.listen, "listen", ":8080", "address to serve /, /ready, /live and /exit?code=N on; empty serves nothing")
	flag.StringVar(&o.network, "network", "tcp", "tcp, or tcp4 or tcp6 to listen on addresses of one family alone")
	flag.DurationVar(&o.readyAfter, "ready-after", 0, "time until /ready answers 200; negative: never")
	flag.DurationVar(&o.liveFor, "live-for", -1, "time after which /live answers 500; negative: never")
	flag.DurationVar(&o.exitAfter, "exit-after", -1, "time after which the program ends; negative: never")
	flag.IntVar(&o.exitCode, "exit-code", 0, "exit code of --exit-after and of a termination")
	flag.DurationVar(&o.startDelay, "start-delay", 0, "time before it listens")
	flag.BoolVar(&o.ignoreTerm, "ignore-term", false, "ignore SIGTERM")
	flag.DurationVar(&o.termDelay, "term-delay", 0, "time between SIGTERM and the end")
	flag.DurationVar(&o.requestDelay, "request-delay", 0, "time that every answer takes")
	flag.IntVar(&o.allocateMiB, "allocate-mib", 0, "memory to hold, in MiB")
	flag.BoolVar(&o.burnCPU, "burn-cpu", false, "use one core fully")
	flag.StringVar(&o.message, "message", "", "line to print at the start")
	flag.StringVar(&o.terminationMessage, "termination-message", "", "text for /dev/termination-log at the end")
	flag.StringVar(&o.body, "body", "", "body of /; empty: version and host name")
	flag.VisitAll(func(f *flag.Flag) {
		key := "TESTAPP_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := os.LookupEnv(key); ok {
			if err := f.Value.Set(value); err != nil {
				fmt.Fprintf(os.Stderr, "testapp: %q: %v\n", key, err)
				os.Exit(2)
			}
		}
	})
	flag.Parse()
	return o
}

func serve(o options) {
	if o.listen == "" {
		return
	}
	started := time.Now()
	var killed atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		status(w, o.readyAfter >= 0 && time.Since(started) >= o.readyAfter)
	})
	mux.HandleFunc("/live", func(w http.ResponseWriter, _ *http.Request) {
		status(w, !killed.Load() && (o.liveFor < 0 || time.Since(started) < o.liveFor))
	})
	mux.HandleFunc("/sicken", func(http.ResponseWriter, *http.Request) { killed.Store(true) })
	mux.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		code := 0
		fmt.Sscan(r.URL.Query().Get("code"), &code) //nolint:errcheck // no code given is code 0
		end(o, code)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(o.requestDelay)
		if o.body != "" {
			fmt.Fprintln(w, o.body)
			return
		}
		host, _ := os.Hostname()
		fmt.Fprintf(w, "testapp %s on %s\n", version(), host)
	})
	listener, err := net.Listen(o.network, o.listen)
	if err == nil {
		err = http.Serve(listener, mux)
	}
	fmt.Fprintf(os.Stderr, "testapp: %v\n", err)
	end(o, 1)
}

func status(w http.ResponseWriter, ok bool) {
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, ok)
}

// wait blocks until a termination that is not ignored.
func wait(o options) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	for s := range signals {
		fmt.Fprintf(os.Stderr, "testapp: %s\n", s)
		if s == syscall.SIGTERM && o.ignoreTerm {
			continue
		}
		time.Sleep(o.termDelay)
		end(o, o.exitCode)
	}
}

func end(o options, code int) {
	if o.terminationMessage != "" {
		os.WriteFile("/dev/termination-log", []byte(o.terminationMessage), 0o644) //nolint:errcheck // it ends either way
	}
	os.Exit(code)
}

// version is what the image says it is, so that :1 and :2 can be told apart.
func version() string {
	if v := os.Getenv("TESTAPP_VERSION"); v != "" {
		return v
	}
	return "unknown"
}

// allocate touches every page, for untouched memory is not used.
func allocate(mib int) []byte {
	held := make([]byte, mib<<20)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	return held
}

func burn() {
	for { //nolint:staticcheck // to burn is the purpose
	}
}

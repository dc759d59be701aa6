package evaluate

import (
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

const hostPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// enterHost joins the namespaces of the host's first process. The process namespace is the host's already (hostPID), so
// -p would only add a process between us and the command. The cgroup is not joined: what a session starts ends with it.
var enterHost = []string{"nsenter", "-t", "1", "-m", "-u", "-i", "-n", "--"}

// loginShell prefers bash; the environment says which it is.
const loginShell = `cd "$HOME" 2>/dev/null; if command -v bash >/dev/null; then SHELL=$(command -v bash) exec bash -l; fi; exec sh -l`

// imageShell starts in the host's root, which hostPID shows, and makes it known as /host.
const imageShell = `[ -e /host ] || ln -s /proc/1/root /host 2>/dev/null; cd /proc/1/root; exec sh -l`

// remoteCommand is the argv that is exec'd in the container.
func remoteCommand(o Options, onWindows, inContainer bool) []string {
	if onWindows {
		return windowsCommand(o)
	}
	if inContainer {
		return append(cleanEnv(o), innerCommand(o, true)...)
	}
	return append(append(cleanEnv(o), enterHost...), hostCommand(o)...)
}

// hostShell is the node's own: a path, never a name.
const hostShell = "/bin/sh"

// hostCommand is what nsenter runs on the node. A busybox that is built to prefer its own applets
// (https://git.busybox.net/busybox/tree/Config.in, FEATURE_PREFER_APPLETS, as Debian's is) takes "tar" or "sh" for an
// applet and runs itself, out of the image and within the node's file system. It never does so with a path: the node's
// shell, by its path, looks every other word up.
func hostCommand(o Options) []string {
	argv := innerCommand(o, false)
	switch {
	case argv[0] == "sh":
		return append([]string{hostShell}, argv[1:]...)
	case strings.Contains(argv[0], "/"):
		return argv // needs no shell, and a node may have none
	}
	return append([]string{hostShell, "-c", `exec "$@"`, "sh"}, argv...)
}

func innerCommand(o Options, inContainer bool) []string {
	var argv []string
	switch {
	case len(o.Script) > 0:
		argv = o.Script
	case o.Eval != "":
		argv = []string{"sh", "-c", o.Eval}
	case len(o.Command) > 0:
		argv = o.Command
	case !o.TTY:
		argv = []string{"sh"} // commands come by stdin, as with ssh
	case inContainer:
		argv = []string{"sh", "-c", imageShell}
	default:
		argv = []string{"sh", "-c", loginShell}
	}
	if o.HostTTY && !inContainer {
		return hostTTY(argv)
	}
	return argv
}

// hostTTY gives the command a terminal of the host's own devpts: after nsenter the container's is nameless, and tmux,
// screen and sudo refuse it.
func hostTTY(argv []string) []string {
	quoted := make([]string, len(argv))
	for i, word := range argv {
		quoted[i] = finding.Quote(word)
	}
	return []string{"script", "-qec", "exec " + strings.Join(quoted, " "), "/dev/null"}
}

// cleanEnv starts from nothing: the container's environment (KUBERNETES_SERVICE_HOST and what the image sets) is not the
// host's.
func cleanEnv(o Options) []string {
	env := []string{"env", "-i", "HOME=/root", "USER=root", "LOGNAME=root", "PATH=" + hostPath, "SHELL=/bin/sh"}
	if o.Term != "" && o.TTY {
		env = append(env, "TERM="+o.Term)
	}
	if o.Lang != "" {
		env = append(env, "LANG="+o.Lang)
	}
	return env
}

func windowsCommand(o Options) []string {
	switch {
	case len(o.Command) > 0:
		return o.Command
	case o.Eval != "":
		return []string{powershell, "-NoProfile", "-Command", o.Eval}
	}
	return []string{powershell, "-NoLogo"}
}

// PodNetworkCommand is the command in a pod's network namespace, which netFile opens, with the host's files and tools.
func PodNetworkCommand(o Options, netFile string) []string {
	argv := append(cleanEnv(o), "nsenter", "-t", "1", "-m", "-u", "-i", "--net="+netFile, "--")
	return append(argv, hostCommand(o)...)
}

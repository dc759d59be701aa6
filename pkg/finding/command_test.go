package finding

import (
	"os/exec"
	"testing"
)

func TestCommandKeepsFlagsBeforeTheRemoteCommand(t *testing.T) {
	k := Kubectl{Flags: []string{"--context=my prod"}}
	got := k.Command("team", "nodeshell", "w1", "--", "systemctl", "status", "kubelet")
	if want := "kubectl nodeshell w1 -n team '--context=my prod' -- systemctl status kubelet"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (Kubectl{}).Command("", "get", "nodes"), "kubectl get nodes"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQuoteSurvivesAShell(t *testing.T) {
	for _, s := range []string{"", "plain", "a b", "it's", `$(reboot)`, "`id`", "a;b", "*", `\`, "\n", "~", "#x", "a=b"} {
		out, err := exec.Command("sh", "-c", "printf %s "+Quote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q became %q (%v)", s, out, err)
		}
	}
}

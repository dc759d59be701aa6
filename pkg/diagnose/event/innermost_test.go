package event

import "testing"

func TestInnermostIsWhatTheLowestLayerSaid(t *testing.T) {
	for text, want := range map[string]string{
		`Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "5c0": plugin type="bridge" failed (add): failed to allocate for range 0: no IP addresses available in range set: 10.244.1.1-10.244.1.254`:                                 "no IP addresses available in range set: 10.244.1.1-10.244.1.254",
		`Back-off pulling image "reg.local/a:1": ErrImagePull: failed to pull and unpack image "reg.local/a:1": failed to resolve reference "reg.local/a:1": failed to do request: Head "https://reg.local/v2/a/manifests/1": dial tcp: lookup reg.local on 10.0.0.2:53: no such host`: "lookup reg.local on 10.0.0.2:53: no such host",
		`failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "nope": executable file not found in $PATH`:                                                `exec: "nope": executable file not found in $PATH`,
		`MountVolume.SetUp failed for volume "c" : configmap "nope" not found`:                          `MountVolume.SetUp failed for volume "c" : configmap "nope" not found`,
		`failed to do request: Head "https://r/v2": dial tcp 10.0.0.1:443: connect: connection refused`: "dial tcp 10.0.0.1:443: connect: connection refused",
		"failed to do it": "failed to do it",
		"":                "",
	} {
		if got := Innermost(text); got != want {
			t.Errorf("%q\ngot  %q\nwant %q", text, got, want)
		}
	}
}

func TestNoAddressIsToldByThePlugin(t *testing.T) {
	for text, want := range map[string]bool{
		"no IP addresses available in range set: 10.1.0.1-10.1.0.254":                                             true,
		`plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container`: true,
		"unable to allocate IP via local cilium agent: range is full":                                             true,
		"cni plugin not initialized":  false,
		"connect: connection refused": false,
	} {
		if got := NoAddress(text); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestAnAgentThatHasNotSetUpTheNodeIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		`plugin type="flannel" failed (add): loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file or directory`:                            "flannel",
		`plugin type="flannel" failed (add): open /run/flannel/subnet.env: no such file or directory`:                                                         "flannel",
		`plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory: check that the calico/node container is running`:        "calico",
		`plugin type="cilium-cni" failed (add): unable to connect to Cilium agent: dial unix /var/run/cilium/cilium.sock: connect: no such file or directory`: "cilium",
		`plugin type="flannel" failed (add): failed to delegate add: failed to find plugin "bridge" in path [/opt/cni/bin]`:                                   "",
		`plugin type="flannel" failed (add): /run/flannel/subnet.env is missing FLANNEL_MTU`:                                                                  "",
		`MountVolume.SetUp failed for volume "c" : configmap "nope" not found`:                                                                                "",
		`plugin type="flannel" failed (add): failed to delegate add: no IP addresses available in range set: 10.1.1.1-10.1.1.254`:                             "",
	} {
		if got := WithoutAgent(text); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}

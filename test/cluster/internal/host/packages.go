package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// program maps what a cluster runs to the Debian package it comes from.
var programs = []struct{ path, pkg string }{
	{"runc", "runc"},
	{"/usr/lib/cni/bridge", "containernetworking-plugins"},
	{"iptables", "iptables"},
	{"nft", "nftables"},
	{"conntrack", "conntrack"},
	{"ipset", "ipset"},
	{"ip", "iproute2"},
	{"/bin/busybox", "busybox-static"},
	{"tcpdump", "tcpdump"},
	{"dig", "bind9-dnsutils"},
	{"socat", "socat"},
	{"ethtool", "ethtool"},
	{"ps", "procps"},
	{"mount", "mount"},
	{"nsenter", "util-linux"},
	{"mkfs.ext4", "e2fsprogs"},
}

// MissingPackages lists the Debian packages that are needed and not there.
func MissingPackages() []string {
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p.path); err != nil {
			missing = append(missing, p.pkg)
		}
	}
	return missing
}

// InstallPackages installs what MissingPackages lists, if anything.
func InstallPackages(ctx context.Context, report func(string, ...any)) error {
	missing := MissingPackages()
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || !IsRoot() {
		return fmt.Errorf("these Debian packages are missing, and only root on Debian can install them here: %s", strings.Join(missing, " "))
	}
	release, err := Lock(ctx, "/run/lock/kubectl-runbooks-packages", func() { report("waiting for another installation of packages") })
	if err != nil {
		return err
	}
	defer release()
	if missing = MissingPackages(); len(missing) == 0 {
		return nil
	}
	report("installing %s", strings.Join(missing, " "))
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	if missing = MissingPackages(); len(missing) > 0 {
		return fmt.Errorf("still missing after the installation: %s", strings.Join(missing, " "))
	}
	return nil
}

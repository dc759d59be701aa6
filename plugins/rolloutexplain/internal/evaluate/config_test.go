package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/config"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// held says that the ConfigMaps of the namespace have been listed, and which keys of one are known.
func (b *builder) held(name string, keys ...string) {
	b.fetch(model.Need{Kind: model.NeedNames, Namespace: "shop", Name: "configmaps"})
	b.in.Held = append(b.in.Held, model.Held{ObjectRef: finding.ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: name}, Keys: keys})
}

// The kubelet does not say which keys there are, nor that one has come since.
func TestAMissingKeyNamesThoseThereAre(t *testing.T) {
	env := `couldn't find key db.url in ConfigMap shop/settings`
	for _, tt := range []struct {
		name    string
		keys    []string
		verdict report.Verdict
		says    string
	}{
		{"a slip", []string{"db.pass", "db.uri", "tls"}, report.Stuck, `ConfigMap "settings" has no key "db.url"; existing keys: db.uri, db.pass, tls`},
		{"many", []string{"a", "b", "c", "d", "e", "f"}, report.Stuck, `"db.url"; existing keys: b, d, a, c and 2 more`},
		{"not known", nil, report.Stuck, `ConfigMap "settings" has no key "db.url"`},
		{"it has come", []string{"db.url"}, report.Progressing, `the kubelet does not find key "db.url" of ConfigMap "settings", which exists now`},
	} {
		b := with(func(b *builder) {
			b.status(waiting("CreateContainerConfigError", env))
			b.held("settings", tt.keys...)
			b.held("other", "db.url")
		})()
		got := Evaluate(b.in, now, model.Options{}).Items[0]
		f := got.Findings[0]
		if got.Verdict != tt.verdict || f.Code != config.ConfigKeyNotFound || !strings.Contains(f.Message, tt.says) ||
			tt.keys == nil && strings.Contains(f.Message, "existing keys") {
			t.Errorf("%s: %s %s %q", tt.name, got.Verdict, f.Code, f.Message)
		}
	}
}

// A subPath that is no key of its ConfigMap is an empty directory (https://github.com/kubernetes/kubernetes/issues/62156): the runtime cannot
// mount it over a file of the image, and a program that reads it ends (https://github.com/onedr0p/home-ops/issues/4951).
func TestAMountWithoutItsFile(t *testing.T) {
	const at = "/etc/app/app.cnf"
	runc := "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container " +
		`process: error during container init: error mounting "/var/lib/kubelet/pods/1/volume-subpaths/v/api/0" to rootfs at "` + at + `": mount ` +
		`src=/var/lib/kubelet/pods/1/volume-subpaths/v/api/0, dst=` + at + `, dstFd=/proc/thread-self/fd/11, flags=MS_BIND|MS_REC: not a directory`
	start := func(b *builder) { b.status(waiting("RunContainerError", runc)) }
	crash := func(lines ...string) func(b *builder) {
		return func(b *builder) {
			b.status(crashed(1, 4, "Error"))
			need := model.Need{Kind: model.NeedLog, Namespace: "shop", Name: "api-2-x", UID: "pod-api-2-x", Container: "api"}
			b.fetch(need)
			b.in.Logs = []model.PodLog{{UID: need.UID, Container: "api", Lines: lines}}
		}
	}
	items := []corev1.KeyToPath{{Key: "app.conf", Path: "d/app.conf"}}
	const noKey = `no file to mount at /etc/app/app.cnf: ConfigMap "settings" has no key "app.cnf"; existing keys: app.conf, log.conf`
	for _, tt := range []struct {
		name    string
		fault   func(b *builder)
		subPath string
		items   []corev1.KeyToPath
		code    finding.Code
		says    string // empty: nothing of a file
		next    string
	}{
		{"over a file", start, "app.cnf", nil, config.ConfigKeyNotFound, `container "api" cannot be started: ` + noKey, "describe configmap settings"},
		{"a key that there is", start, "app.conf", nil, pods.ContainerStartError, "", ".volumeMounts"},
		{"a key that may have come since", func(b *builder) {
			start(b)
			at := ago(10 * time.Second)
			b.in.Held[0].Changed = &at
		}, "app.conf", nil, pods.ContainerStartError, `ConfigMap "settings" has key "app.conf", and was changed after the pod started`, "delete pod api-2-x"},
		{"a key that was there before", func(b *builder) {
			start(b)
			at := ago(10 * time.Minute)
			b.in.Held[0].Changed = &at
		}, "app.conf", nil, pods.ContainerStartError, "", ".volumeMounts"},
		{"the whole volume over a file", start, "", nil, pods.ContainerStartError, `volume "v" (ConfigMap "settings") is mounted there as a directory, without subPath`, ".volumeMounts"},
		{"no item", start, "app.conf", items, pods.ContainerStartError, `volume "v" (ConfigMap "settings") has no file "app.conf"; its items: d/app.conf`, ".volumeMounts"},
		{"an item", start, "d/app.conf", items, pods.ContainerStartError, "", ".volumeMounts"},
		{"a directory of items", start, "d", items, pods.ContainerStartError, "", ".volumeMounts"},
		{"read by C", crash(`nginx: [emerg] pread() "/etc/app/app.cnf" failed (21: Is a directory)`), "app.cnf", nil, config.ConfigKeyNotFound, "exit code 1 after 2s (5 times): " + noKey, "describe configmap settings"},
		{"read by Go", crash("start", "error: read /etc/app/app.cnf: is a directory"), "app.cnf", nil, config.ConfigKeyNotFound, noKey, "describe configmap settings"},
		{"read by Python", crash("Traceback (most recent call last):", "IsADirectoryError: [Errno 21] Is a directory: '/etc/app/app.cnf'"), "app.cnf", nil, config.ConfigKeyNotFound, noKey, "describe configmap settings"},
		{"read by Java", crash("java.io.FileNotFoundException: /etc/app/app.cnf (Is a directory)", "\tat java.base/java.io.FileInputStream.open0(Native Method)", "\t... 3 more"), "app.cnf", nil, config.ConfigKeyNotFound, noKey, "describe configmap settings"},
		{"read by Node.js", crash("Error: EISDIR: illegal operation on a directory, read", "    at Object.readSync (node:fs:749:3)", "  errno: -21,", "  code: 'EISDIR'", "}", "", "Node.js v22.1.0"), "app.cnf", nil, config.ConfigKeyNotFound, noKey, "describe configmap settings"},
		{"no path, and a key that there is", crash("cat: read error: Is a directory"), "app.conf", nil, pods.ContainerCrashing, "", "logs"},
		{"no path, and the whole volume", crash("cat: read error: Is a directory"), "", nil, pods.ContainerCrashing, "", "logs"},
		{"another path", crash("cat: /tmp: Is a directory"), "app.cnf", nil, pods.ContainerCrashing, "", "logs"},
		{"the whole volume, read", crash("cat: read error: /etc/app/app.cnf: Is a directory"), "", nil, pods.ContainerCrashing, "is mounted there as a directory, without subPath", ".volumeMounts"},
		{"an optional ConfigMap that is not there (https://github.com/kubernetes/kubernetes/issues/54514)", func(b *builder) {
			crash("read /etc/app/app.cnf: is a directory")(b)
			v := b.x().Spec.Volumes[0].ConfigMap
			v.Name, v.Optional = "missing-configmap", plain.Ptr(true)
		}, "app.conf", nil, config.ConfigMapNotFound, `ConfigMap "missing-configmap", which is optional, does not exist`, "get configmaps"},
		{"a file beside it", crash("read /etc/app/app.cnf/d: is a directory"), "app.cnf", nil, pods.ContainerCrashing, "", "logs"},
		{"a path that ends so", crash("read /srv/etc/app/app.cnf: is a directory"), "app.cnf", nil, pods.ContainerCrashing, "", "logs"},
		{"not its last words", crash("grep: /etc/app/app.cnf: Is a directory", "cannot reach db"), "app.cnf", nil, pods.ContainerCrashing, "", "logs"},
	} {
		b := with(func(b *builder) {
			b.x().Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Items: tt.items}}}}
			b.x().Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: at, SubPath: tt.subPath}}
			b.held("settings", "app.conf", "log.conf")
			tt.fault(b)
		})()
		f := Evaluate(b.in, now, model.Options{LogLines: 5}).Items[0].Findings[0]
		says := strings.Contains(f.Message, "no file to mount")
		if f.Code != tt.code || says != (tt.says != "") || !strings.Contains(f.Message, tt.says) {
			t.Errorf("%s: %s %q", tt.name, f.Code, f.Message)
		}
		if !slices.ContainsFunc(f.Next, func(n finding.Next) bool { return strings.Contains(n.Command, tt.next) }) {
			t.Errorf("%s: next %v; want %q", tt.name, f.Next, tt.next)
		}
		if slices.ContainsFunc(f.Next, func(n finding.Next) bool { return strings.Contains(n.Command, "dns") }) {
			t.Errorf("%s: leads to DNS: %v", tt.name, f.Next)
		}
	}
}

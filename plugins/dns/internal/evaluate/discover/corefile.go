package discover

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// CorefileOf gives the text files that a DNS pod sees under its mounted ConfigMaps, the path of its Corefile, and the
// ConfigMap that holds it; nil when that was not read.
func CorefileOf(spec corev1.PodSpec, maps []corev1.ConfigMap) (map[string]string, string, *finding.ObjectRef) {
	files := map[string]string{}
	var ref *finding.ObjectRef
	main := ""
	for _, c := range spec.Containers {
		conf := confArg(c)
		if conf == "" {
			continue
		}
		main = conf
		for _, mount := range c.VolumeMounts {
			cm, items := configMapVolume(spec, mount.Name)
			i := slices.IndexFunc(maps, func(m corev1.ConfigMap) bool { return cm != "" && m.Name == cm })
			if i < 0 {
				continue
			}
			for file, text := range mounted(maps[i], items) {
				path := strings.TrimSuffix(mount.MountPath, "/") + "/" + file
				if mount.SubPath != "" {
					path = mount.MountPath
				}
				files[path] = text
				if path == main {
					ref = &finding.ObjectRef{Kind: "ConfigMap", Name: cm}
				}
			}
		}
	}
	return files, main, ref
}

func mounted(cm corev1.ConfigMap, items []corev1.KeyToPath) map[string]string {
	if len(items) == 0 {
		return cm.Data
	}
	out := map[string]string{}
	for _, item := range items {
		if text, ok := cm.Data[item.Key]; ok {
			out[item.Path] = text
		}
	}
	return out
}

func configMapVolume(spec corev1.PodSpec, name string) (string, []corev1.KeyToPath) {
	for _, v := range spec.Volumes {
		if v.Name == name && v.ConfigMap != nil {
			return v.ConfigMap.Name, v.ConfigMap.Items
		}
	}
	return "", nil
}

// ConfigMapsOf names the ConfigMaps that a pod mounts.
func ConfigMapsOf(spec corev1.PodSpec) []string {
	var names []string
	for _, v := range spec.Volumes {
		if v.ConfigMap != nil && !slices.Contains(names, v.ConfigMap.Name) && v.ConfigMap.Name != "kube-root-ca.crt" {
			names = append(names, v.ConfigMap.Name)
		}
	}
	return names
}

// Mount is how a container gets its Corefile.
type Mount struct {
	Container, Volume, SubPath string
	Key                        string // of the ConfigMap
}

// CorefileMount says how a DNS pod gets its Corefile from a ConfigMap; nil: unknown.
func CorefileMount(spec corev1.PodSpec, name string) *Mount {
	for _, c := range spec.Containers {
		conf := confArg(c)
		for _, mount := range c.VolumeMounts {
			cm, items := configMapVolume(spec, mount.Name)
			file := strings.TrimPrefix(strings.TrimPrefix(conf, strings.TrimSuffix(mount.MountPath, "/")), "/")
			if mount.SubPath != "" && mount.MountPath == conf {
				file = mount.SubPath
			}
			if conf == "" || cm != name || file == "" {
				continue
			}
			m := &Mount{Container: c.Name, Volume: mount.Name, SubPath: mount.SubPath, Key: file}
			if i := slices.IndexFunc(items, func(item corev1.KeyToPath) bool { return item.Path == file }); i >= 0 {
				m.Key = items[i].Key
			}
			return m
		}
	}
	return nil
}

func confArg(c corev1.Container) string {
	args := append(slices.Clone(c.Command), c.Args...)
	for i, a := range args {
		if (a == "-conf" || a == "--conf") && i+1 < len(args) {
			return args[i+1]
		}
		for _, p := range []string{"-conf=", "--conf="} {
			if value, ok := strings.CutPrefix(a, p); ok {
				return value
			}
		}
	}
	return ""
}

package config

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// object is a ConfigMap or a Secret in the pod's namespace.
type object struct{ kind, name string }

func (o object) String() string { return fmt.Sprintf("%s %q", o.kind, o.name) }

// keyMissing is the cause where the kubelet does not find a key.
func keyMissing(e *model.Evaluation, w *model.Workload, p *model.Pod, o object, key, wanted string) *model.Cause {
	c := e.Cause(p, model.StageConfig, ConfigKeyNotFound, report.LikelyFatal, "%s has no key %q%s", o, key, wanted).
		WithKey(o.kind + o.name + key).WithNext(o.listKeys(e, w))
	keys := o.keys(e, p).Keys
	if slices.Contains(keys, key) {
		existsNow(c, fmt.Sprintf("key %q of %s", key, o))
		return c
	}
	c.Message += tellKeys(keys, key)
	return c
}

func (o object) listKeys(e *model.Evaluation, w *model.Workload) finding.Next {
	return e.Next(w, finding.Read, "List the existing keys", "describe", strings.ToLower(o.kind), o.name)
}

// keys are those of an object; none: not known.
func (o object) keys(e *model.Evaluation, p *model.Pod) model.Held {
	for _, h := range held(e, p.Namespace, o.kind) {
		if h.Name == o.name {
			return h
		}
	}
	return model.Held{}
}

// absent says that an object does not exist, where others of its kind are known.
func (o object) absent(e *model.Evaluation, p *model.Pod) bool {
	list := held(e, p.Namespace, o.kind)
	return len(list) > 0 && !slices.ContainsFunc(list, func(h model.Held) bool { return h.Name == o.name })
}

// tellKeys lists keys, the one that is most like the wanted one first.
func tellKeys(keys []string, wanted string) string {
	if len(keys) == 0 {
		return ""
	}
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(distance(a, wanted), distance(b, wanted)), cmp.Compare(a, b))
	})
	return "; existing keys: " + plain.List(keys, 4)
}

// Directory is why a container gets a directory where it takes a mount for a file.
type Directory struct {
	Why  string       // empty: not known
	Code finding.Code // of what is missing; empty: nothing is, the mount itself is wrong
	Next finding.Next // reads what there is
}

// DirectoryAt says why a mount is a directory. For a subPath that is not in the volume the kubelet makes an empty one, and without a
// subPath a volume of a ConfigMap or a Secret is one:
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/kubelet_pods.go (makeMounts).
func DirectoryAt(e *model.Evaluation, w *model.Workload, p *model.Pod, container string, m *corev1.VolumeMount) Directory {
	o := volumeObject(p, m.Name)
	if o.name == "" || m.SubPathExpr != "" {
		return Directory{}
	}
	readMounts := e.Next(w, finding.Read, "Read the volume mounts of the container", "get", "pod", p.Name, "-o",
		p.JSONPath(container, ".volumeMounts"))
	file := path.Clean(m.SubPath)
	if m.SubPath == "" || file == "." {
		return Directory{Why: fmt.Sprintf("volume %q (%s) is mounted there as a directory, without subPath", m.Name, o), Next: readMounts}
	}
	if len(o.items) > 0 {
		files := make([]string, 0, len(o.items))
		for _, i := range o.items {
			files = append(files, path.Clean(i.Path))
		}
		if holds(files, file) {
			return Directory{}
		}
		return Directory{
			Why: fmt.Sprintf("volume %q (%s) has no file %q; its items: %s", m.Name, o, file, plain.List(files, 4)), Next: readMounts,
		}
	}
	if o.optional && o.absent(e, p) {
		return Directory{Why: o.String() + ", which is optional, does not exist", Code: notFound[o.kind], Next: listObjects(e, w, o.kind)}
	}
	switch h := o.keys(e, p); {
	case len(h.Keys) == 0:
		return Directory{}
	case !slices.Contains(h.Keys, file):
		return Directory{
			Why:  fmt.Sprintf("%s has no key %q", o, file) + tellKeys(h.Keys, file),
			Code: ConfigKeyNotFound, Next: o.listKeys(e, w),
		}
	case h.Changed != nil && p.CreationTimestamp.Before(h.Changed):
		return Directory{
			Why: fmt.Sprintf("%s has key %q, and was changed after the pod started: if the key is new, the pod keeps the empty directory "+
				"made in its place", o, file),
			Next: e.Next(w, finding.Destructive, "Replace the pod, so that it gets the file", "delete", "pod", p.Name),
		}
	}
	return Directory{}
}

// holds says whether a path is a file of a volume, or a directory that holds one.
func holds(files []string, file string) bool {
	return slices.ContainsFunc(files, func(f string) bool { return f == file || strings.HasPrefix(f, file+"/") })
}

// source is the ConfigMap or the Secret that is a volume.
type source struct {
	object
	items    []corev1.KeyToPath // empty: each key is a file
	optional bool               // it need not exist
}

// volumeObject is what a volume is made of; no name: something else.
func volumeObject(p *model.Pod, volume string) source {
	for _, v := range p.Spec.Volumes {
		switch {
		case v.Name != volume:
		case v.ConfigMap != nil:
			return source{object{"ConfigMap", v.ConfigMap.Name}, v.ConfigMap.Items, isTrue(v.ConfigMap.Optional)}
		case v.Secret != nil:
			return source{object{"Secret", v.Secret.SecretName}, v.Secret.Items, isTrue(v.Secret.Optional)}
		}
	}
	return source{}
}

func isTrue(b *bool) bool { return b != nil && *b }

// isDirectory is how programs say that a file they open is a directory: the C library and Go, Java, Python, Node.js.
var isDirectory = regexp.MustCompile(`(?i)is a directory|IsADirectoryError|EISDIR`)

// trace is a line of a stack trace, which follows the words that it explains; Node.js adds the fields of the error and its version.
var trace = regexp.MustCompile(`^\s*(at |\.\.\. \d+ more|[{}]|(errno|syscall|code|path): |Node\.js v|$)`)

// ReadAsFile are the mounts that a program may have read as a file and found to be a directory, by its last words: the one that they name,
// or all where they name no path. Earlier words may be about something that it can do without.
func ReadAsFile(mounts []corev1.VolumeMount, lines []string) (among []corev1.VolumeMount, named bool) {
	last := ""
	for _, line := range lines {
		if isDirectory.MatchString(line) || !trace.MatchString(line) {
			last = line
		}
	}
	if !isDirectory.MatchString(last) {
		return nil, false
	}
	for i := range mounts {
		at := regexp.MustCompile(`(?:^|[^\w./-])` + regexp.QuoteMeta(path.Clean(mounts[i].MountPath)) + `(?:$|[^\w./-])`)
		if at.MatchString(last) {
			return mounts[i : i+1], true
		}
	}
	if aPath.MatchString(last) {
		return nil, false
	}
	return mounts, false
}

var aPath = regexp.MustCompile(`/\w`)

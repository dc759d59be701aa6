// Package dump reads what "kubectl get … -o yaml" or "-o json" prints: its documents and their objects, of any kind. It judges
// nothing.
package dump

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
)

// Document is what one command printed: a list, or a single object. The objects of a list were read one kind after the other,
// within the time of that command.
type Document struct {
	List    bool
	Objects []Object
}

// Object is an object of any kind.
type Object map[string]any

// Kind is the kind of the object.
func (o Object) Kind() string { return o.text("kind") }

// Namespace is the namespace of the object; empty: it has none.
func (o Object) Namespace() string { return o.meta("namespace") }

// Name is the name of the object.
func (o Object) Name() string { return o.meta("name") }

func (o Object) text(key string) string {
	text, _ := o[key].(string)
	return text
}

func (o Object) meta(key string) string {
	m, _ := o["metadata"].(map[string]any)
	text, _ := m[key].(string)
	return text
}

// Read separates the documents of a file, in YAML or JSON, and the objects of their lists. Without any object it is an error.
func Read(data []byte) ([]Document, error) {
	var all []Document
	for _, part := range strings.Split("\n"+string(data), "\n---") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		var tree any
		text, err := yaml.ToJSON([]byte(part))
		if err == nil {
			err = json.Unmarshal(text, &tree) // what begins like JSON was not looked at yet
		}
		if err != nil {
			return nil, fmt.Errorf("the file is neither YAML nor JSON: %s", strings.Join(strings.Fields(err.Error()), " "))
		}
		o, ok := tree.(map[string]any)
		if !ok {
			continue
		}
		var d Document
		if err := d.take(o); err != nil {
			return nil, err
		}
		if len(d.Objects) > 0 {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the file contains no Kubernetes objects")
	}
	return all, nil
}

// take sorts an object, or the items of a list, into the document. Those of a typed list, as "kubectl get --raw" prints it, have
// no kind of their own.
func (d *Document) take(o Object) error {
	kind := o.Kind()
	items, ok := o["items"].([]any)
	switch {
	case ok && kind == "":
		// kubectl prints kind after items.
		return errors.New("the file is cut: a list has no kind after its items")
	case !ok && kind != "" && !strings.HasSuffix(kind, "List"):
		d.Objects = append(d.Objects, o)
	}
	if !ok {
		return nil
	}
	d.List = true
	for _, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if _, has := m["kind"]; !has {
			m["kind"], m["apiVersion"] = strings.TrimSuffix(kind, "List"), o["apiVersion"]
		}
		if err := d.take(m); err != nil {
			return err
		}
	}
	return nil
}

// Into adds the object to a list of its type.
func Into[T any](o Object, list *[]T) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("%s %s: %w", o.Kind(), o.Name(), err)
	}
	*list = append(*list, v)
	return nil
}

// IntoEvents accepts both event APIs: "kubectl get events" prints core events, "events.events.k8s.io" the newer shape.
func IntoEvents(o Object, list *[]corev1.Event) error {
	if o.text("apiVersion") != eventsv1.SchemeGroupVersion.String() {
		return Into(o, list)
	}
	var recent []eventsv1.Event
	if err := Into(o, &recent); err != nil {
		return err
	}
	*list = append(*list, eventfact.Core(&recent[0]))
	return nil
}

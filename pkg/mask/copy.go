package mask

import (
	"reflect"
	"strings"
)

// secretName is the name of a variable, header or flag whose value is a secret.
var secretName = lazy(`(?i)^` + secretWord + `$`)

// lastApplied is kubectl's copy of a whole manifest, in which names and values are text:
// https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-last-applied-configuration
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Copy gives v with the secrets in all of its texts hidden, also values of variables whose names say what they are. It
// shares nothing that it changes with v, so that v can still be judged: what is printed or saved is a copy.
func Copy[T any](v T) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	out.Set(copied(reflect.ValueOf(&v).Elem()))
	return out.Interface().(T)
}

func copied(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v) // fields that are not exported, too
	switch v.Kind() {
	case reflect.String:
		out.SetString(Text(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(copied(v.Elem()))
		}
	case reflect.Interface:
		if !v.IsNil() {
			out.Set(copied(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			copyElements(out, v)
		}
	case reflect.Array:
		copyElements(out, v)
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			copyMap(out, v)
		}
	case reflect.Struct:
		copyFields(out, v)
	}
	return out
}

// copyElements also hides the word behind a flag: --password x.
func copyElements(out, v reflect.Value) {
	if k := v.Type().Elem().Kind(); k >= reflect.Bool && k <= reflect.Complex128 {
		reflect.Copy(out, v)
		return
	}
	for i := range v.Len() {
		out.Index(i).Set(copied(v.Index(i)))
		if i == 0 || v.Index(i).Kind() != reflect.String || strings.HasPrefix(v.Index(i).String(), "-") {
			continue
		}
		if flag := v.Index(i - 1).String(); strings.HasPrefix(flag, "-") && secretName().MatchString(strings.TrimLeft(flag, "-")) {
			out.Index(i).SetString(Hidden)
		}
	}
	if v.Type().Elem().Kind() == reflect.String {
		copyWords(out)
	}
}

// copyWords hides what is a secret by the words before it: "Authorization:", "Bearer", "…".
func copyWords(out reflect.Value) {
	words := make([]string, out.Len())
	for i := range words {
		words[i] = out.Index(i).String()
	}
	line := strings.Join(words, " ")
	text := Text(line)
	if text == line || strings.Count(line, " ")+1 != len(words) {
		return
	}
	hidden := strings.Split(text, " ")
	for i := range words { // fewer, if a secret was more than one of them
		out.Index(i).SetString(Hidden)
		if i < len(hidden) {
			out.Index(i).SetString(hidden[i])
		}
	}
}

func copyMap(out, v reflect.Value) {
	for _, key := range v.MapKeys() {
		value := copied(v.MapIndex(key))
		if value.Kind() == reflect.String && key.Kind() == reflect.String && key.String() == lastApplied {
			value.SetString(Hidden)
		}
		out.SetMapIndex(key, value)
	}
}

func fieldOf(v reflect.Value, name string) any {
	if f := v.FieldByName(name); f.IsValid() {
		return f.Interface()
	}
	return nil
}

func copyFields(out, v reflect.Value) {
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			out.Field(i).Set(copied(v.Field(i)))
		}
	}
	secret := secretName().MatchString
	switch v.Type().String() {
	case "v1.EnvVar", "v1.HTTPHeader": // elsewhere a name may be that of a host or a Service
		secret = LooksSecret
	case "v1.Container", "v1.EphemeralContainerCommon", "v1.ExecAction":
		for _, field := range []string{"Command", "Args"} {
			if words, ok := fieldOf(out, field).([]string); ok {
				Words(words, hidden)
			}
		}
	}
	if annotations, ok := fieldOf(out, "Annotations").(map[string]string); ok { // a copy by now
		for key := range annotations {
			if LooksSecret(key) {
				annotations[key] = Hidden
			}
		}
	}
	name, value := v.FieldByName("Name"), out.FieldByName("Value")
	if name.Kind() == reflect.String && value.Kind() == reflect.String && value.String() != "" && secret(name.String()) {
		value.SetString(Hidden)
	}
}

package faults

import (
	"fmt"
	"strings"
)

// A planted secret holds a mark of letters that names the place where it stands, and the form it has there.
const markStart = "zqk"

func mark(place, form int) string {
	return markStart + strings.Map(func(d rune) rune { return 'a' + d - '0' }, fmt.Sprintf("%02d%02d", place, form))
}

// form is a way in which a secret stands in a text that somebody else wrote: MARK is the mark, and UPPER the mark in capitals.
type form struct{ name, text string }

func (f form) with(mark string) string {
	return strings.NewReplacer("MARK", mark, "UPPER", strings.ToUpper(mark)).Replace(f.text)
}

var forms = []form{
	{"bearer", "GET /v1 failed: Authorization: Bearer MARK7f3a: 401"},
	{"basic", "request had header Authorization: Basic MARK7Zx=="},
	{"assigned", "started with DB_PASSWORD=MARK and MODE=fast"},
	{"user info", "dial postgres://app:MARK@db:5432/shop: refused"},
	{"user info without a password", "clone https://MARK7F3a9c1d5e@git.test/shop: refused"},
	{"private key", "cannot parse -----BEGIN RSA PRIVATE KEY-----\nMIIEMARK7f\nQUJD\n-----END RSA PRIVATE KEY-----\n: no key"},
	{"web token", "rejected eyJhbGciOiJIUzI1NiJ9.eyJzdWIiMARK.c2ln for sub"},
	{"GitHub token", "push with ghp_MARK7f3a0000000000000000000000000000 failed"},
	{"AWS key", "key AKIAUPPER000000000 is not active"},
	{"line of YAML", "cannot read\na: b\npassword: MARK\nc: d"},
	{"line of YAML with a digit", "cannot read password: MARK7 in line 2"},
	{"registry login", `invalid config {"auths":{"r.test":{"auth":"MARK7Zx=="}}}`},
	{"registry login, quoted", `invalid config "{\"auths\":{\"r.test\":{\"auth\":\"MARK7Zx==\"}}}"`},
	{"JSON", `unknown field in {"user":"a","password":"MARK"}`},
	{"JSON, quoted", `unknown field in "{\"user\":\"a\",\"password\":\"MARK\"}"`},
	{"query", `Get "https://api.test/v1?access_token=MARK&page=2": EOF`},
	{"signature", `Get "https://blob.test/x?se=2026&sig=MARK7%3D": EOF`},
	{"flag", `exec failed: mysql --password MARK7 -h db`},
	{"header of curl", `exec failed: curl -H "X-Api-Key: MARK7" https://api.test`},
}

type tree = map[string]any

// at goes down, and makes what is missing.
func at(o tree, path ...string) tree {
	for _, key := range path {
		next, ok := o[key].(tree)
		if !ok {
			next = tree{}
			o[key] = next
		}
		o = next
	}
	return o
}

func each(o tree, key string) []tree {
	var out []tree
	list, _ := o[key].([]any)
	for _, item := range list {
		if item, ok := item.(tree); ok {
			out = append(out, item)
		}
	}
	return out
}

func add(o tree, key string, items ...any) {
	list, _ := o[key].([]any)
	o[key] = append(list, items...)
}

// place is where an object can hold a secret. put is given a secret in one of the forms, and one as it is.
type place struct {
	name string
	kind string // of the object; "container" and "pod" stand for those of templates, too
	put  func(o tree, text, bare string)
}

func words(list ...any) []any { return list }

func messages(key string) func(o tree, text, bare string) {
	return func(o tree, text, _ string) {
		for _, c := range each(at(o, "status"), key) {
			c["message"] = text
		}
	}
}

var places = []place{
	{"variable by name", "container", func(o tree, _, bare string) { add(o, "env", tree{"name": "DB_PASSWORD", "value": bare}) }},
	{"variable by its text", "container", func(o tree, text, _ string) { add(o, "env", tree{"name": "SETTINGS", "value": text}) }},
	{"argument -p", "container", func(o tree, _, bare string) { add(o, "args", "-p", bare) }},
	{"argument --password", "container", func(o tree, _, bare string) { add(o, "args", "--password", bare) }},
	{"argument --token=", "container", func(o tree, _, bare string) { add(o, "args", "--token="+bare) }},
	{"argument --header", "container", func(o tree, _, bare string) { add(o, "args", "--header=Authorization: Bearer "+bare+"77") }},
	{"argument -H", "container", func(o tree, _, bare string) { add(o, "args", "-H", "X-Api-Key: "+bare+"7") }},
	{"argument -u", "container", func(o tree, _, bare string) { add(o, "args", "-u", "admin:"+bare) }},
	{"argument by its text", "container", func(o tree, text, _ string) { add(o, "args", text) }},
	{"command", "container", func(o tree, _, bare string) {
		o["command"] = words("sh", "-c", "mysqldump -h db -p"+bare+" shop >/out")
	}},
	{"liveness command", "container", func(o tree, _, bare string) {
		o["livenessProbe"] = tree{"exec": tree{"command": words("redis-cli", "-a", bare, "ping")}, "periodSeconds": 10}
	}},
	{"startup command by its text", "container", func(o tree, text, _ string) {
		o["startupProbe"] = tree{"exec": tree{"command": words("check", text)}, "periodSeconds": 10}
	}},
	{"readiness header", "container", func(o tree, _, bare string) {
		get := tree{"path": "/ready?access_token=" + bare, "port": 8080, "httpHeaders": words(tree{"name": "X-Auth", "value": bare})}
		o["readinessProbe"] = tree{"httpGet": get, "periodSeconds": 10}
	}},
	{"post-start command", "container", func(o tree, _, bare string) {
		at(o, "lifecycle")["postStart"] = tree{"exec": tree{"command": words("register", "--api-key", bare)}}
	}},
	{"pre-stop request", "container", func(o tree, _, bare string) {
		get := tree{"path": "/stop?token=" + bare, "port": 8080, "httpHeaders": words(tree{"name": "Authorization", "value": "Bearer " + bare})}
		at(o, "lifecycle")["preStop"] = tree{"httpGet": get}
	}},
	{"annotation by name", "*", func(o tree, _, bare string) { at(o, "metadata", "annotations")["example.com/auth-token"] = bare }},
	{"annotation by its text", "*", func(o tree, text, _ string) { at(o, "metadata", "annotations")["example.com/notes"] = text }},
	{"change-cause", "*", func(o tree, text, _ string) { at(o, "metadata", "annotations")["kubernetes.io/change-cause"] = text }},
	{"last applied manifest", "*", func(o tree, _, bare string) {
		at(o, "metadata", "annotations")["kubectl.kubernetes.io/last-applied-configuration"] = `{"spec":{"env":[{"name":"DB_PASSWORD","value":"` + bare + `"}]}}`
	}},
	{"waiting message", "Pod", func(o tree, text, _ string) {
		for _, c := range each(at(o, "status"), "containerStatuses") {
			if waiting, ok := at(c, "state")["waiting"].(tree); ok {
				waiting["message"] = text
			}
		}
	}},
	{"termination message", "Pod", func(o tree, text, _ string) {
		for _, c := range each(at(o, "status"), "containerStatuses") {
			if at(c, "state")["waiting"] != nil {
				c["restartCount"] = 5
				c["lastState"] = tree{"terminated": tree{"exitCode": 1, "reason": "Error", "message": text}}
			}
		}
	}},
	{"condition of a pod", "Pod", messages("conditions")},
	{"message of a pod", "Pod", func(o tree, text, _ string) { at(o, "status")["message"] = text }},
	{"condition of a workload", "workload", messages("conditions")},
	{"event", "Event", func(o tree, text, _ string) { o["message"] = text }},
	{"condition of a node", "Node", func(o tree, text, bare string) {
		messages("conditions")(o, text, bare)
		// The kubelet's port is closed here, where its certificate would be read.
		at(o, "status")["addresses"] = words(tree{"type": "InternalIP", "address": "127.0.0.1"})
		at(o, "status")["daemonEndpoints"] = tree{"kubeletEndpoint": tree{"Port": 1}}
	}},
	{"kubelet-config", "ConfigMap", func(o tree, text, bare string) {
		if data := at(o, "data"); data["kubelet"] != nil {
			data["kubelet"] = fmt.Sprint(data["kubelet"]) + "providerSecret: " + bare + "\n# " + text + "\n"
		}
	}},
	{"Corefile, an option", "ConfigMap", func(o tree, _, bare string) {
		if data := at(o, "data"); data["Corefile"] != nil {
			data["Corefile"] = fmt.Sprint(data["Corefile"]) + "etcd.test {\n  etcd {\n    credentials root " + bare +
				"\n  }\n  route53 e.test.:Z1 {\n    aws_access_key AKID " + bare + "\n  }\n  azure g:e.test {\n    secret " + bare + "\n  }\n}\n"
		}
	}},
	{"Corefile, a line by its text", "ConfigMap", func(o tree, text, _ string) {
		text = strings.ReplaceAll(text, "\n", " ")
		if data := at(o, "data"); data["Corefile"] != nil {
			data["Corefile"] = fmt.Sprint(data["Corefile"]) + "text.test {\n  # " + text + "\n  rewrite name " + text + "\n}\n"
		}
	}},
	{"address of a webhook", "ValidatingWebhookConfiguration", func(o tree, text, bare string) {
		for _, w := range each(o, "webhooks") {
			w["clientConfig"] = tree{"url": "https://hook:" + bare + "@hook.test/check?token=" + bare}
		}
	}},
	{"volume attachment", "VolumeAttachment", func(o tree, text, _ string) {
		at(o, "status")["attachError"] = tree{"message": text, "time": "2026-01-01T00:00:00Z"}
	}},
	{"API service", "APIService", messages("conditions")},
	// These stand in no object.
	{"log line", "", nil},
	{"failure of a connection to a pod", "", nil},
	{"failure of a kubelet", "", nil},
	{"warning of the API server", "", nil},
}

// planted puts a secret into every place of an object of a kind.
func planted(kind string, o tree, f form, number int) {
	is := map[string]bool{kind: true, "*": true}
	switch kind {
	case "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet":
		is["workload"] = true
	}
	spec := at(o, "spec")
	if is["workload"] {
		planted("PodTemplate", at(spec, "template"), f, number)
	}
	for i, p := range places {
		if p.put == nil {
			continue
		}
		m := mark(i, number)
		if p.kind == "container" && (kind == "Pod" || kind == "PodTemplate") {
			for _, c := range each(spec, "containers") {
				p.put(c, f.with(m), m)
			}
		}
		if is[p.kind] {
			p.put(o, f.with(m), m)
		}
	}
}

package webpage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	dnsreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// kinds are the reports that become a page, by the kind in their JSON.
func kinds() map[string]func([]byte) (string, error) {
	return map[string]func([]byte) (string, error){
		report.Kind: as(func(t report.Triage) string { return Triage(&t, Parts{}) }),

		nodereport.Kind: as(nodes), nodereport.DrainKind: as(drain), nodereport.PathsKind: as(paths), nodereport.JoinKind: as(join),
		rolloutreport.KindList: as(rollouts), rolloutreport.Kind: as(func(r rolloutreport.Rollout) string { return rollout(&r) }),

		"DNSStatus": dns[dnsreport.Status]("status"), "DNSCheck": dns[dnsreport.Status]("check"),
		"DNSConfig": dns[dnsreport.Config]("config"), "DNSPodResolver": dns[dnsreport.PodResolver]("pod"),
		"DNSExplanation": dns[dnsreport.Explanation]("explain"), "DNSResolution": dns[dnsreport.Resolution]("resolve"),
		"DNSNames": dns[dnsreport.Names]("names"), "DNSVerification": dns[dnsreport.Verification]("verify"),
		"DNSUpstreams": dns[dnsreport.Upstreams]("upstream"), "DNSTop": dns[dnsreport.Top]("top"), "DNSLogs": dns[dnsreport.Logs]("logs"),
	}
}

// Saved makes the page of a report that -o json or -o yaml printed.
func Saved(data []byte) (string, error) {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(data) == 0 {
		return "", errors.New("it is empty")
	}
	if data[0] != '{' {
		converted, err := yaml.YAMLToJSON(data)
		if err != nil {
			return "", fmt.Errorf("it is neither JSON nor YAML: %w", err)
		}
		data = converted
	}
	var head struct{ APIVersion, Kind string }
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&head); err != nil {
		return "", fmt.Errorf("it is no report: %w", err)
	}
	if decoder.More() {
		return "", errors.New("it holds several reports, as -w prints them; save one")
	}
	known := kinds()
	make, found := known[head.Kind]
	if !found || head.APIVersion != report.APIVersion {
		return "", fmt.Errorf("its kind %q of %q is no report of these plugins; known kinds: %s", head.Kind, head.APIVersion,
			strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	return make(data)
}

// as reads a report of one type.
func as[T any](write func(T) string) func([]byte) (string, error) {
	return func(data []byte) (string, error) {
		var r T
		if err := json.Unmarshal(data, &r); err != nil {
			return "", fmt.Errorf("it is no report: %w", err)
		}
		return write(r), nil
	}
}

// dns makes the page of a report of kubectl dns.
func dns[T any](command string) func([]byte) (string, error) {
	return as(func(r T) string {
		v := reflect.ValueOf(r)
		h := v.FieldByName("Header").Interface().(dnsreport.Header)
		title := "cluster DNS"
		for _, name := range []string{"Object", "Name"} {
			if f := v.FieldByName(name); f.IsValid() && f.String() != "" {
				title = f.String()
				break
			}
		}
		return document(string(h.Verdict)+": "+title, h.Time, func(p *page) {
			p.header(title, string(h.Verdict), h.Summary, "kubectl dns "+command)
			p.within("main", func() {
				p.findings("Findings", h.Findings)
				p.section("Details", func() { p.data(v, written...) })
				p.gaps(h.Sources)
			})
		})
	})
}

package collect

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
)

// mostMetrics is how many bytes of a metrics page are read; CoreDNS with every plugin returns far fewer.
const mostMetrics = 16 << 20

// get fetches a small page over a connection of a tunnel.
func get(ctx context.Context, dial func(context.Context) (net.Conn, error), path string) (int, []byte, error) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pod"+path, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostMetrics))
	return response.StatusCode, body, err
}

// ParseMetrics reads Prometheus text into the samples that the plugin judges: those of CoreDNS and of the process.
func ParseMetrics(text string) (evaluate.Metrics, error) {
	families, err := parseFamilies(text)
	if err != nil && len(families) == 0 {
		return nil, fmt.Errorf("/metrics did not return Prometheus metrics: %w", err)
	}
	var out evaluate.Metrics
	for name, family := range families {
		process := []string{"process_resident_memory_bytes", "process_start_time_seconds"}
		if !strings.HasPrefix(name, "coredns_") && !slices.Contains(process, name) {
			continue
		}
		for _, m := range family.Metric {
			out = append(out, sample(name, m))
		}
	}
	out.Sort()
	return out, nil
}

// parseFamilies turns a crash of the parser into an error: it dereferences nil where samples without a name follow the type of a
// histogram, and what answers on the metrics port may be anything.
func parseFamilies(text string) (families map[string]*dto.MetricFamily, err error) {
	defer func() {
		if crash := recover(); crash != nil {
			families, err = nil, fmt.Errorf("not readable: %v", crash)
		}
	}()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(strings.NewReader(text))
}

func sample(name string, m *dto.Metric) evaluate.Sample {
	s := evaluate.Sample{Name: name, Labels: map[string]string{}}
	for _, l := range m.Label {
		s.Labels[l.GetName()] = l.GetValue()
	}
	switch {
	case m.Counter != nil:
		s.Value = m.Counter.GetValue()
	case m.Gauge != nil:
		s.Value = m.Gauge.GetValue()
	case m.Untyped != nil:
		s.Value = m.Untyped.GetValue()
	case m.Histogram != nil:
		s.Value = m.Histogram.GetSampleSum()
		s.Count = m.Histogram.GetSampleCount()
		for _, b := range m.Histogram.Bucket {
			s.Buckets = append(s.Buckets, evaluate.Bucket{UpTo: b.GetUpperBound(), Count: b.GetCumulativeCount()})
		}
	}
	return s
}

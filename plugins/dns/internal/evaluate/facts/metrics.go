package facts

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Metrics is one reading of a server's counters.
type Metrics []Sample

// Sample is one series. A histogram has Buckets, its Value is the sum.
type Sample struct {
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels,omitempty"`
	Value   float64           `json:"value"`
	Count   uint64            `json:"count,omitempty"`
	Buckets []Bucket          `json:"buckets,omitempty"`
}

// Bucket is a cumulative bucket of a histogram.
type Bucket struct {
	UpTo  float64
	Count uint64
}

// MarshalJSON keeps the last bucket's bound, +Inf, which JSON numbers cannot hold.
func (b Bucket) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]string{strconv.FormatFloat(b.UpTo, 'g', -1, 64), strconv.FormatUint(b.Count, 10)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *Bucket) UnmarshalJSON(data []byte) error {
	var pair [2]string
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	var err error
	if b.UpTo, err = strconv.ParseFloat(pair[0], 64); err != nil {
		return err
	}
	b.Count, err = strconv.ParseUint(pair[1], 10, 64)
	return err
}

// Sort orders the samples by name and labels.
func (m Metrics) Sort() {
	sort.Slice(m, func(i, j int) bool {
		return cmp.Or(cmp.Compare(m[i].Name, m[j].Name), cmp.Compare(labelKey(m[i].Labels), labelKey(m[j].Labels))) < 0
	})
}

func labelKey(l map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(l)) {
		b.WriteString(k + "=" + l[k] + ",")
	}
	return b.String()
}

// Sum adds the series of a name whose labels match all of pairs (name, value, …). Nil means there is no such metric
// at all: with the metric there and no matching series the sum is 0.
func (m Metrics) Sum(name string, pairs ...string) *float64 {
	var total float64
	known := false
	for _, s := range m {
		if s.Name != name {
			continue
		}
		known = true
		if s.matches(pairs) {
			total += s.Value
		}
	}
	if !known {
		return nil
	}
	return &total
}

func (s Sample) matches(pairs []string) bool {
	for i := 0; i+1 < len(pairs); i += 2 {
		if s.Labels[pairs[i]] != pairs[i+1] {
			return false
		}
	}
	return true
}

// By adds the series of a name by the value of one label.
func (m Metrics) By(name, label string) map[string]float64 {
	out := map[string]float64{}
	for _, s := range m {
		if s.Name == name {
			out[s.Labels[label]] += s.Value
		}
	}
	return out
}

// Label gives the value of a label of the first series of a name.
func (m Metrics) Label(name, label string) string {
	for _, s := range m {
		if s.Name == name {
			return s.Labels[label]
		}
	}
	return ""
}

// Quantile estimates a quantile of the histograms of a name, in the unit of the metric, as Prometheus does: linear
// within the bucket. Nil without observations.
func (m Metrics) Quantile(q float64, name string, pairs ...string) *float64 {
	counts := map[float64]uint64{}
	for _, s := range m {
		if s.Name == name && s.matches(pairs) {
			for _, b := range s.Buckets {
				counts[b.UpTo] += b.Count
			}
		}
	}
	bounds := slices.Sorted(maps.Keys(counts))
	if len(bounds) == 0 || counts[bounds[len(bounds)-1]] == 0 {
		return nil
	}
	rank := q * float64(counts[bounds[len(bounds)-1]])
	lower, below := 0.0, 0.0
	for _, bound := range bounds {
		count := float64(counts[bound])
		if count >= rank {
			value := lower
			if !math.IsInf(bound, 1) && count > below {
				value = lower + (bound-lower)*(rank-below)/(count-below)
			}
			return &value
		}
		lower, below = bound, count
	}
	return &lower
}

// Since subtracts an earlier reading: counters and histograms become what happened between the two. A counter that
// fell was reset by a restart and counts from zero.
func (m Metrics) Since(earlier Metrics) Metrics {
	before := map[string]Sample{}
	for _, s := range earlier {
		before[s.Name+"|"+labelKey(s.Labels)] = s
	}
	out := slices.Clone(m)
	for i, s := range out {
		old, ok := before[s.Name+"|"+labelKey(s.Labels)]
		counter := strings.HasSuffix(s.Name, "_total") || len(s.Buckets) > 0
		if !ok || !counter || old.Value > s.Value || old.Count > s.Count {
			continue
		}
		out[i].Value -= old.Value
		out[i].Count -= old.Count
		out[i].Buckets = slices.Clone(s.Buckets)
		for b := range out[i].Buckets {
			if b < len(old.Buckets) && old.Buckets[b].Count <= out[i].Buckets[b].Count {
				out[i].Buckets[b].Count -= old.Buckets[b].Count
			}
		}
	}
	return out
}

func Times(v *float64, factor float64) *float64 {
	if v == nil {
		return nil
	}
	product := *v * factor
	return &product
}

func Ratio(v *float64, by float64) *float64 {
	if v == nil || by <= 0 {
		return nil
	}
	quotient := *v / by
	return &quotient
}

func Share(part, whole *float64) *float64 {
	if part == nil || whole == nil || *whole <= 0 {
		return nil
	}
	percent := *part / *whole * 100
	return &percent
}

func ForwardMetric(m Metrics) string {
	for _, name := range []string{"coredns_proxy_request_duration_seconds", "coredns_forward_request_duration_seconds"} {
		if m.Sum(name) != nil {
			return name
		}
	}
	return "coredns_proxy_request_duration_seconds"
}

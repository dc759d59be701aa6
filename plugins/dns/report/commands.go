package report

// Config is a Corefile explained: kind DNSConfig.
type Config struct {
	Header
	Source string        `json:"source,omitempty"` // ConfigMap/namespace/name
	Blocks []ConfigBlock `json:"blocks"`
}

// ConfigBlock is a server block; Plugins stand in the order in which they run.
type ConfigBlock struct {
	Zones   []string       `json:"zones"`
	File    string         `json:"file"`
	Line    int            `json:"line"`
	Plugins []ConfigPlugin `json:"plugins"`
}

// ConfigPlugin is a plugin of a block, with its options in one line each.
type ConfigPlugin struct {
	Order   int      `json:"order"`
	Name    string   `json:"name"`
	Args    string   `json:"args,omitempty"`
	Options []string `json:"options,omitempty"`
	File    string   `json:"file"`
	Line    int      `json:"line"`
}

// PodResolver is what a pod's resolver is told: kind DNSPodResolver.
type PodResolver struct {
	Header
	Namespace   string         `json:"namespace"`
	Name        string         `json:"name"`
	Node        string         `json:"node,omitempty"`
	Policy      string         `json:"dnsPolicy"`
	Computed    *ResolvConf    `json:"computed"`
	Actual      *ResolvConf    `json:"actual"`
	Libc        string         `json:"libc,omitempty"`
	Settings    []ValueFrom    `json:"settings,omitempty"`
	Aliases     []HostAlias    `json:"hostAliases,omitempty"`
	Differences []string       `json:"differences,omitempty"`
	Policies    []PolicyEffect `json:"networkPolicies,omitempty"`
}

// ResolvConf is a resolv.conf.
type ResolvConf struct {
	Nameservers []string `json:"nameservers"`
	Searches    []string `json:"searches"`
	Options     []string `json:"options"`
}

// ValueFrom is one value of the computed file and where it comes from.
type ValueFrom struct {
	Value string `json:"value"`
	From  string `json:"from"`
}

// HostAlias is a name that /etc/hosts answers before DNS.
type HostAlias struct {
	IP    string   `json:"ip"`
	Names []string `json:"names"`
}

// PolicyEffect says what network policies do to DNS between two points.
type PolicyEffect struct {
	Direction string   `json:"direction"` // egress, ingress
	Transport string   `json:"transport"` // UDP, TCP
	To        string   `json:"to"`
	Result    string   `json:"result"` // allowed, denied, not evaluated
	Policies  []string `json:"policies,omitempty"`
}

// Explanation is the walk of a name through the search list: kind DNSExplanation.
type Explanation struct {
	Header
	Name    string   `json:"name"`
	From    From     `json:"from"`
	Libc    string   `json:"libc"`
	Lookups []Lookup `json:"lookups"`
}

// Lookup is what one C library does with a name.
type Lookup struct {
	Libc      string   `json:"libc"`
	Detected  bool     `json:"detected,omitempty"`
	Outcome   string   `json:"outcome"` // Answered, NotFound, Failed, Unknown
	Reason    string   `json:"reason"`
	Answer    []string `json:"answer,omitempty"`
	Queries   int      `json:"queries"` // datagrams: A and AAAA count one each
	Steps     []Step   `json:"steps"`
	Predicted bool     `json:"predicted"` // some step was not asked but computed
}

// Step is one candidate name of a walk.
type Step struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	Search string `json:"search,omitempty"` // the search entry that made it
	A      string `json:"a"`
	AAAA   string `json:"aaaa"`
	Source string `json:"source"` // where the two come from: a viewpoint, or "computed"
	Next   string `json:"next"`   // continue, skip (to the name without a search entry), stop, unknown
}

// Resolution is the answers to a question from every point of view: kind DNSResolution.
type Resolution struct {
	Header
	Name    string   `json:"name"`
	Types   []string `json:"types"`
	Expect  string   `json:"expect,omitempty"`
	Met     *bool    `json:"expectationMet,omitempty"`
	Answers []Answer `json:"answers"`
}

// Names is every name of an object: kind DNSNames.
type Names struct {
	Header
	Object  string       `json:"object"`
	Records []NameRecord `json:"records"`
}

// NameRecord is one name and what it must answer.
type NameRecord struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Expected string   `json:"expected"` // rcode, or NODATA
	Data     []string `json:"data,omitempty"`
	Shortest string   `json:"shortest,omitempty"` // what a pod of --from-namespace may type
	Why      string   `json:"why,omitempty"`
}

// Verification compares records with answers: kind DNSVerification.
type Verification struct {
	Header
	Scope    string          `json:"scope"`
	Objects  int             `json:"objects"`
	Names    int             `json:"names"`
	Replicas []VerifyReplica `json:"replicas"`
	Items    []Mismatch      `json:"items"`
}

// VerifyReplica counts the outcomes at one replica.
type VerifyReplica struct {
	Name         string   `json:"name"`
	Queried      int      `json:"queried"`
	Correct      int      `json:"correct"`
	Overridden   int      `json:"overridden"` // a rule of the Corefile answers before the kubernetes plugin
	Incorrect    int      `json:"incorrect"`
	Settling     int      `json:"settling"`
	Unanswered   int      `json:"unanswered"`
	Milliseconds *float64 `json:"milliseconds"`
}

// Mismatch is a record that a replica does not answer as the API says.
type Mismatch struct {
	State    string   `json:"state"` // missing, extra, incorrect, settling, unanswered, overridden
	Object   string   `json:"object"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Replicas []string `json:"replicas"`
	Expected []string `json:"expected"`
	Answered []string `json:"answered"`
	Why      string   `json:"why,omitempty"`
}

// Upstreams is the forwarders as CoreDNS sees them: kind DNSUpstreams.
type Upstreams struct {
	Header
	Items  []Upstream `json:"items"`
	Direct []Answer   `json:"direct,omitempty"` // what a pod beside each server got from its upstreams
}

// Upstream is one forwarder of one replica.
type Upstream struct {
	Replica         string   `json:"replica"`
	Zone            string   `json:"zone,omitempty"`
	To              string   `json:"to"`
	Queries         *float64 `json:"queries"`
	Failed          *float64 `json:"servfailPercent"`
	P50             *float64 `json:"p50Milliseconds"`
	P99             *float64 `json:"p99Milliseconds"`
	HealthcheckFail *float64 `json:"healthcheckFailures"`
	Probe           *Answer  `json:"probe,omitempty"`
}

// Top is the traffic of every replica: kind DNSTop.
type Top struct {
	Header
	Interval string   `json:"interval"` // "since start", or the time between the two readings
	Items    []Server `json:"items"`
}

// Server is the traffic of one replica.
type Server struct {
	Replica      string   `json:"replica"`
	QPS          *float64 `json:"queriesPerSecond"`
	Queries      *float64 `json:"queries"`
	Rcodes       []Share  `json:"rcodes"`
	Types        []Share  `json:"types"`
	CacheHit     *float64 `json:"cacheHitPercent"`
	P50          *float64 `json:"p50Milliseconds"`
	P99          *float64 `json:"p99Milliseconds"`
	Forwarded    *float64 `json:"forwardedPercent"`
	ForwardP99   *float64 `json:"forwardP99Milliseconds"`
	Rejects      *float64 `json:"forwardRejects"`
	Panics       *float64 `json:"panics"`
	MemoryBytes  *float64 `json:"memoryBytes"`
	ReloadFailed *float64 `json:"reloadFailures"`
}

// Share is a part of a whole.
type Share struct {
	Name    string  `json:"name"`
	Count   float64 `json:"count"`
	Percent float64 `json:"percent"`
}

// Logs is the merged log of the replicas: kind DNSLogs.
type Logs struct {
	Header
	Items []LogLine `json:"items"`
}

// LogLine is a line, or several that differ in numbers alone.
type LogLine struct {
	Class    string   `json:"class"`
	Severity string   `json:"severity"`
	Text     string   `json:"text"`
	Count    int      `json:"count"`
	Replicas []string `json:"replicas"`
	First    string   `json:"first,omitempty"`
	Last     string   `json:"last,omitempty"`
	Meaning  string   `json:"meaning,omitempty"`
}

package admission

import (
	"strconv"
	"strings"
)

// Call is a call of an admission webhook that failed, as far as the refusal tells it.
type Call struct {
	Webhook   string
	Namespace string // of the Service; empty: the webhook is called by another URL, or the address is not told
	Service   string
	Port      int32
	URL       bool   // another URL is told
	Why       string // what failed, without the address
	Reached   bool   // something answered, but not as a webhook does
	NoService bool   // the Service does not exist
}

// address is how the API server writes the address of a Service that it calls.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/util/webhook/client.go (hookClientConfig)
var address = lazy(`^Post "https://([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?::(\d+))?[/?"]`)

// unreached are what calls end with that nothing answered.
var unreached = []string{
	"connection refused", "no route to host", "network is unreachable", "i/o timeout", "deadline exceeded", "connection timed out",
	"no endpoints available", "not found", "no such host", "no service port",
}

// FailedCall gives the call of a refusal of kind WebhookFailed; nil: the refusal is another one.
func (r Refusal) FailedCall() *Call {
	if r.Kind != WebhookFailed {
		return nil
	}
	why := strings.TrimPrefix(r.Reason, "failed to call webhook: ")
	c := &Call{Webhook: r.Name, Why: why}
	if m := address().FindStringSubmatch(why); m != nil {
		c.Service, c.Namespace, c.Port = m[1], m[2], 443
		if port, err := strconv.ParseInt(m[3], 10, 32); err == nil {
			c.Port = int32(port)
		}
	}
	if _, rest, ok := strings.Cut(why, `": `); ok && strings.HasPrefix(why, `Post "`) {
		c.Why, c.URL = rest, c.Service == ""
	}
	c.NoService = c.Service != "" && c.Why == `service "`+c.Service+`" not found`
	c.Reached = c.Why != ""
	for _, words := range unreached {
		c.Reached = c.Reached && !strings.Contains(c.Why, words)
	}
	return c
}

package lookup

import (
	"slices"
	"testing"
)

func TestIn(t *testing.T) {
	for line, want := range map[string]Failure{
		"dial tcp: lookup db.shop on 10.96.0.10:53: read udp 10.0.0.2:1->10.96.0.10:53: i/o timeout": {Unanswered: true, Names: []string{"db.shop"}},
		";; connection timed out; no servers could be reached":                                       {Unanswered: true},
		"nslookup: can't resolve 'db'":                                                               {Unclear: true, Names: []string{"db"}},
		"** server can't find db.shop: NXDOMAIN":                                                     {NotFound: true},
		"getaddrinfo ENOTFOUND db":                                                                   {NotFound: true, Names: []string{"db"}},
		"wget: bad address 'db:80'":                                                                  {Unclear: true, Names: []string{"db"}},
		"dial tcp 10.0.0.1:5432: i/o timeout":                                                        {},
		"connect to db: connection refused":                                                          {},
		"resolved 3 hosts, 0 failed":                                                                 {},
		"urllib3: Failed to resolve 'db.shop'":                                                       {Unclear: true, Names: []string{"db.shop"}},
		"psycopg: failed to resolve host 'db'":                                                       {Unclear: true, Names: []string{"db"}},
		"Error: getaddrinfo EAI_AGAIN db db:5432":                                                    {Unanswered: true, Names: []string{"db"}},
		"nginx: [emerg] host not found in upstream \"api:8080\" in /etc/nginx/conf.d/api.conf:5":     {Unclear: true, Names: []string{"api"}},
		"[ALERT] parsing [/h.cfg:9] : 'server s1' : could not resolve address 'db.shop'.":            {Unclear: true, Names: []string{"db.shop"}},
		"DNS resolution failed for db:50051: C-ares status is not ARES_SUCCESS":                      {Unclear: true, Names: []string{"db"}},
		"Couldn't resolve server kafka:9092 as DNS resolution failed for kafka":                      {Unclear: true, Names: []string{"kafka"}},
		"ERROR 2005 (HY000): Unknown MySQL server host 'db' (-2)":                                    {Unclear: true, Names: []string{"db"}},
		"2026/01/01 connect() failed (111: Connection refused) while connecting to upstream \"api\"": {},
		"java.io.FileNotFoundException: /etc/app.properties (No such file or directory)":             {},
		"ModuleNotFoundError: No module named 'flask'":                                               {},
		"ResourceNotFoundException: Requested resource not found":                                    {},
		"Module not found: Error: Can't resolve 'react' in '/app'":                                   {},
		"failed to resolve reference \"docker.io/library/api:2\": not found":                         {},
		"[vite] Internal server error: Failed to resolve import \"./App\"":                           {},
		"looking up the cache: no entry for 'db'":                                                    {},
	} {
		got := In(line)
		if got.Unanswered != want.Unanswered || got.NotFound != want.NotFound || got.Unclear != want.Unclear || !slices.Equal(got.Names, want.Names) {
			t.Errorf("%q: %+v", line, got)
		}
		if got.Failed() != (want.Unanswered || want.NotFound || want.Unclear) {
			t.Errorf("%q: failed %v", line, got.Failed())
		}
	}
}

func TestBegins(t *testing.T) {
	for _, c := range []struct {
		want    bool
		command []string
	}{
		{true, []string{"nslookup", "db"}},
		{true, []string{"/usr/bin/getent", "ahostsv4", "db"}},
		{true, []string{"sh", "-c", "getent hosts db || exit 1"}},
		{true, []string{"/bin/bash", "-c", "  dig +short db"}},
		{false, []string{"getent", "passwd", "postgres"}},
		{false, []string{"sh", "-c", "pg_isready --host db"}},
		{false, []string{"mysqladmin", "--host", "db", "ping"}},
		{false, []string{"nslookup"}},
		{false, nil},
	} {
		if got := Begins(c.command); got != c.want {
			t.Errorf("%q: %v", c.command, got)
		}
	}
}

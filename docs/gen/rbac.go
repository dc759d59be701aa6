package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/rbac"
)

// permissionsPage is the page of permissions, of the plugins that there are.
func permissionsPage(plugins []plugin) ([]byte, error) {
	roles, err := rbac.Roles()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("# Permissions\n\nGenerated; a test runs each plugin with exactly its role. What is missing is never guessed: a check that may not be made is named\nunder `sources`, and `--require-complete` turns that into exit code 4. The values of Secrets are never read.\n")
	for _, r := range roles {
		if !slices.ContainsFunc(plugins, func(p plugin) bool { return p.name == r.Plugin }) {
			continue
		}
		fmt.Fprintf(&b, "\n## kubectl %s\n\n%s\n\n| may | for |\n|---|---|\n", r.Plugin, r.About)
		for _, p := range r.Permissions {
			use := p.Use
			if p.Option != "" {
				use = "only with " + p.Option + ": " + use
			}
			fmt.Fprintf(&b, "| %s `%s` | %s |\n", strings.ReplaceAll(p.Verbs, ",", ", "), strings.Trim(p.Group+" "+strings.ReplaceAll(p.Resources, ",", ", "), " "), use)
		}
		fmt.Fprintf(&b, "\n```yaml\n%s```\n", r.Manifest("kubectl-"+r.Plugin, rbac.Everyday))
	}
	return b.Bytes(), nil
}

// cronJob is a Job that reports regularly, with the role that it needs.
func cronJob() ([]byte, error) {
	role, err := rbac.Of("runbooks")
	if err != nil {
		return nil, err
	}
	return []byte(strings.Replace(cronJobText, "ROLE", role.Manifest("kubectl-runbooks", rbac.Everyday), 1)), nil
}

const cronJobText = `# Generated. Every five minutes, what is wrong with the cluster, as gauges for the textfile collector of node_exporter
# (https://github.com/prometheus/node_exporter#textfile-collector). One node holds the file. On that node, the user of the image may write
# to the directory of the collector; DIRECTORY is that of --collector.textfile.directory:
#
#   kubectl label node NODE kubectl-runbooks/report=
#   kubectl nodeshell NODE -- chown 65532 DIRECTORY
#
# For a report in JUnit XML instead, in the log of the Job: args: [-o, junit], without the volume and the nodeSelector.
apiVersion: v1
kind: Namespace
metadata:
  name: kubectl-runbooks
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: kubectl-runbooks
  namespace: kubectl-runbooks
---
ROLE---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: kubectl-runbooks
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: kubectl-runbooks
subjects:
  - kind: ServiceAccount
    name: kubectl-runbooks
    namespace: kubectl-runbooks
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: kubectl-runbooks
  namespace: kubectl-runbooks
spec:
  schedule: "*/5 * * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 0
      activeDeadlineSeconds: 240
      template:
        spec:
          serviceAccountName: kubectl-runbooks
          restartPolicy: Never
          nodeSelector:
            kubectl-runbooks/report: ""
          securityContext:
            runAsNonRoot: true
            seccompProfile:
              type: RuntimeDefault
          containers:
            - name: runbooks
              image: ghcr.io/kubectl-runbooks/kubectl-runbooks:v0.1.0
              args: [-o, prometheus, --output-file, /textfiles/kubectl-runbooks.prom]
              resources:
                requests:
                  cpu: 50m
                  memory: 64Mi
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities:
                  drop: [ALL]
              volumeMounts:
                - name: textfiles
                  mountPath: /textfiles
          volumes:
            - name: textfiles
              hostPath:
                path: /var/lib/node_exporter/textfile_collector # DIRECTORY
                type: Directory
`

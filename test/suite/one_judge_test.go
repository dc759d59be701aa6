package suite

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// judge is a fact of Kubernetes and the one package that says what it means. Others ask that package: two readings of one
// field disagree sooner or later, and then one plugin calls dead what the other calls alive.
type judge struct {
	fact      string
	allowed   string   // the package that reads it
	except    []string // packages that touch it without judging: they only print or pass it on
	selectors []string // what nobody else may select: "Spec.RenewTime" is x.Spec.RenewTime
	texts     []string // what no string of anybody else may hold
}

var judges = []judge{
	{
		fact: "a heartbeat, a leader's lease", allowed: "pkg/diagnose/node",
		selectors: []string{"Spec.RenewTime", "Spec.LeaseDurationSeconds", "Spec.HolderIdentity"},
	},
	{fact: "a helper pod within a Job", allowed: "pkg/helperpod", selectors: []string{"batchv1.JobSpec"}},
	{
		fact: "when and how often an event was seen", allowed: "pkg/diagnose/event",
		selectors: []string{"Series", "LastTimestamp", "FirstTimestamp", "EventTime", "ReportingController", "Source.Component"},
	},
	{
		fact: "what a container waits for, and whether it loops", allowed: "pkg/diagnose/pod",
		texts: []string{"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"},
	},
	{
		fact: "what became of a certificate request", allowed: "pkg/diagnose/certificate",
		selectors: []string{"certificatesv1.CertificateDenied", "certificatesv1.CertificateFailed", "certificatesv1.CertificateApproved"},
	},
	{fact: "condition Ready of a pod", allowed: "pkg/diagnose/pod", selectors: []string{"corev1.PodReady"}},
	{fact: "condition Ready of a node", allowed: "pkg/diagnose/node", selectors: []string{"corev1.NodeReady"}},
	{
		fact: "who refuses, and why", allowed: "pkg/diagnose/admission",
		texts: []string{
			"exceeded quota", "failed quota", "violates PodSecurity", "denied the request", "denied request", "failed calling webhook",
			" is forbidden:", "forbidden: User", "cannot create resource", "error looking up service account",
		},
	},
	{
		fact: "what a program says of a name that it cannot resolve", allowed: "pkg/diagnose/lookup",
		except: []string{"pkg/diagnose/pod"}, // of a registry's name, which the node resolves
		texts:  []string{"temporary failure in name resolution", "can't resolve '", "server misbehaving"},
	},
	{
		fact: "which nodes a pod may be on", allowed: "pkg/diagnose/schedule",
		selectors: []string{
			"FindMatchingUntoleratedTaint", "TolerationsTolerateTaint", "ToleratesTaint", "TolerationOpEqual", "TolerationOpGt", "TolerationOpLt",
			"Spec.Tolerations", "GetRequiredNodeAffinity",
		},
	},
	{
		fact: "which taints a pod tolerates", allowed: "pkg/diagnose/schedule",
		except:    []string{"plugins/dns/internal/collect", "plugins/nodeshell/internal/evaluate"}, // they make pods
		selectors: []string{"TolerationOpExists"},
	},
	{
		fact: "what a pod is charged, and of what", allowed: "pkg/diagnose/schedule",
		selectors: []string{"PodRequests", "PodLimits", "AggregateContainerRequests", "PodResourcesOptions", "Status.Allocatable"},
		texts:     []string{"status.phase!=Succeeded"},
	},
}

// violation is a place where a fact is read by somebody who is not its judge.
type violation struct {
	line int
	text string
}

// readings gives the places in a file that touch what the judge alone may touch.
func (j *judge) readings(t *testing.T, name string, source any) []violation {
	t.Helper()
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, name, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []violation
	ast.Inspect(tree, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.SelectorExpr:
			path := selection(x)
			for _, s := range j.selectors {
				if path == s || strings.HasSuffix(path, "."+s) {
					found = append(found, violation{files.Position(x.Pos()).Line, path})
				}
			}
		case *ast.BasicLit:
			text, err := strconv.Unquote(x.Value)
			if x.Kind != token.STRING || err != nil {
				return true
			}
			for _, s := range j.texts {
				if strings.Contains(text, s) {
					found = append(found, violation{files.Position(x.Pos()).Line, text})
				}
			}
		case *ast.ImportSpec:
			return false
		case *ast.KeyValueExpr: // a catalog entry tells what is read, and reads nothing
			if key := selection(x.Key); key == "Meaning" || key == "Evidence" || key == "Next" {
				return false
			}
		case *ast.ValueSpec: // a finding that bears Kubernetes' own word is a name, no reading
			if x.Type != nil && selection(x.Type) == "finding.Code" {
				return false
			}
		}
		return true
	})
	return found
}

// selection gives a chain of selections as text: what is called or indexed on the way is left out.
func selection(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return selection(x.X) + "." + x.Sel.Name
	case *ast.CallExpr:
		return selection(x.Fun) + "()"
	case *ast.IndexExpr:
		return selection(x.X) + "[]"
	case *ast.ParenExpr:
		return selection(x.X)
	case *ast.StarExpr:
		return selection(x.X)
	}
	return ""
}

func TestEachFactHasOneJudge(t *testing.T) {
	for _, p := range packages(t) {
		if from, _ := layer(p.ImportPath); from != "cmd" && from != "plugins" && from != "pkg" {
			continue
		}
		for i := range judges {
			j := &judges[i]
			if p.ImportPath == j.allowed || covered(j.except, p.ImportPath) {
				continue
			}
			for _, name := range p.GoFiles {
				for _, v := range j.readings(t, filepath.Join(p.Dir, name), nil) {
					t.Errorf("%s/%s:%d reads %q: %s is judged in %s alone, or two plugins disagree about it", p.ImportPath, name, v.line, v.text, j.fact, j.allowed)
				}
			}
		}
	}
}

func covered(patterns []string, path string) bool {
	for _, p := range patterns {
		if covers(p, path) {
			return true
		}
	}
	return false
}

// TestASecondJudgeIsFound: a second copy of each fact, planted in a file, is a failure.
func TestASecondJudgeIsFound(t *testing.T) {
	for i := range judges {
		j := &judges[i]
		for _, s := range j.selectors {
			source := "package p\n\nvar x = object.Items[0]." + s + "\n"
			if len(j.readings(t, "planted.go", source)) == 0 {
				t.Errorf("%s: a copy that reads %s is not found", j.fact, s)
			}
		}
		for _, s := range j.texts {
			source := "package p\n\nvar x = " + strconv.Quote("so "+s+".") + "\n"
			if len(j.readings(t, "planted.go", source)) == 0 {
				t.Errorf("%s: a copy that knows the text %q is not found", j.fact, s)
			}
			source = "package p\n\nconst X finding.Code = " + strconv.Quote(s) + "\n\nvar e = finding.Entry{Evidence: " + strconv.Quote(s+".") + "}\n"
			if len(j.readings(t, "planted.go", source)) != 0 {
				t.Errorf("%s: the name of a finding, or its catalog entry, with %q is taken for a copy", j.fact, s)
			}
		}
		if j.allowed == "" || len(j.selectors)+len(j.texts) == 0 {
			t.Errorf("%s: names no judge, or nothing that is its own", j.fact)
		}
	}
}

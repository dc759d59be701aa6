// Package corefile reads CoreDNS's configuration as a person needs it: every directive with its file and line, imports
// and snippets followed, and the order in which plugins really run. It is pure text in, data out.
package corefile

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// File is a parsed Corefile.
type File struct {
	Blocks   []Block   `json:"blocks"`
	Problems []Problem `json:"problems,omitempty"`
}

// Block is one server block: the zones it serves and the plugins in it, in the order written.
type Block struct {
	Zones      []Zone      `json:"zones"`
	File       string      `json:"file,omitempty"`
	Line       int         `json:"line"`
	Directives []Directive `json:"directives"`
}

// Zone is one key of a server block.
type Zone struct {
	Name   string `json:"name"` // with the final dot, lower case
	Port   string `json:"port"`
	Scheme string `json:"scheme"`
}

// String gives the key as CoreDNS prints it, e.g. dns://.:53.
func (z Zone) String() string { return z.Scheme + "://" + z.Name + ":" + z.Port }

// Directive is a plugin, or an option inside one, with what stands behind it.
type Directive struct {
	Name string      `json:"name"`
	Args []string    `json:"args,omitempty"`
	File string      `json:"file,omitempty"`
	Line int         `json:"line"`
	Body []Directive `json:"body,omitempty"`
}

// Problem is something that keeps CoreDNS from loading this text.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line"`
	Message string `json:"message"`
}

// maximum depth of imports: a file that imports itself must end somewhere.
const maxDepth = 16

// Parse reads the Corefile main out of files (path to text). Imports are looked up there by glob, relative to the
// importing file; an import that matches nothing is not an error, as in Caddy.
func Parse(files map[string]string, main string) File {
	p := parser{files: files, snippets: map[string][]token{}}
	text, ok := files[main]
	if !ok {
		p.problem(token{file: main, line: 1}, "file %s does not exist", main)
		return p.out
	}
	p.blocks(p.expand(lex(main, text), 0))
	return p.out
}

// Text parses a single text without imports.
func Text(text string) File { return Parse(map[string]string{"Corefile": text}, "Corefile") }

// Valid says whether CoreDNS's parser would accept the text.
func (f File) Valid() bool { return len(f.Problems) == 0 }

type parser struct {
	files    map[string]string
	snippets map[string][]token
	out      File
}

func (p *parser) problem(at token, format string, args ...any) {
	p.out.Problems = append(p.out.Problems, Problem{File: at.file, Line: at.line, Message: fmt.Sprintf(format, args...)})
}

// expand takes out snippet definitions and replaces every import by what it names, keeping the places of the tokens.
func (p *parser) expand(tokens []token, depth int) []token {
	var out []token
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		first := i == 0 || tokens[i-1].line != t.line || tokens[i-1].file != t.file
		switch {
		case first && isSnippetName(t) && i+1 < len(tokens) && tokens[i+1].text == "{" && braces(out) == 0:
			end := closing(tokens, i+1)
			p.snippets[strings.Trim(t.text, "()")] = tokens[i+2 : end]
			i = end
		case first && t.text == "import" && !t.quoted:
			args := restOfLine(tokens, i)
			i += len(args)
			out = append(out, p.imported(t, args, depth)...)
		default:
			out = append(out, t)
		}
	}
	return out
}

func (p *parser) imported(at token, args []token, depth int) []token {
	switch {
	case len(args) == 0:
		p.problem(at, "import requires a file or a snippet")
		return nil
	case depth >= maxDepth:
		p.problem(at, "imports are nested more than %d deep; %s may import itself", maxDepth, args[0].text)
		return nil
	}
	if body, ok := p.snippets[args[0].text]; ok {
		return p.expand(substitute(body, args[1:]), depth+1)
	}
	pattern := args[0].text
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(at.file), pattern)
	}
	var names []string
	for name := range p.files {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 && !strings.ContainsAny(pattern, "*?[") {
		p.problem(at, "import %s: no such file or snippet", args[0].text)
	}
	var out []token
	for _, name := range names {
		out = append(out, p.expand(substitute(lex(name, p.files[name]), args[1:]), depth+1)...)
	}
	return out
}

// substitute puts an import's further arguments for {args[0]}, {args[1]}…
func substitute(tokens, args []token) []token {
	out := slices.Clone(tokens)
	for i := range out {
		for n, arg := range args {
			out[i].text = strings.ReplaceAll(out[i].text, fmt.Sprintf("{args[%d]}", n), arg.text)
		}
	}
	return out
}

func isSnippetName(t token) bool {
	return !t.quoted && len(t.text) > 2 && strings.HasPrefix(t.text, "(") && strings.HasSuffix(t.text, ")")
}

func restOfLine(tokens []token, i int) []token {
	end := i + 1
	for end < len(tokens) && tokens[end].line == tokens[i].line && tokens[end].file == tokens[i].file && !isBrace(tokens[end]) {
		end++
	}
	return tokens[i+1 : end]
}

func isBrace(t token) bool { return !t.quoted && (t.text == "{" || t.text == "}") }

// closing finds the brace that closes the one at open, or the end.
func closing(tokens []token, open int) int {
	depth := 0
	for i := open; i < len(tokens); i++ {
		if tokens[i].quoted {
			continue
		}
		switch tokens[i].text {
		case "{":
			depth++
		case "}":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(tokens)
}

func braces(tokens []token) int {
	depth := 0
	for _, t := range tokens {
		if isBrace(t) {
			if t.text == "{" {
				depth++
			} else {
				depth--
			}
		}
	}
	return depth
}

func (p *parser) blocks(tokens []token) {
	seen := map[string]token{}
	for i := 0; i < len(tokens); {
		start := tokens[i]
		block := Block{File: start.file, Line: start.line}
		for i < len(tokens) && !isBrace(tokens[i]) {
			for key := range strings.SplitSeq(strings.TrimSuffix(tokens[i].text, ","), ",") {
				p.key(tokens[i], key, &block, seen)
			}
			i++
			// without a brace the rest of the file is the one block, begun by the first line
			if i < len(tokens) && tokens[i].line != tokens[i-1].line && !strings.HasSuffix(tokens[i-1].text, ",") && !isBrace(tokens[i]) {
				break
			}
		}
		switch {
		case i >= len(tokens):
			if len(tokens) > 0 && !isBrace(start) {
				p.problem(start, "server block %s has no body", start.text)
			}
		case tokens[i].text == "}" && !tokens[i].quoted:
			p.problem(tokens[i], "unexpected }: one closing brace too many")
			return
		case isBrace(tokens[i]):
			if len(block.Zones) == 0 {
				p.problem(tokens[i], "server block without a zone before {")
			}
			end := closing(tokens, i)
			if end == len(tokens) {
				p.problem(tokens[i], "{ is not closed")
			}
			block.Directives = p.directives(tokens[i+1 : end])
			i = end + 1
		default:
			block.Directives = p.directives(tokens[i:])
			i = len(tokens)
		}
		p.out.Blocks = append(p.out.Blocks, block)
	}
}

func (p *parser) key(at token, key string, block *Block, seen map[string]token) {
	if key == "" {
		return
	}
	for _, z := range normalize(key) {
		if earlier, ok := seen[z.String()]; ok {
			p.problem(at, "zone %s is already defined in line %d", z, earlier.line)
		}
		seen[z.String()] = at
		block.Zones = append(block.Zones, z)
	}
}

// normalize reads a key of a server block: [SCHEME://]ZONE[:PORT], where ZONE may be a CIDR
// (https://github.com/coredns/coredns/blob/master/core/dnsserver/address.go).
func normalize(key string) []Zone {
	z := Zone{Scheme: "dns", Port: "53"}
	for scheme, port := range map[string]string{"dns": "53", "tls": "853", "grpc": "443", "https": "443", "https3": "443", "quic": "853"} {
		if rest, ok := strings.CutPrefix(key, scheme+"://"); ok {
			key, z.Scheme, z.Port = rest, scheme, port
			break
		}
	}
	host := key
	if i := strings.LastIndex(key, ":"); i >= 0 && isPort(key[i+1:]) {
		host, z.Port = key[:i], key[i+1:]
	}
	if zones := ReverseZones(host); zones != nil {
		out := make([]Zone, 0, len(zones))
		for _, name := range zones {
			out = append(out, Zone{Name: name, Port: z.Port, Scheme: z.Scheme})
		}
		return out
	}
	z.Name = Fqdn(host)
	return []Zone{z}
}

func isPort(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// directives reads the lines of a block; a { at the end of a line opens the directive's body.
func (p *parser) directives(tokens []token) []Directive {
	var out []Directive
	for i := 0; i < len(tokens); {
		t := tokens[i]
		if isBrace(t) {
			p.problem(t, "unexpected %s", t.text)
			i++
			continue
		}
		d := Directive{Name: t.text, File: t.file, Line: t.line}
		rest := restOfLine(tokens, i)
		for _, a := range rest {
			d.Args = append(d.Args, a.text)
		}
		i += 1 + len(rest)
		if i < len(tokens) && tokens[i].text == "{" && !tokens[i].quoted {
			end := closing(tokens, i)
			if end == len(tokens) {
				p.problem(tokens[i], "{ of %s is not closed", d.Name)
				d.Body = p.directives(tokens[i+1:])
			} else {
				d.Body = p.directives(tokens[i+1 : end])
			}
			i = end + 1
		}
		out = append(out, d)
	}
	return out
}

package slip

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"sallyport/internal/verdict"
)

// HTML is the slip as one page that needs nothing else: no script, no other
// file, no network. What most media give fits a sheet of A6 or a receipt printer
// of 80 mm. It fails when the checkpoint cannot be printed.
func (s *Slip) HTML() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	v := view{
		Verdict: word(s.Verdict), Medium: verdict.Visible(s.Medium), About: verdict.Visible(s.About), Station: s.station(), When: s.when(),
		Entry: s.Entry, Detail: verdict.Visible(s.Detail), Checkpoint: s.Checkpoint, NotSealed: notSealed, Keep: keep, Scan: scan, Run: run, Where: where + " " + likewise,
	}
	for i := range s.Packages {
		p := &s.Packages[i]
		v.Packages = append(v.Packages, viewPackage{p.name(), word(p.Verdict), p.more()})
	}
	for _, r := range s.Reasons {
		v.Reasons = append(v.Reasons, viewReason{verdict.Visible(string(r)), r.Meaning(), r.NextStep()})
	}
	for _, d := range s.Damage {
		v.Damage = append(v.Damage, verdict.Visible(d))
	}
	if s.Checkpoint != "" {
		c, err := code(s.Checkpoint)
		if err != nil {
			return nil, err
		}
		v.Seals, v.Modules, v.Path = s.seals(), c.Size+2*quiet, path(c)
	}
	t, err := template.New("slip").Parse(strings.TrimLeft(pageHTML, "\n"))
	if err != nil {
		return nil, fmt.Errorf("cannot make a slip: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, &v); err != nil {
		return nil, fmt.Errorf("cannot make a slip: %w", err)
	}
	return out.Bytes(), nil
}

// view is what the page shows. The template escapes it for the place it stands
// in; what cannot be seen is escaped before.
type view struct {
	Verdict, Medium, About, Station, When string
	Entry                                 int64
	Packages                              []viewPackage
	Reasons                               []viewReason
	Detail                                string
	Damage                                []string
	Checkpoint, Seals                     string
	Modules                               int
	Path                                  string
	NotSealed, Keep, Scan, Run, Where     string
}

type viewPackage struct{ Name, Verdict, More string }

type viewReason struct{ Reason, Meaning, Next string }

// pageHTML is the page. Foreign text stands in bdi, so that its direction of
// writing turns nothing around it.
const pageHTML = `
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Slip of medium {{.Medium}}</title>
<style>
@page { margin: 3mm }
body { font: 7.5pt/1.25 sans-serif; max-width: 99mm; margin: 0 auto; color: #000; background: #fff; overflow-wrap: anywhere }
h1 { font-size: 11pt; margin: 0 }
h1 b { border: 1px solid #000; padding: 0 1mm }
table { border-collapse: collapse; width: 100%; margin: 1mm 0 }
th, td { text-align: left; vertical-align: top; padding: 0 1mm 0 0 }
th { font-weight: normal; width: 13mm; overflow-wrap: normal }
p { margin: .6mm 0 }
pre { font: 6pt/1.2 monospace; white-space: pre-wrap; margin: 1mm 0 }
svg { display: block; width: 100%; max-width: 48mm; margin: 0 auto; break-inside: avoid }
code { font-size: 7pt }
</style>
</head>
<body>
<h1>Sallyport slip <b>{{.Verdict}}</b></h1>
<table>
<tr><th>Medium<td>{{.Medium}}: <bdi>{{.About}}</bdi>
<tr><th>Station<td><bdi>{{.Station}}</bdi>
<tr><th>Time<td>{{.When}}
<tr><th>Entry<td>{{.Entry}} of the station's audit log
{{- range .Packages}}
<tr><th>Package<td><bdi>{{.Name}}</bdi>: <b>{{.Verdict}}</b><br><bdi>{{.More}}</bdi>
{{- end}}
{{- range .Reasons}}
<tr><th>Reason<td>{{.Reason}}: {{.Meaning}}<br>→ {{.Next}}
{{- end}}
{{- if .Detail}}
<tr><th>Detail<td><bdi>{{.Detail}}</bdi>
{{- end}}
{{- range .Damage}}
<tr><th>DAMAGED<td>{{.}}
{{- end}}
</table>
{{if .Checkpoint -}}
<p>{{.Seals}}</p>
<pre>{{.Checkpoint}}</pre>
<svg viewBox="0 0 {{.Modules}} {{.Modules}}" shape-rendering="crispEdges" role="img" aria-label="QR code of the checkpoint"><rect width="{{.Modules}}" height="{{.Modules}}" fill="#fff"/><path d="{{.Path}}" fill="#000"/></svg>
<p>{{.Keep}} {{.Scan}}</p>
<p><code>{{.Run}}</code></p>
<p>{{.Where}}</p>
{{- else -}}
<p><b>{{.NotSealed}}</b></p>
{{- end}}
</body>
</html>
`

package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/logexport"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

type logExportCmd struct {
	Format        string `required:"" enum:"cdf-json,cdf-xml,jsonl,csv" help:"cdf-json or cdf-xml (NIST SP 1500-101), jsonl or csv." placeholder:"FORMAT"`
	Out           string `help:"File to write the entries to; it must not exist." placeholder:"FILE"`
	Documentation string `help:"File to write the meaning of the events to, in the same format (cdf-json, cdf-xml)." placeholder:"FILE"`
	Folder        string `help:"Read the log in this folder instead of asking the station: a copy, or one too damaged for the station to open." placeholder:"DIR"`
	logFilter
}

// Help implements kong.HelpProvider.
func (logExportCmd) Help() string {
	return `Writes the entries as others read them: as the Election Event Log of NIST SP 1500-101 (cdf-json, cdf-xml; --documentation writes what its events mean), as JSON lines exactly as they were logged (jsonl), or for a spreadsheet (csv). What goes where stands in internal/logexport/FORMAT.md. The log holds no votes, no voters and no secrets, and neither does an export.

    sallyport log export --format cdf-json --out log.json --documentation events.json
    sallyport log export --format csv --out held.csv --event package --outcome held
    sallyport log export --format jsonl --out day.jsonl \
        --since 2026-11-03T00:00:00Z --until 2026-11-04T00:00:00Z
    sallyport log export --format jsonl --out rest.jsonl --folder /mnt/copy/log

Times are as the station's clock had them; entries whose clock was not trusted are marked, and --from and --to find them where --since and --until may not. Damaged places are named in the export, whatever the filter.

An export is a file like any other; 'sallyport log seal' gives it out sealed.

Exit status: 0 written, 3 written, but the log is damaged, 1 failed, 2 usage, 5 the station is not ready.`
}

// exportResult is what an export prints.
type exportResult struct {
	File          string `json:"file,omitzero"`
	Documentation string `json:"documentation,omitzero"`
	Format        string `json:"format"`
	Entries       int64  `json:"entries"`
	LogEntries    int64  `json:"log_entries"` // of the whole log
	// Damaged counts damaged places; Places are the first twenty.
	Damaged int64    `json:"damaged"`
	Places  []string `json:"places,omitempty"`
}

func (c *logExportCmd) Run(a *app) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	log, err := c.open(a)
	if err != nil {
		return err
	}
	res, err := c.export(a, log, filter)
	if err = errors.Join(err, log.close()); err != nil {
		return err
	}
	c.record(a, res)
	if err := a.print(res, func(w io.Writer) { res.show(w) }); err != nil {
		return err
	}
	if res.Damaged > 0 {
		return exit{ExitHeld}
	}
	return nil
}

// record has the station note the export. A damaged log takes no entry; the export
// is for those who find out why.
func (c *logExportCmd) record(a *app, res exportResult) {
	if c.Folder != "" || res.File == "" || res.Damaged > 0 {
		return
	}
	args := station.ExportedArgs{Format: c.Format, Entries: res.Entries, LogEntries: res.LogEntries}
	if err := a.do(station.OpLogExported, args, nil, &station.NoArgs{}); err != nil {
		fmt.Fprintln(a.err, "sallyport: the export is not in the log:", err)
	}
}

func (r *exportResult) show(w io.Writer) {
	if r.File != "" {
		fmt.Fprintf(w, "wrote %d of %d entries to %s\n", r.Entries, r.LogEntries, verdict.Escape(r.File))
	}
	if r.Documentation != "" {
		fmt.Fprintf(w, "wrote the meaning of the events to %s\n", verdict.Escape(r.Documentation))
	}
	for _, p := range r.Places {
		fmt.Fprintln(w, "DAMAGED:", p)
	}
	if more := r.Damaged - int64(len(r.Places)); more > 0 {
		fmt.Fprintf(w, "DAMAGED: %d more places; the export names them\n", more)
	}
	if r.Damaged > 0 {
		fmt.Fprintln(w, "What stood there is not in the export. Keep the log as it is and run 'sallyport-verify log' on it.")
	}
}

// filter checks the flags against each other.
func (c *logExportCmd) filter() (f audit.Filter, err error) {
	switch {
	case c.Out == "" && c.Documentation == "":
		return f, control.Failf(control.CodeUsage, "nothing is to be written: name a file with --out, with --documentation, or both")
	case c.Documentation != "" && c.Format != string(logexport.CDFJSON) && c.Format != string(logexport.CDFXML):
		return f, control.Failf(control.CodeUsage, "--documentation is a document of NIST SP 1500-101: it needs --format cdf-json or cdf-xml ('sallyport log events' prints the same)")
	case c.Out != "" && filepath.Clean(c.Out) == filepath.Clean(c.Documentation):
		return f, control.Failf(control.CodeUsage, "--out and --documentation are the same file")
	}
	if f, err = c.logFilter.filter(); err != nil {
		return f, err
	}
	for _, path := range []string{c.Out, c.Documentation} {
		if path != "" {
			err = errors.Join(err, checkNew(path))
		}
	}
	return f, err
}

// logSource is where an export comes from, page by page.
type logSource struct {
	about logexport.About // what is known before the first page
	page  func(audit.Filter) (station.Log, error)
	close func() error
}

// open finds the log: at the station or in a folder.
func (c *logExportCmd) open(a *app) (*logSource, error) {
	if c.Folder != "" {
		f, err := logexport.OpenFolder(c.Folder)
		if err != nil {
			return nil, control.Failf(control.CodeUsage, "%v", err)
		}
		return &logSource{f.About(), func(filter audit.Filter) (station.Log, error) {
			p, err := f.Page(filter, station.MaxLogAnswer, 16<<20)
			return station.Log{Size: f.About().Entries, Checkpoint: f.About().Checkpoint, Entries: p.Entries, Damage: p.Damage, Next: p.Next}, err
		}, f.Close}, nil
	}
	s, err := a.connect()
	if err != nil {
		return nil, err
	}
	var st station.Status
	if err := s.do(station.OpStatus, station.NoArgs{}, nil, &st); err != nil {
		return nil, errors.Join(err, s.close())
	}
	about := logexport.About{Station: st.Station, Name: st.Name, Role: st.Role, Jurisdiction: st.Jurisdiction, Version: station.Version()}
	return &logSource{about, func(filter audit.Filter) (part station.Log, err error) {
		err = s.do(station.OpLogShow, station.LogArgs{Filter: filter, Export: true}, nil, &part)
		return part, err
	}, s.close}, nil
}

// export writes the files; when it fails, there are none.
func (c *logExportCmd) export(a *app, log *logSource, filter audit.Filter) (res exportResult, err error) {
	res = exportResult{File: c.Out, Documentation: c.Documentation, Format: c.Format}
	about := log.about
	about.Filter, about.Generated = filter, time.Now()
	if c.Documentation != "" {
		err = newFile(c.Documentation, func(w io.Writer) error { return logexport.WriteDocumentation(w, logexport.Format(c.Format), about) })
		if err != nil {
			return res, err
		}
		defer func() {
			if err != nil {
				os.Remove(c.Documentation)
			}
		}()
	}
	if c.Out == "" {
		return res, nil
	}
	first, err := log.page(filter)
	if err != nil {
		return res, err
	}
	about.Entries, about.Checkpoint = first.Size, first.Checkpoint
	err = newFile(c.Out, func(w io.Writer) error {
		x, err := logexport.New(w, logexport.Format(c.Format), about)
		if err != nil {
			return err
		}
		if err := copyLog(a, x, log, filter, first); err != nil {
			return err
		}
		sum := x.Summary()
		res.Entries, res.Damaged, res.Places, res.LogEntries = sum.Entries, sum.Damaged, sum.Places, first.Size
		return x.Close()
	})
	return res, err
}

// copyLog writes page after page. The log may grow meanwhile: what came after
// the first answer is no part of the export.
func copyLog(a *app, x *logexport.Writer, log *logSource, filter audit.Filter, part station.Log) error {
	if filter.To == 0 || filter.To > part.Size {
		filter.To = part.Size
	}
	for {
		if err := x.Page(part.Entries, part.Damage); err != nil {
			return control.Failf(codeFailed, "%v", err)
		}
		switch {
		case part.Next == 0:
			return nil
		case part.Next <= filter.From:
			return control.Failf(codeFailed, "the station shows the log again from entry %d instead of going on", part.Next)
		case a.ctx.Err() != nil:
			return a.interrupted("nothing was written.")
		}
		filter.From = part.Next
		var err error
		if part, err = log.page(filter); err != nil {
			return err
		}
	}
}

// newFile is [writeFile] for what does not fit into memory.
//
//	openat(path, O_CREAT|O_EXCL) write… fsync close open(dir) fsync(dir)
func newFile(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return control.Failf(codeFailed, "cannot write %s: %v", verdict.Escape(path), err)
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = (durable.FS{}).SyncDir("cli.export", filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

type logEventsCmd struct {
	Markdown bool `help:"Print the table of internal/audit/EVENTS.md, with the fields."`
}

// Help implements kong.HelpProvider.
func (logEventsCmd) Help() string {
	return `Every entry of the audit log is one of these events: there is no other. A fact is one entry; an action is two, one before it and one after it. It needs no station. With --json and --markdown the fields that an entry may carry are listed too; 'sallyport log export --documentation' writes the same for NIST SP 1500-101.

    sallyport log events
    sallyport log events --markdown
    sallyport --json log events

Exit status: 0 done, 1 failed, 2 usage.`
}

func (c *logEventsCmd) Run(a *app) error {
	if c.Markdown && a.cmd.JSON {
		return control.Failf(control.CodeUsage, "--json and --markdown are two forms of the same: choose one")
	}
	all := logexport.Catalogue()
	if c.Markdown {
		_, err := io.WriteString(a.out, all.Markdown())
		return written(err)
	}
	return a.print(all, func(w io.Writer) {
		if err := all.WriteTable(w); err != nil {
			fmt.Fprintln(a.err, "sallyport:", err)
		}
	})
}

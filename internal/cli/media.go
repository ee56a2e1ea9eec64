package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"sallyport/internal/control"
	"sallyport/internal/intake"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

type intakeCmd struct {
	Medium string `arg:"" help:"Image file or block device." placeholder:"IMAGE"`
}

func (c *intakeCmd) Run(a *app) error {
	f, err := openMedium(c.Medium)
	if err != nil {
		return err
	}
	defer f.Close()
	var report intake.Report
	if err := a.do(station.OpIntake, station.IntakeArgs{Name: filepath.Base(c.Medium)}, f, &report); err != nil {
		return err
	}
	if err := a.print(report, func(w io.Writer) { showReport(w, &report) }); err != nil {
		return err
	}
	if s := report.ExitCode(); s != 0 {
		return exit{s}
	}
	return nil
}

// showReport prints a verdict for the person who holds the medium: the verdict,
// each reason once with its place, and what to do now.
func showReport(w io.Writer, r *intake.Report) {
	fmt.Fprintf(w, "%s: medium %s (%s)\n", strings.ToUpper(string(r.Verdict)), r.Medium.ID, verdict.Escape(r.Medium.Name))
	for _, p := range r.Packages {
		what := "files outside sealed packages"
		if p.Package != "" {
			what = "package " + p.Package
			if p.Kind != "" {
				what += fmt.Sprintf(" (%s from %s)", p.Kind, p.Signer)
			}
		}
		fmt.Fprintf(w, "  %s: %s", p.Verdict, what)
		if p.Item != "" {
			fmt.Fprintf(w, ", %s, %s, kept as item %s", count(int(p.Files), "file"), size(p.Bytes), p.Item)
		}
		fmt.Fprintln(w)
		if p.Receipt != nil {
			fmt.Fprintf(w, "    imported: %s, EMS state %.16s…\n", count(int(p.Receipt.Ballots), "ballot"), p.Receipt.StateDigest)
		}
		showFindings(w, "    ", p.Findings)
	}
	if len(r.Packages) == 0 {
		showFindings(w, "  ", r.Findings)
	}
	if len(r.Litter) > 0 {
		fmt.Fprintf(w, "  not read: %s\n", strings.Join(r.Litter, ", "))
	}
	fmt.Fprintf(w, "  audit entry %d", r.Entry)
	if !r.Sealed {
		fmt.Fprint(w, ", NOT yet sealed by the TPM: call the administrator")
	}
	fmt.Fprintln(w)
}

func showFindings(w io.Writer, indent string, list []verdict.Finding) {
	said := map[verdict.Reason]bool{}
	for _, f := range list {
		fmt.Fprintf(w, "%s%s: %s\n", indent, f.Reason.Family(), f.Error())
	}
	for _, f := range list {
		if !said[f.Reason] {
			said[f.Reason] = true
			fmt.Fprintf(w, "%s→ %s\n", indent, f.Reason.NextStep())
		}
	}
}

type inspectCmd struct {
	Medium string `arg:"" help:"Image file or block device." placeholder:"IMAGE"`
	Hash   bool   `help:"Also read every file and print its SHA-256."`
}

// maxShown problems of files are shown to people; the others are counted.
const maxShown = 32

// inspection is what 'inspect' prints.
type inspection struct {
	Size     int64              `json:"size"`
	Table    string             `json:"table"`
	Volumes  []inspectedVolume  `json:"volumes"`
	Problems []verdict.Finding  `json:"problems"`
	Files    []inspectedFile    `json:"files"`
	Sandbox  map[string]string  `json:"sandbox"`
	byID     map[uint32]int     // place in Files
	entries  []reader.Entry     // what Files shows, in the same order
	findings []*verdict.Finding // all of them, for the exit status
}

type inspectedVolume struct {
	FS       string            `json:"fs"`
	Label    string            `json:"label"`
	ID       string            `json:"id"`
	Holds    map[string]int64  `json:"holds"` // number of entries by type, and of files by trait
	Deleted  inspectedDeleted  `json:"deleted"`
	Offset   int64             `json:"offset"`
	Size     int64             `json:"size"`
	Problems []verdict.Finding `json:"problems"`
}

// inspectedDeleted is what the folders still show of deleted entries.
type inspectedDeleted struct {
	Count int64    `json:"count"`
	Names []string `json:"names"` // escaped; the first ones
}

type inspectedFile struct {
	Volume   int              `json:"volume"`
	Path     string           `json:"path"` // escaped
	Type     string           `json:"type"`
	Traits   []string         `json:"traits,omitzero"`
	Size     int64            `json:"size"`
	Modified string           `json:"modified,omitzero"`
	SHA256   string           `json:"sha256,omitzero"`
	Problem  *verdict.Finding `json:"problem,omitzero"`
}

func (c *inspectCmd) Run(a *app) error {
	f, err := openMedium(c.Medium)
	if err != nil {
		return err
	}
	defer f.Close()
	cfg, err := a.readerConfig()
	if err != nil {
		return err
	}
	session, err := reader.Start(a.ctx, cfg, f)
	if err != nil {
		return err
	}
	defer session.Close()
	listing, err := session.List()
	if a.ctx.Err() != nil {
		return a.interrupted("the medium was only being listed")
	}
	if err != nil {
		return a.inspectFailed(err)
	}
	in := newInspection(listing)
	proof := session.Proof()
	in.Sandbox = map[string]string{"landlock_abi": fmt.Sprint(proof.Landlock), "namespaces": strings.Join(proof.Namespaces, ",")}
	if c.Hash {
		err := a.hashAll(session, in)
		if a.ctx.Err() != nil {
			return a.interrupted("the files were being read")
		}
		if err != nil {
			return err
		}
	}
	if err := a.print(in, func(w io.Writer) { in.show(w, c.Hash) }); err != nil {
		return err
	}
	return in.status()
}

// inspectFailed shows a medium of which nothing can be said.
func (a *app) inspectFailed(err error) error {
	f, ok := verdict.Find(err)
	if !ok {
		return err
	}
	if f.Reason == verdict.SandboxUnavailable { // the trouble is here, not on the medium
		return err
	}
	in := &inspection{Volumes: []inspectedVolume{}, Problems: []verdict.Finding{*f}, Files: []inspectedFile{}, Sandbox: map[string]string{}, findings: []*verdict.Finding{f}}
	if err := a.print(in, func(w io.Writer) { showFindings(w, "", in.Problems) }); err != nil {
		return err
	}
	return in.status()
}

func newInspection(l *reader.Listing) *inspection {
	in := &inspection{Size: l.Size, Table: l.Table, Volumes: []inspectedVolume{}, Problems: l.Problems, Files: make([]inspectedFile, 0, len(l.Entries)), byID: map[uint32]int{}, entries: l.Entries}
	note := func(list []verdict.Finding) []verdict.Finding {
		for i := range list {
			in.findings = append(in.findings, &list[i])
		}
		if list == nil {
			return []verdict.Finding{}
		}
		return list
	}
	in.Problems = note(l.Problems)
	for _, v := range l.Volumes {
		deleted := inspectedDeleted{Count: v.Deleted, Names: make([]string, 0, len(v.DeletedNames))}
		for _, name := range v.DeletedNames {
			deleted.Names = append(deleted.Names, verdict.Escape(name))
		}
		in.Volumes = append(in.Volumes, inspectedVolume{
			FS: v.FS, Label: verdict.Escape(v.Label), ID: verdict.Escape(v.ID), Offset: v.Offset, Size: v.Size,
			Holds: map[string]int64{}, Deleted: deleted, Problems: note(v.Problems),
		})
	}
	for _, e := range l.Entries {
		if e.Problem != nil {
			in.findings = append(in.findings, e.Problem)
		}
		if e.Type == medium.File {
			in.byID[e.ID] = len(in.Files)
		}
		holds := in.Volumes[e.Volume].Holds
		holds[e.Type.Word()]++
		for _, trait := range e.Traits.Words() {
			holds[trait]++
		}
		in.Files = append(in.Files, inspectedFile{
			Volume: e.Volume, Path: verdict.Escape(e.Path), Type: e.Type.Word(), Traits: e.Traits.Words(),
			Size: e.Size, Modified: e.Modified, Problem: e.Problem,
		})
	}
	return in
}

// hashAll reads every file once.
func (a *app) hashAll(session *reader.Session, in *inspection) error {
	ids := make([]uint32, 0, len(in.byID))
	var total, done int64
	for id, at := range in.byID {
		ids = append(ids, id)
		total += in.Files[at].Size
	}
	if len(ids) == 0 {
		return nil
	}
	stream, err := session.Read(ids)
	if err != nil {
		return err
	}
	bar := newBar(a.err)
	defer bar.end()
	buf := make([]byte, 1<<20)
	sum := sha256.New()
	for {
		id, _, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		sum.Reset()
		n, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{stream}, buf)
		file := &in.Files[in.byID[id]]
		if err != nil {
			f, ok := verdict.Find(err)
			if !ok {
				return err
			}
			file.Problem = f
			in.findings = append(in.findings, f)
		} else {
			file.SHA256 = hex.EncodeToString(sum.Sum(nil))
		}
		if done += n; n > 4<<20 || done == total {
			bar.show(control.Progress{Phase: "reading", Done: done, Total: total})
		}
	}
}

// quoted puts text that was escaped already between quotes.
func quoted(s string) string { return `"` + s + `"` }

func (in *inspection) show(w io.Writer, hashed bool) {
	fmt.Fprintf(w, "medium of %s, partition table: %s\n", size(in.Size), in.Table)
	showFindings(w, "  ", in.Problems)
	for i, v := range in.Volumes {
		kind := v.FS
		if kind == "" {
			kind = "not readable"
		}
		fmt.Fprintf(w, "volume %d: %s, %s at byte %d, label %s, id %s\n", i, kind, size(v.Size), v.Offset, quoted(v.Label), v.ID)
		fmt.Fprintf(w, "  holds %s\n", holds(v.Holds, v.Deleted.Count))
		if len(v.Deleted.Names) > 0 {
			fmt.Fprintf(w, "  deleted: %s\n", strings.Join(v.Deleted.Names, ", "))
		}
		showFindings(w, "  ", v.Problems)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, f := range in.Files {
		sum, marks := f.SHA256, strings.Join(f.Traits, ", ")
		switch f.Type {
		case medium.Folder.Word():
			continue
		case medium.File.Word():
		default:
			marks = f.Type
		}
		if marks != "" {
			marks = " (" + marks + ")"
		}
		if hashed && sum == "" {
			sum = strings.Repeat("-", 64)
		}
		fmt.Fprintf(tw, "%d\t%s\t%s\t%s%s\n", f.Size, f.Modified, sum, f.Path, marks)
	}
	tw.Flush()
	var bad []verdict.Finding
	more := 0
	for i, f := range in.Files {
		switch {
		case f.Problem == nil:
		case len(bad) < maxShown:
			bad = append(bad, in.entries[i].About(*f.Problem))
		default:
			more++
		}
	}
	showFindings(w, "", bad)
	if more > 0 {
		fmt.Fprintf(w, "and %d more files with a problem; --json lists all\n", more)
	}
}

// holds counts what a volume has, plain things first.
func holds(number map[string]int64, deleted int64) string {
	count := func(word string) string { return fmt.Sprintf("%d %s", number[word], word) }
	parts := []string{count("file") + "s", count("folder") + "s"}
	for _, word := range slices.Sorted(maps.Keys(number)) {
		if word != "file" && word != "folder" {
			parts = append(parts, count(word))
		}
	}
	if deleted > 0 {
		parts = append(parts, fmt.Sprintf("%d deleted", deleted))
	}
	return strings.Join(parts, ", ")
}

// status: 0 nothing is wrong, 3 damaged, 5 could not be checked.
func (in *inspection) status() error {
	if len(in.findings) == 0 {
		return nil
	}
	for _, f := range in.findings {
		if f.Reason.Family() != verdict.Unchecked {
			return exit{ExitHeld}
		}
	}
	return exit{ExitUnchecked}
}

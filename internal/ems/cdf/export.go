package cdf

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/ems/model"
)

// RecordsHeader is what a report of cast vote records says beside them.
type RecordsHeader struct {
	Source     *Document         // the BallotDefinition
	Definition *model.Definition // made of the same document; its numbers are those of the ballots
	Generated  time.Time
	Types      []string // ReportType (SP 1500-103), may be empty
	OtherType  string   // OtherReportType, such as "test"
	Notes      string
	// Device made the report: DeviceID is required, the rest may be empty.
	DeviceID, Application, Manufacturer, DeviceModel, SerialNumber string
}

// WriteRecords writes a CastVoteRecordReport as a stream: memory does not grow
// with it. each must call yield for every ballot, in ascending order of ID,
// which is what keeps the order of casting out of the report; yield refuses any
// other order, and so any repetition. [Reader.Records] reads what is written as
// the same ballots. After an error what was written is no document.
func (r *Reader) WriteRecords(ctx context.Context, w io.Writer, enc Encoding, h RecordsHeader, each func(yield func(*model.Ballot) error) error) error {
	x, err := r.newExport(ctx, h)
	if err != nil {
		return err
	}
	switch enc {
	case JSON:
		x.out = &jsonRecords{e: jsontext.NewEncoder(w)}
	case XML:
		if err := x.doc.Root.Walk(x.doc.xmlForm); err != nil {
			return err
		}
		x.out = &xmlRecords{x: xmlWriter{w: bufio.NewWriterSize(w, 1<<16), schema: r.cvr}, cvr: r.cvr.root.members["CVR"]}
	default:
		return errors.New("cannot write records in an unknown encoding")
	}
	if err := x.out.begin(r.cvr.root); err != nil {
		return fmt.Errorf("cannot write records: %w", err)
	}
	if err := each(x.ballot); err != nil {
		return err
	}
	if err := x.devices(); err != nil {
		return err
	}
	if err := x.out.end(x.doc.Root); err != nil {
		return fmt.Errorf("cannot write records: %w", err)
	}
	return nil
}

// recordsWriter writes a report in one encoding.
type recordsWriter interface {
	begin(root *class) error
	record(*Object) error
	end(root *Object) error // what else the report has
}

type jsonRecords struct{ e *jsontext.Encoder }

func (j *jsonRecords) begin(root *class) error {
	if err := openJSON(j.e, root); err != nil {
		return err
	}
	if err := j.e.WriteToken(jsontext.String("CVR")); err != nil {
		return err
	}
	return j.e.WriteToken(jsontext.BeginArray)
}

func (j *jsonRecords) record(o *Object) error { return writeJSON(j.e, o) }

func (j *jsonRecords) end(root *Object) error {
	if err := j.e.WriteToken(jsontext.EndArray); err != nil {
		return err
	}
	for i := range root.values {
		if err := writeJSONMember(j.e, &root.values[i]); err != nil {
			return err
		}
	}
	return j.e.WriteToken(jsontext.EndObject)
}

type xmlRecords struct {
	x   xmlWriter
	cvr *member
}

func (r *xmlRecords) begin(root *class) error {
	r.x.text(strings.TrimSuffix(xml.Header, "\n"))
	r.x.open(nil, root)
	r.x.text(">")
	r.x.depth++
	return nil
}

func (r *xmlRecords) record(o *Object) error {
	r.x.object(r.cvr, o)
	_, err := r.x.w.Write(nil) // the error of an earlier write, if any
	return err
}

func (r *xmlRecords) end(root *Object) error {
	for i := range root.values {
		r.x.value(&root.values[i])
	}
	r.x.depth--
	r.x.newline()
	r.x.text("</" + root.class.name + ">\n")
	return r.x.w.Flush()
}

// export is one report that is being written.
type export struct {
	ctx    context.Context
	doc    *Document // all but the records
	def    *model.Definition
	ids    map[string]*Object // of doc
	used   map[string]bool    // devices that records name
	last   string
	any    bool
	n      int
	prefix string // of the identifiers of snapshots
	elect  string
	out    recordsWriter
}

func (x *export) ballot(b *model.Ballot) error {
	if x.n++; x.n%1024 == 0 {
		if err := x.ctx.Err(); err != nil {
			return err
		}
	}
	if b.ID == "" || x.any && b.ID <= x.last {
		return errors.New("cannot write records: ballots must come in ascending order of their identifiers, each once")
	}
	x.last, x.any = b.ID, true
	if b.Device != "" && !x.used[b.Device] {
		if len(x.used) >= maxNames || x.ids[b.Device] != nil && x.ids[b.Device].Class() != "ReportingDevice" || strings.HasPrefix(b.Device, x.prefix) {
			return fmt.Errorf("cannot write records: the identifier of a device, %q, stands for something else in the definition, or there are too many", b.Device)
		}
		x.used[b.Device] = true
	}
	o, err := x.record(b)
	if err != nil {
		return err
	}
	if err := o.Walk(x.doc.form); err != nil {
		return err
	}
	if err := x.out.record(o); err != nil {
		return fmt.Errorf("cannot write records: %w", err)
	}
	return nil
}

// record makes the object of one ballot. What the model does not keep is not
// in it; counts of over- and undervotes follow from the marks and are left out,
// because a count above zero would say that a device declared the overvote.
func (x *export) record(b *model.Ballot) (*Object, error) {
	if b.Style >= len(x.def.Styles) || b.Precinct >= len(x.def.Precincts) || b.Current >= len(b.Snapshots) {
		return nil, errors.New("cannot write records: a ballot of another definition")
	}
	style := &x.def.Styles[b.Style]
	snapshot := func(n int) string { return fmt.Sprintf("%s%s-%d", x.prefix, b.ID, n) }
	o := x.doc.New("CVR").Set("ElectionId", x.elect).Set("UniqueId", b.ID).Set("CurrentSnapshotId", snapshot(b.Current)).
		Set("BallotStyleId", style.IDs[0]).Set("BallotStyleUnitId", x.def.Precincts[b.Precinct].ID).
		Set("CreatingDeviceId", b.Device)
	if b.Batch != "" {
		o.Set("BatchId", b.Batch)
	}
	if b.Sheet != "" {
		o.Set("BallotSheetId", b.Sheet)
	}
	for i := range b.Snapshots {
		s, err := x.snapshot(&b.Snapshots[i])
		if err != nil {
			return nil, err
		}
		o.Append("CVRSnapshot", s.Set("@id", snapshot(i)))
	}
	return o, nil
}

func (x *export) snapshot(s *model.Snapshot) (*Object, error) {
	kinds := map[model.SnapshotType]string{model.Original: "original", model.Interpreted: "interpreted", model.Modified: "modified"}
	o := x.doc.New("CVRSnapshot").Set("Type", kinds[s.Type])
	for i := range s.Contests {
		m := &s.Contests[i]
		if m.Contest >= len(x.def.Contests) {
			return nil, errors.New("cannot write records: a ballot of another definition")
		}
		c := x.doc.New("CVRContest").Set("ContestId", x.def.Contests[m.Contest].ID)
		if m.Overvoted {
			c.Append("Status", "overvoted")
		}
		if err := x.options(c, m); err != nil {
			return nil, err
		}
		o.Append("CVRContest", c)
	}
	return o, nil
}

// options appends the marks of a contest, by option.
func (x *export) options(c *Object, m *model.Marks) error {
	positions := slices.Clone(m.Positions)
	slices.SortStableFunc(positions, func(a, b model.Position) int { return a.Option - b.Option })
	var o *Object
	for i := range positions {
		p := &positions[i]
		if p.Option >= len(x.def.Contests[m.Contest].Options) {
			return errors.New("cannot write records: a ballot of another definition")
		}
		if i == 0 || p.Option != positions[i-1].Option {
			o = x.doc.New("CVRContestSelection").Set("ContestSelectionId", x.def.Contests[m.Contest].Options[p.Option].ID)
			c.Append("CVRContestSelection", o)
		}
		o.Append("SelectionPosition", x.position(p))
	}
	return nil
}

func (x *export) position(p *model.Position) *Object {
	answers := map[model.Answer]string{model.Yes: "yes", model.No: "no", model.Unknown: "unknown"}
	o := x.doc.New("SelectionPosition").Set("HasIndication", answers[p.Indicated]).Set("NumberVotes", p.Votes)
	if p.Allocable != model.Yes { // absent means yes
		o.Set("IsAllocable", answers[p.Allocable])
	}
	if p.WriteIn {
		w := x.doc.New("CVRWriteIn")
		if p.Text != "" {
			w.Set("Text", p.Text)
		}
		o.Set("CVRWriteIn", w)
	}
	return o
}

// devices adds the devices that the records named, and checks the whole again.
func (x *export) devices() error {
	var names []string
	for id := range x.used {
		if x.ids[id] == nil {
			names = append(names, id)
		}
	}
	slices.Sort(names)
	for _, id := range names {
		x.doc.Root.Append("ReportingDevice", x.doc.New("ReportingDevice").Set("@id", id))
	}
	return x.doc.Validate()
}

package election

import "github.com/go-json-experiment/json/jsontext"

// Style is a ballot style: what stands on the ballots of some precincts, or
// splits, in which order. It has no "@id"; records name it by one of its
// external identifiers.
type Style struct {
	Class       is[BallotStyleClass] `json:"@type"`
	Units       []ID                 `json:"GpUnitIds"`
	Parties     []ID                 `json:"PartyIds,omitzero"`
	Languages   []string             `json:"Language,omitzero"`
	Purpose     string               `json:",omitzero"`
	Image       []AnnotatedURI       `json:"ImageUri,omitzero"`
	Content     Content              `json:"OrderedContent,omitzero"`
	ExternalIDs []ExternalID         `json:"ExternalIdentifier,omitzero"`
}

// Code returns the identifier by which people know the style.
func (s *Style) Code() string {
	if len(s.ExternalIDs) == 0 {
		return ""
	}
	return s.ExternalIDs[0].Value
}

// Item is one of [OrderedContest] and [OrderedHeader], by pointer.
type Item interface{ item() }

// OrderedContest is a contest's place on a ballot, and the order of its options there.
type OrderedContest struct {
	Class    is[orderedContest] `json:"@type"`
	Contest  ID                 `json:"ContestId"`
	Options  []ID               `json:"OrderedContestOptionIds,omitzero"`
	Physical []Kept             `json:",omitzero"` // class PhysicalContest: kept, not interpreted
}

// OrderedHeader is a heading with what stands under it.
type OrderedHeader struct {
	Class   is[orderedHeader] `json:"@type"`
	Header  ID                `json:"HeaderId"`
	Content Content           `json:"OrderedContent,omitzero"`
}

func (*OrderedContest) item() {}
func (*OrderedHeader) item()  {}

type (
	orderedContest struct{}
	orderedHeader  struct{}
)

func (orderedContest) class() string { return "OrderedContest" }
func (orderedHeader) class() string  { return "OrderedHeader" }

// Content is what stands on a ballot, in its order.
type Content []Item

// UnmarshalJSONFrom reads the list.
func (l *Content) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return readList(d, func(class string) any {
		var i Item
		switch class {
		case "OrderedContest":
			i = &OrderedContest{}
		case "OrderedHeader":
			i = &OrderedHeader{}
		default:
			return nil
		}
		*l = append(*l, i)
		return i
	})
}

// Contests calls each for every contest of the style, in ballot order, below
// headers too, with the place in the document relative to the style.
func (s *Style) Contests(each func(*OrderedContest, string)) {
	walk(s.Content, "/OrderedContent", each)
}

func walk(list Content, at string, each func(*OrderedContest, string)) {
	for n, i := range list {
		here := pointer(at, n)
		switch i := i.(type) {
		case *OrderedContest:
			each(i, here)
		case *OrderedHeader:
			walk(i.Content, here+"/OrderedContent", each)
		}
	}
}

// BallotFormat is a physical form of ballots. Its marks are kept as they stand:
// this core lays out no scannable ballots.
type BallotFormat struct {
	Class        is[BallotFormatClass] `json:"@type"`
	ID           ID                    `json:"@id"`
	Application  string                `json:",omitzero"`
	Manufacturer string                `json:",omitzero"`
	LongEdge     Number
	ShortEdge    Number
	Unit         string `json:"MeasurementUnit"`
	Orientation  string
	Capture      string       `json:"SelectionCaptureMethod"`
	FiducialMark []Kept       `json:",omitzero"`
	Areas        []Kept       `json:"mCDFArea,omitzero"`
	ExternalIDs  []ExternalID `json:"ExternalIdentifier"`
}

// Shape is a form of marks.
type Shape struct {
	Class       is[ShapeClass] `json:"@type"`
	ID          ID             `json:"@id"`
	Type        string         `json:"ShapeType"`
	FillColor   string         `json:",omitzero"`
	StrokeColor string         `json:",omitzero"`
	StrokeWidth Number         `json:",omitzero"`
}

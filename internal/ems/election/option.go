package election

import "github.com/go-json-experiment/json/jsontext"

// Option is one of [CandidateOption], [BallotMeasureOption], [PartyOption] and
// [ActivationOption], always by pointer.
type Option interface {
	// Base returns what all options have; the pointer is into the option.
	Base() *OptionBase
	option()
}

// OptionBase is what all options have: the class ContestOption.
type OptionBase struct {
	ID            ID           `json:"@id"`
	SequenceOrder *int64       `json:",omitzero"`
	ExternalIDs   []ExternalID `json:"ExternalIdentifier,omitzero"`
}

// Base returns the option's base.
func (b *OptionBase) Base() *OptionBase { return b }

func (b *OptionBase) option() {}

// CandidateOption is a candidate, a ticket of several, or a place to write a
// name.
type CandidateOption struct {
	Class is[candidateOption] `json:"@type"`
	OptionBase
	Candidates []ID `json:"CandidateIds,omitzero"`
	// Endorsements are the parties whose candidate this is on the ballot:
	// several for a fusion candidate.
	Endorsements []ID `json:"EndorsementPartyIds,omitzero"`
	WriteIn      bool `json:"IsWriteIn,omitzero"`
}

// BallotMeasureOption is an answer.
type BallotMeasureOption struct {
	Class is[ballotMeasureOption] `json:"@type"`
	OptionBase
	Selection Text
}

// PartyOption is a party, or several together.
type PartyOption struct {
	Class is[partyOption] `json:"@type"`
	OptionBase
	Parties []ID `json:"PartyIds"`
}

// ActivationOption is an answer that makes other contests count, or not.
type ActivationOption struct {
	Class is[activationOption] `json:"@type"`
	OptionBase
	Activates bool `json:"CausesActivation"`
	Selection Text
}

type (
	candidateOption     struct{}
	ballotMeasureOption struct{}
	partyOption         struct{}
	activationOption    struct{}
)

func (candidateOption) class() string     { return "CandidateOption" }
func (ballotMeasureOption) class() string { return "BallotMeasureOption" }
func (partyOption) class() string         { return "PartyOption" }
func (activationOption) class() string    { return "ActivationOption" }

// Options is a list of options, each of its own class.
type Options []Option

// UnmarshalJSONFrom reads the list.
func (l *Options) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return readList(d, func(class string) any {
		var o Option
		switch class {
		case "CandidateOption":
			o = &CandidateOption{}
		case "BallotMeasureOption":
			o = &BallotMeasureOption{}
		case "PartyOption":
			o = &PartyOption{}
		case "ActivationOption":
			o = &ActivationOption{}
		default:
			return nil
		}
		*l = append(*l, o)
		return o
	})
}

package election

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Contest is one of [CandidateContest], [BallotMeasureContest],
// [RetentionContest], [PartyContest], [StraightPartyContest],
// [PartyPreferenceContest] and [ActivationContest], always by pointer.
type Contest interface {
	// Base returns what all contests have; the pointer is into the contest.
	Base() *ContestBase
	className() string
}

// ContestBase is what all contests have: the class Contest.
type ContestBase struct {
	ID                 ID `json:"@id"`
	Name               string
	Abbreviation       string        `json:",omitzero"`
	BallotTitle        Text          `json:",omitzero"`
	BallotSubTitle     Text          `json:",omitzero"`
	DistrictID         ID            `json:"ElectionDistrictId"`
	VoteVariation      VoteVariation `json:",omitzero"`
	OtherVoteVariation string        `json:",omitzero"`
	// HasRotation: the order of the options differs between ballot styles.
	HasRotation   bool         `json:",omitzero"`
	SequenceOrder *int64       `json:",omitzero"`
	TotalSubUnits *int64       `json:",omitzero"`
	Options       Options      `json:"ContestOption,omitzero"`
	ExternalIDs   []ExternalID `json:"ExternalIdentifier,omitzero"`
}

// Base returns the contest's base.
func (b *ContestBase) Base() *ContestBase { return b }

// Title returns what stands over the contest on a ballot.
func (b *ContestBase) Title() Text {
	if b.BallotTitle.IsZero() {
		return English(b.Name)
	}
	return b.BallotTitle
}

// CandidateContest elects people.
type CandidateContest struct {
	Class is[candidateContest] `json:"@type"`
	ContestBase
	VotesAllowed   int64
	Elected        *int64 `json:"NumberElected,omitzero"`
	Runoff         *int64 `json:"NumberRunoff,omitzero"`
	Offices        []ID   `json:"OfficeIds,omitzero"`
	PrimaryParties []ID   `json:"PrimaryPartyIds,omitzero"`
	// RanksAllowed is how many ranks a voter may give; above 1 for rcv.
	RanksAllowed *int64 `json:",omitzero"`
}

// Measure is what ballot measures and retentions have in common.
type Measure struct {
	Type             string         `json:",omitzero"` // ballot-measure, initiative, recall, referendum or other
	OtherType        string         `json:",omitzero"`
	SummaryText      Text           `json:",omitzero"`
	FullText         Text           `json:",omitzero"`
	ProStatement     Text           `json:",omitzero"`
	ConStatement     Text           `json:",omitzero"`
	PassageThreshold Text           `json:",omitzero"`
	EffectOfAbstain  Text           `json:",omitzero"`
	InfoURI          []AnnotatedURI `json:"InfoUri,omitzero"`
}

// BallotMeasureContest puts a question. Its first option is the affirmative.
type BallotMeasureContest struct {
	Class is[ballotMeasureContest] `json:"@type"`
	ContestBase
	Measure
}

// RetentionContest asks whether somebody stays in office. Its first option is
// the affirmative.
type RetentionContest struct {
	Class is[retentionContest] `json:"@type"`
	ContestBase
	Measure
	CandidateID ID `json:"CandidateId"`
	OfficeID    ID `json:"OfficeId,omitzero"`
}

// PartyContest lets voters choose a party.
type PartyContest struct {
	Class is[partyContest] `json:"@type"`
	ContestBase
}

// StraightPartyContest selects a party's candidates in other contests.
type StraightPartyContest struct {
	Class is[straightPartyContest] `json:"@type"`
	ContestBase
	Controlled   []ID                 `json:"ControlledContestIds"`
	Ruleset      StraightPartyRuleset `json:"StraightPartyRuleset"`
	OtherRuleset string               `json:"OtherStraightPartyRuleset,omitzero"`
}

// PartyPreferenceContest is the choice of a party in an open primary: of the
// controlled contests only those of that party count for the ballot.
type PartyPreferenceContest struct {
	Class is[partyPreferenceContest] `json:"@type"`
	ContestBase
	Controlled []ID `json:"ControlledContestIds"`
}

// ActivationContest makes controlled contests count for a ballot on which an
// option that activates was chosen, such as a recall with its replacement.
type ActivationContest struct {
	Class is[activationContest] `json:"@type"`
	ContestBase
	Controlled  []ID `json:"ControlledContestIds"`
	CandidateID ID   `json:"CandidateId,omitzero"`
	SummaryText Text `json:",omitzero"`
}

type (
	candidateContest       struct{}
	ballotMeasureContest   struct{}
	retentionContest       struct{}
	partyContest           struct{}
	straightPartyContest   struct{}
	partyPreferenceContest struct{}
	activationContest      struct{}
)

func (candidateContest) class() string       { return "CandidateContest" }
func (ballotMeasureContest) class() string   { return "BallotMeasureContest" }
func (retentionContest) class() string       { return "RetentionContest" }
func (partyContest) class() string           { return "PartyContest" }
func (straightPartyContest) class() string   { return "StraightPartyContest" }
func (partyPreferenceContest) class() string { return "PartyPreferenceContest" }
func (activationContest) class() string      { return "ActivationContest" }

func (c *CandidateContest) className() string       { return "CandidateContest" }
func (c *BallotMeasureContest) className() string   { return "BallotMeasureContest" }
func (c *RetentionContest) className() string       { return "RetentionContest" }
func (c *PartyContest) className() string           { return "PartyContest" }
func (c *StraightPartyContest) className() string   { return "StraightPartyContest" }
func (c *PartyPreferenceContest) className() string { return "PartyPreferenceContest" }
func (c *ActivationContest) className() string      { return "ActivationContest" }

// Controls returns the contests that c controls; none for most classes.
func Controls(c Contest) []ID {
	switch c := c.(type) {
	case *StraightPartyContest:
		return c.Controlled
	case *PartyPreferenceContest:
		return c.Controlled
	case *ActivationContest:
		return c.Controlled
	}
	return nil
}

// Contests is a list of contests, each of its own class.
type Contests []Contest

// UnmarshalJSONFrom reads the list.
func (l *Contests) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return readList(d, func(class string) any {
		var c Contest
		switch class {
		case "CandidateContest":
			c = &CandidateContest{}
		case "BallotMeasureContest":
			c = &BallotMeasureContest{}
		case "RetentionContest":
			c = &RetentionContest{}
		case "PartyContest":
			c = &PartyContest{}
		case "StraightPartyContest":
			c = &StraightPartyContest{}
		case "PartyPreferenceContest":
			c = &PartyPreferenceContest{}
		case "ActivationContest":
			c = &ActivationContest{}
		default:
			return nil
		}
		*l = append(*l, c)
		return c
	})
}

// readList reads a list of objects whose class "@type" names: object returns
// where one of a class goes, or nil when the class may not stand there.
func readList(d *jsontext.Decoder, object func(class string) any) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	var list []jsontext.Value
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for i, v := range list {
		var head struct {
			Class string `json:"@type"`
		}
		if err := json.Unmarshal(v, &head); err != nil {
			return err
		}
		name, _ := bytes.CutPrefix([]byte(head.Class), []byte(prefix))
		into := object(string(name))
		if into == nil {
			return fmt.Errorf("element %d: the class %q may not stand here", i, head.Class)
		}
		if err := json.Unmarshal(v, into); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

package election

// ElectionType is the enumeration of that name.
type ElectionType string

// The values of [ElectionType].
const (
	General               ElectionType = "general"
	Primary               ElectionType = "primary"
	PartisanPrimaryOpen   ElectionType = "partisan-primary-open"
	PartisanPrimaryClosed ElectionType = "partisan-primary-closed"
	Runoff                ElectionType = "runoff"
	Special               ElectionType = "special"
	OtherElection         ElectionType = "other"
)

// UnitType is the enumeration ReportingUnitType.
type UnitType string

// The values of [UnitType] that the core itself gives a meaning.
const (
	Precinct      UnitType = "precinct"
	SplitPrecinct UnitType = "split-precinct"
	County        UnitType = "county"
	State         UnitType = "state"
)

// VoteVariation is the enumeration of that name: how votes are cast and counted.
type VoteVariation string

// The values of [VoteVariation].
const (
	Approval       VoteVariation = "approval"
	Borda          VoteVariation = "borda"
	Cumulative     VoteVariation = "cumulative"
	Majority       VoteVariation = "majority"
	NOfM           VoteVariation = "n-of-m"
	OtherVariation VoteVariation = "other"
	Plurality      VoteVariation = "plurality"
	Proportional   VoteVariation = "proportional"
	Range          VoteVariation = "range"
	RCV            VoteVariation = "rcv"
	SuperMajority  VoteVariation = "super-majority"
)

// StraightPartyRuleset is the enumeration of that name.
type StraightPartyRuleset string

// The values of [StraightPartyRuleset].
const (
	// Exclusive: a direct selection in a contest excludes the party's there.
	Exclusive StraightPartyRuleset = "exclusive"
	// Inclusive: the party's candidates are added to the direct selections, if
	// together they are not more than the contest allows.
	Inclusive    StraightPartyRuleset = "inclusive"
	OtherRuleset StraightPartyRuleset = "other"
)

package dialect

import (
	"fmt"

	"sallyport/internal/verdict"
)

// The rules by which an export is refused. FORMAT.md says when each is broken.
const (
	ruleDialect         = "dialect"
	ruleEncoding        = "encoding"
	ruleQuote           = "quote"
	ruleColumns         = "columns"
	ruleHeader          = "header"
	ruleHeaderRepeated  = "header-repeated"
	ruleCell            = "cell"
	ruleContestCells    = "contest-cells"
	ruleContestNone     = "contest-none"
	ruleContestHeader   = "contest-header"
	ruleContestRepeated = "contest-repeated"
	ruleVotesAllowed    = "votes-allowed"
	ruleChoiceRepeated  = "choice-repeated"
	ruleRanked          = "ranked"
	ruleStraightParty   = "straight-party"
	ruleRecordID        = "record-id"
	ruleCurrent         = "current-version"
	ruleReference       = "reference"
	ruleIDRepeated      = "id-repeated"
	ruleListed          = "listed"
	ruleFileMissing     = "file-missing"
	ruleFolder          = "folder"
	ruleXLSX            = "xlsx"
	ruleZip             = "zip"
	ruleZipNested       = "zip-nested"
	ruleZipEncrypted    = "zip-encrypted"
	ruleJSON            = "json"
	ruleType            = "type"
	ruleMemberUnknown   = "member-unknown"
	ruleMemberMissing   = "member-missing"
	ruleXML             = "xml"
	ruleElementUnknown  = "element-unknown"
	ruleElementMissing  = "element-missing"
	ruleElementRepeated = "element-repeated"
	ruleSignature       = "signature"
	ruleCertificate     = "certificate"
	ruleRootHash        = "root-hash"
	ruleUnsigned        = "unsigned-file"
)

// broken is the one form of a finding about an export's content.
func broken(where, rule, format string, args ...any) error {
	return verdict.New(verdict.ContentInvalid, where, "%s (rule %s)", fmt.Sprintf(format, args...), rule)
}

// over is the one form of a finding about a budget.
func over(where, format string, args ...any) error {
	return verdict.New(verdict.OverLimit, where, "%s", fmt.Sprintf(format, args...))
}

// passes says whether an error is already what the caller should see.
func passes(err error) bool {
	_, ok := verdict.Find(err)
	return ok
}

package model

import "slices"

// Methods returns how ballots can be cast and counted: the ways of voting among
// the values of CountItemType (SP 1500-100).
func Methods() []string {
	return []string{"absentee", "absentee-fwab", "absentee-in-person", "absentee-mail", "early", "election-day", "other", "provisional", "uocava"}
}

// IsMethod says whether a word is one of [Methods].
func IsMethod(s string) bool { return slices.Contains(Methods(), s) }

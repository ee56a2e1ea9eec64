package dialect

import (
	"slices"
	"strings"
)

// grid is the part of a table in which each column is one choice of a contest:
// 1 marked, 0 not marked, empty when the contest was not on the ballot.
type grid struct {
	table    *table
	first    int
	contests []Contest
	columns  [][]gridColumn // by contest
	choices  int
}

type gridColumn struct{ column, choice, rank int }

// contest returns the number of the contest of a column's heading.
func (g *grid) contest(column int, contest Contest) (int, error) {
	i := g.find(contest.Name)
	if i < 0 {
		if len(g.contests) == maxContests {
			return 0, over(g.table.where(column+1), "more than %d contests", maxContests)
		}
		g.contests = append(g.contests, contest)
		g.columns = append(g.columns, nil)
		return len(g.contests) - 1, nil
	}
	if g.contests[i].VotesAllowed != contest.VotesAllowed || (g.contests[i].Ranks > 0) != (contest.Ranks > 0) {
		return 0, g.table.broken(column+1, ruleVotesAllowed, "the contest has another number of votes allowed, or is ranked or not, in an earlier column")
	}
	return i, nil
}

// choice makes a column that of a choice, at a rank where the contest has
// ranks. Of write-ins there may be several.
func (g *grid) choice(column, contest int, choice Choice, rank int) error {
	c := &g.contests[contest]
	k := findChoice(c.Choices, choice)
	if k < 0 {
		k = len(c.Choices)
		c.Choices = append(c.Choices, choice)
	}
	if slices.ContainsFunc(g.columns[contest], func(x gridColumn) bool { return x.choice == k && x.rank == rank }) {
		if !choice.WriteIn {
			return g.table.broken(column+1, ruleChoiceRepeated, "the contest has this choice in an earlier column")
		}
		g.table.note(column+1, WriteInColumns)
	}
	if g.choices++; g.choices > maxChoices {
		return over(g.table.where(column+1), "more than %d choices", maxChoices)
	}
	g.columns[contest] = append(g.columns[contest], gridColumn{column, k, rank})
	return nil
}

// find looks first where the last column was: columns of a contest are
// neighbours.
func (g *grid) find(name string) int {
	for i := len(g.contests) - 1; i >= 0; i-- {
		if g.contests[i].Name == name {
			return i
		}
	}
	return -1
}

func findChoice(all []Choice, c Choice) int {
	for i, x := range all {
		if x.Name == c.Name {
			return i
		}
	}
	return -1
}

// marks reads the grid's cells of one record.
func (g *grid) marks(cells []string) ([]Marks, error) {
	var out []Marks
	for i, cols := range g.columns {
		m := Marks{Contest: i}
		blank := 0
		for _, col := range cols {
			switch s := strings.TrimSpace(cells[col.column]); s {
			case "":
				blank++
			case "0":
			case "1":
				m.Marks = append(m.Marks, Mark{Choice: col.choice, Rank: col.rank, Votes: 1})
			default:
				return nil, g.table.broken(col.column+1, ruleCell, "this must be 0, 1 or empty: export plain numbers")
			}
		}
		if blank == len(cols) {
			continue
		}
		if blank > 0 {
			return nil, g.table.broken(cols[0].column+1, ruleContestCells, "some cells of the contest are empty and some are not")
		}
		m.judge(g.contests[i])
		out = append(out, m)
	}
	return out, nil
}

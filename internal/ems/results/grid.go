package results

import (
	"container/heap"
	"maps"
	"slices"
)

// undivided is the column of counts that are not divided by way of voting.
const undivided = "\x00total"

// grid is a table of ballots by unit (row) and way of voting (column) with its
// sums, in which some cells are withheld. Rows and columns, that of sums
// included, are the vertices of a graph and withheld cells its edges: each row
// and column is one equation, and what follows from all of them together is
// exactly the cells that lie on no cycle.
type grid struct {
	rows, cols names
	cells      map[edge]*cell
	edges      [][]*cell // by vertex: its cells
}

// edge is a cell: its row and its column, -1 for that of the sums.
type edge struct{ row, col int }

type cell struct {
	edge
	ballots int64
	hidden  bool
}

// names numbers texts by their first appearance.
type names struct {
	names []string
	at    map[string]int
}

func (n *names) number(s string) int {
	i, ok := n.at[s]
	if !ok {
		i = len(n.names)
		n.at[s], n.names = i, append(n.names, s)
	}
	return i
}

func newGrid() *grid {
	return &grid{rows: names{at: map[string]int{}}, cols: names{at: map[string]int{}}, cells: map[edge]*cell{}}
}

// add adds the ballots of a line to its cell and the sums.
func (g *grid) add(row, col string, ballots int64) {
	e := edge{g.rows.number(row), g.cols.number(column(col))}
	for _, x := range [...]edge{e, {e.row, -1}, {-1, e.col}, {-1, -1}} {
		if g.cells[x] == nil {
			g.cells[x] = &cell{edge: x}
		}
		g.cells[x].ballots += ballots
	}
}

// column is the name of the column that lines of a type are in.
func column(kind string) string {
	if kind == Total {
		return undivided
	}
	return kind
}

// hides says whether a line of a unit and a type is withheld.
func (g *grid) hides(row, kind string) bool {
	c := g.cells[edge{g.rows.at[row], g.cols.at[column(kind)]}]
	return c != nil && c.hidden
}

// hidesRow says whether the sum of a unit is withheld.
func (g *grid) hidesRow(row string) bool { return g.cells[edge{g.rows.at[row], -1}].hidden }

// hidesColumn says whether the sum of a way of voting is withheld.
func (g *grid) hidesColumn(kind string) bool { return g.cells[edge{-1, g.cols.at[kind]}].hidden }

// rowTouched says whether some cell of a row is withheld.
func (g *grid) rowTouched(row string) bool {
	n := g.rows.at[row]
	for i := -1; i < len(g.cols.names); i++ {
		if c := g.cells[edge{n, i}]; c != nil && c.hidden {
			return true
		}
	}
	return false
}

func (g *grid) any() bool {
	for _, c := range g.cells {
		if c.hidden {
			return true
		}
	}
	return false
}

// withhold withholds the small cells and what has to go with them. It is false
// when a small cell cannot be protected.
func (g *grid) withhold(min int64) bool {
	g.link()
	for _, c := range g.cells {
		if c.ballots > 0 && c.ballots < min && !g.isTotal(c.edge) {
			c.hidden = true
		}
	}
	for {
		bridges := g.bridges()
		if len(bridges) == 0 {
			return true
		}
		for _, e := range bridges {
			if !g.protect(e) {
				return false
			}
		}
	}
}

// isTotal says whether a cell is the total, which is never withheld: that of
// all, or the sum of the only column or row.
func (g *grid) isTotal(e edge) bool {
	return e.row == -1 && (e.col == -1 || len(g.cols.names) == 1) || e.col == -1 && len(g.rows.names) == 1
}

// link numbers the vertices: 0 for the sums' row, then the rows, the sums'
// column, and the columns.
func (g *grid) link() {
	g.edges = make([][]*cell, len(g.rows.names)+len(g.cols.names)+2)
	for _, e := range g.sorted() {
		a, b := g.ends(e)
		g.edges[a], g.edges[b] = append(g.edges[a], g.cells[e]), append(g.edges[b], g.cells[e])
	}
}

func (g *grid) ends(e edge) (a, b int) { return e.row + 1, len(g.rows.names) + 2 + e.col }

func (g *grid) sorted() []edge {
	return slices.SortedFunc(maps.Keys(g.cells), func(a, b edge) int {
		if a.row != b.row {
			return a.row - b.row
		}
		return a.col - b.col
	})
}

// bridges returns withheld cells that lie on no cycle of withheld cells: those
// that could be computed (Tarjan's bridges, without recursion).
func (g *grid) bridges() []*cell {
	const none = -1
	order, low := make([]int, len(g.edges)), make([]int, len(g.edges))
	for i := range order {
		order[i] = none
	}
	type frame struct {
		at, next int
		by       *cell
	}
	var out []*cell
	clock := 0
	for root := range g.edges {
		if order[root] != none {
			continue
		}
		stack := []frame{{at: root}}
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if f.next == 0 {
				order[f.at], low[f.at] = clock, clock
				clock++
			}
			if f.next < len(g.edges[f.at]) {
				e := g.edges[f.at][f.next]
				f.next++
				if !e.hidden || e == f.by {
					continue
				}
				if to := g.other(e, f.at); order[to] == none {
					stack = append(stack, frame{at: to, by: e})
				} else {
					low[f.at] = min(low[f.at], order[to])
				}
				continue
			}
			done := *f
			if stack = stack[:len(stack)-1]; len(stack) > 0 {
				up := &stack[len(stack)-1]
				low[up.at] = min(low[up.at], low[done.at])
				if low[done.at] > order[up.at] {
					out = append(out, done.by)
				}
			}
		}
	}
	return out
}

func (g *grid) other(c *cell, from int) int {
	a, b := g.ends(c.edge)
	if from == a {
		return b
	}
	return a
}

// lastResort is the cost of a cell without ballots: who can tell that nobody
// voted there knows its counts.
const lastResort = 1 << 50

// protect withholds the cells that close a cycle around one, those that come
// from the fewest ballots (a shortest path between its ends, without it).
func (g *grid) protect(bridge *cell) bool {
	from, to := g.ends(bridge.edge)
	cost := make([]int64, len(g.edges))
	by := make([]*cell, len(g.edges))
	for i := range cost {
		cost[i] = 1 << 62
	}
	cost[from] = 0
	open := &queue{{0, from}}
	for open.Len() > 0 {
		s := heap.Pop(open).(step)
		if s.cost > cost[s.at] {
			continue
		}
		if s.at == to {
			break
		}
		for _, e := range g.edges[s.at] {
			if e == bridge || g.isTotal(e.edge) {
				continue
			}
			next := g.other(e, s.at)
			if c := s.cost + e.cost(); c < cost[next] {
				cost[next], by[next] = c, e
				heap.Push(open, step{c, next})
			}
		}
	}
	if cost[to] == 1<<62 {
		return false
	}
	for at := to; at != from; at = g.other(by[at], at) {
		by[at].hidden = true
	}
	return true
}

// cost is what withholding the cell would take from readers.
func (c *cell) cost() int64 {
	switch {
	case c.hidden:
		return 0
	case c.ballots == 0:
		return lastResort
	default:
		return c.ballots
	}
}

// step is a vertex that a path has come to.
type step struct {
	cost int64
	at   int
}

type queue []step

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].cost < q[j].cost || q[i].cost == q[j].cost && q[i].at < q[j].at
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(step)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

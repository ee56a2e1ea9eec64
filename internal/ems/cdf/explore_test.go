package cdf

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestExplore(t *testing.T) {
	r := reader(t)
	var files []string
	for _, p := range []string{"jetsons/*.json", "jetsons/*.xml", "nist/*/samples/*", "rctab/*/*cvr.json", "votingworks/*/castVoteRecords/generated/*/*.json"} {
		m, _ := filepath.Glob("/work/shared/data/" + p)
		if len(m) > 20 && p[0] == 'v' {
			m = m[:2]
		}
		files = append(files, m...)
	}
	for _, f := range files {
		data, _ := os.ReadFile(f)
		for _, len := range []bool{false, true} {
			d, dev, err := r.ReadDocument(context.Background(), filepath.Base(f), bytes.NewReader(data), ReadOptions{Lenient: len})
			fmt.Println(filepath.Base(f), len, err, dev)
			if err == nil {
				fmt.Println("    roots", func() int { return 0 }(), d.Format)
				var a, b bytes.Buffer
				fmt.Println("   ", d.WriteJSON(&a), d.WriteXML(&b))
				_ = os.WriteFile("/tmp/out/"+filepath.Base(f)+".json", a.Bytes(), 0o644)
				_ = os.WriteFile("/tmp/out/"+filepath.Base(f)+".xml", b.Bytes(), 0o644)
				fmt.Println("    roots", func() (n []string) {
					for _, u := range d.Roots() {
						n = append(n, u.ID())
					}
					return
				}())
				break
			}
		}
	}
}

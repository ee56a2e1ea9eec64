package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

type logPeersCmd struct{}

func (logPeersCmd) Run(a *app) error {
	var p station.Peers
	if err := a.do(station.OpLogPeers, station.NoArgs{}, nil, &p); err != nil {
		return err
	}
	return a.print(p, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(tw, "LOG\tENTRIES\tROOT\tBROUGHT BY SEQUENCE\tLOG KEY")
		for _, x := range p.Peers {
			fmt.Fprintf(tw, "%s\t%d\t%s\t%d\t%.16s…\n", verdict.Escape(x.Origin), x.Size, x.Root, x.Seq, x.KeyID)
		}
		tw.Flush()
		if len(p.Peers) == 0 {
			fmt.Fprintln(w, "no other station's log has shown itself here")
		}
	})
}

// Help implements kong.HelpProvider.
func (logPeersCmd) Help() string {
	return `Every sealed package carries the last checkpoint of its sender's audit log. This station keeps the highest of each; a log that was forked, or put back from an older copy, contradicts it, and the package is held. With --json the signed checkpoints are shown: each is a witness for 'sallyport-verify witness'.

    sallyport log peers
    sallyport --json log peers

Exit status: 0 shown, 1 failed, 2 usage, 5 the station is not ready.`
}

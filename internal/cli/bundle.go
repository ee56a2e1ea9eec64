package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"strings"

	"sallyport/internal/control"
	"sallyport/internal/evidence"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

type logBundleCmd struct {
	Medium string `arg:"" help:"The medium's id, or an unambiguous beginning of it; that of an item in quarantine names its medium too."`
	Out    string `required:"" help:"File to write; it must not exist." placeholder:"FILE"`
}

// Help implements kong.HelpProvider.
func (logBundleCmd) Help() string {
	return `Writes one file (a ZIP) that shows what happened to a medium: the verdict with its reasons, the signed manifests, the names, sizes and hashes of what was stored, the entries of the audit log with proofs that they are in the log which the TPM has sealed, and the documents of trust behind them. README.html in it is for people, without scripts, ready to print. No content of any file is in it: no votes, no voters and no secrets.

    sallyport log show --event medium.inserted
    sallyport log bundle 7c2e2bfb0936 --out evidence.zip
    sallyport-verify bundle evidence.zip --root root.json     (anywhere, without a station)

The station seals its log first, and checks the file as its receiver will. Nothing is written that would not hold.

Exit status: 0 written, 1 failed, 2 usage or no such medium, 5 no verdict yet or station not ready.`
}

// bundleResult is what 'log bundle' prints.
type bundleResult struct {
	File   string           `json:"file"`
	Bytes  int64            `json:"bytes"`
	SHA256 string           `json:"sha256"`
	Report *evidence.Report `json:"report"`
}

func (c *logBundleCmd) Run(a *app) error {
	if err := checkNew(c.Out); err != nil {
		return err
	}
	s, err := a.connect()
	if err != nil {
		return err
	}
	var end *station.BundleEnd
	err = newFile(c.Out, func(w io.Writer) error {
		sum := &counted{Writer: w, sum: sha256.New()}
		var part station.BundlePart
		err := s.follow(station.OpLogBundle, station.BundleArgs{Medium: c.Medium}, &part, func() error {
			end = part.End
			_, err := io.Copy(sum, bytes.NewReader(part.Data))
			part = station.BundlePart{}
			return err
		})
		switch {
		case err != nil:
			return err
		case end == nil || end.Bytes != sum.n || end.SHA256 != hex.EncodeToString(sum.sum.Sum(nil)):
			return fmt.Errorf("the station sent %d bytes, which are not all of the evidence", sum.n)
		}
		return nil
	})
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	res := bundleResult{File: c.Out, Bytes: end.Bytes, SHA256: end.SHA256, Report: end.Report}
	return a.print(res, func(w io.Writer) { res.show(w) })
}

func (r *bundleResult) show(w io.Writer) {
	rep := r.Report
	fmt.Fprintf(w, "wrote %s, %s\n", verdict.Escape(r.File), size(r.Bytes))
	reasons := []string{}
	for _, why := range rep.Reasons {
		reasons = append(reasons, string(why))
	}
	line := fmt.Sprintf("medium %s: %s", rep.Medium, rep.Verdict)
	if len(reasons) > 0 {
		line += " (" + strings.Join(reasons, ", ") + ")"
	}
	fmt.Fprintf(w, "%s; %s, %d entries of the log\n", line, count(len(rep.Packages), "package"), rep.Entries)
	fmt.Fprintf(w, "SHA-256 of the file: %s\n", r.SHA256)
	if rep.Result != evidence.Intact {
		fmt.Fprintf(w, "NOTE: not all of it can be checked by others: %s\n", rep.Why)
	}
	for _, n := range rep.Notes {
		fmt.Fprintf(w, "NOTE: %s\n", n)
	}
	fmt.Fprintln(w, "Whoever has the authority's root document checks it with 'sallyport-verify bundle FILE --root root.json'.")
}

// counted counts and hashes what is written.
type counted struct {
	io.Writer
	n   int64
	sum hash.Hash
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	c.sum.Write(b[:n])
	return n, err
}

// follow carries out an operation whose answer comes in parts: next points to one,
// and seen is called with each.
func (s *session) follow(op string, args, next any, seen func() error) error {
	if s.own != nil {
		server, client, err := control.Pair()
		if err != nil {
			return err
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			(&control.Server{Handler: s.own, Log: s.log}).ServeConn(s.app.ctx, server)
		}()
		err = control.Follow(client, op, args, next, seen)
		<-served
		return err
	}
	conn, err := control.Dial(s.cfg.Control.Socket)
	if err != nil {
		return control.Failf(control.CodeUnavailable, "%v", err)
	}
	stop := context.AfterFunc(s.app.ctx, func() { conn.Close() })
	defer stop()
	err = control.Follow(conn, op, args, next, seen)
	var f *control.Failure
	var way *net.OpError
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case s.app.ctx.Err() != nil:
		return s.app.interrupted("nothing was written.")
	case errors.As(err, &way) || errors.Is(err, io.ErrUnexpectedEOF):
		return control.Failf(control.CodeUnavailable, "%v", err)
	}
	return err
}

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/config"
	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

// Codes of errors that arise on this side of the control socket, beside those of
// package control and the reasons of package verdict.
const (
	codeFailed      = "failed"
	codeInterrupted = string(verdict.Interrupted) // exit status 5, as a medium that was interrupted
)

// exit is an error that carries an exit status and has been shown already.
type exit struct{ status int }

func (e exit) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// problem is an error as a person and a script see it.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// Next is what to do now; empty when the message says so itself.
	Next string `json:"next,omitzero"`
}

// failure is the one JSON document of a command that failed.
type failure struct {
	Error problem `json:"error"`
}

// finish shows an error and maps it to an exit status.
func (a *app) finish(err error) int {
	var e exit
	switch {
	case err == nil:
		return ExitAccepted
	case errors.As(err, &e):
		return e.status
	}
	p := explain(err)
	a.complain(p)
	return p.status()
}

// complain shows a problem: as JSON on the standard output when JSON was asked
// for, so that a script finds one document there whatever happens.
func (a *app) complain(p problem) {
	if a.cmd.JSON {
		if err := a.writeJSON(failure{p}); err == nil {
			return
		}
	}
	fmt.Fprintln(a.err, "sallyport:", printable(p.Message))
	if p.Next != "" {
		fmt.Fprintln(a.err, p.Next)
	}
}

// printable escapes what a terminal would obey. Messages keep their line ends;
// text that was escaped before stays as it is.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '\n' || r != utf8.RuneError && strconv.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// explain is the one place where errors get the words and the code that the
// caller sees.
func explain(err error) problem {
	var f *control.Failure
	var c *config.Error
	switch {
	case errors.As(err, &f):
		return problem{Code: f.Code, Message: f.Message}
	case errors.As(err, &c):
		return problem{Code: control.CodeUsage, Message: err.Error()}
	case errors.Is(err, station.ErrNotInitialised):
		return problem{Code: control.CodeUnavailable, Message: err.Error()}
	case errors.Is(err, durable.ErrLocked):
		return problem{Code: control.CodeUnavailable, Message: err.Error(),
			Next: "Another sallyport command, or a sallyportd that is starting or stopping, has this station open. Wait a moment and try again; 'sallyport status' shows whether a daemon answers."}
	}
	if errors.Is(err, context.Canceled) { // work that was done here, not by the station
		return problem{Code: codeInterrupted, Message: "interrupted: " + err.Error()}
	}
	if f := station.EMSRefusal(err); f != nil { // of a database that was opened here
		return problem{Code: f.Code, Message: f.Message}
	}
	if finding, ok := verdict.Find(err); ok {
		return problem{Code: string(finding.Reason), Message: err.Error(), Next: finding.Reason.NextStep()}
	}
	return problem{Code: codeFailed, Message: err.Error()}
}

// status maps a code to the exit status.
func (p problem) status() int {
	switch p.Code {
	case control.CodeUsage, control.CodeNotFound:
		return ExitUsage
	case control.CodeUnavailable:
		return ExitUnchecked
	}
	if verdict.Reason(p.Code).Family() == verdict.Unchecked {
		return ExitUnchecked
	}
	return ExitFailed
}

// print shows a result: as JSON when asked for, else through text.
func (a *app) print(v any, text func(w io.Writer)) error {
	if a.cmd.JSON {
		return a.writeJSON(v)
	}
	w := bufio.NewWriterSize(a.out, 64<<10)
	text(w)
	return written(w.Flush())
}

func (a *app) writeJSON(v any) error {
	w := bufio.NewWriterSize(a.out, 64<<10)
	err := json.MarshalWrite(w, v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err == nil {
		err = w.WriteByte('\n')
	}
	return written(errors.Join(err, w.Flush()))
}

// written says when output was lost. A reader that went away (such as 'head')
// wanted no more; the exit status stays that of the command.
func written(err error) error {
	if err == nil || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return fmt.Errorf("cannot write the result: %w", err)
}

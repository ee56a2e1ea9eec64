// Package control is the local socket between sallyportd and its people:
// requests and answers as length-framed JSON over a unix stream socket, with
// the caller's uid taken from the kernel (SO_PEERCRED) and open media passed as
// file descriptors (SCM_RIGHTS), so that the daemon needs no access to the
// caller's files. It carries answers and knows nothing of how they are made:
// the operations stand behind [Handler]. Frames come from local, authorised
// users; they are bounded and decoded strictly all the same.
package control

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/strictjson"
	"sallyport/internal/unixsock"
)

// MaxFrame is the largest frame in bytes: a seal request for 100,000 files.
const MaxFrame = 64 << 20

// request is the one frame that a client sends.
type request struct {
	Op   string         `json:"op"`
	Args jsontext.Value `json:"args"`
}

// answer is one of the frames that the server sends: progress and updates (any
// number), then one result or one failure.
type answer struct {
	Progress *Progress      `json:"progress,omitzero"`
	Update   jsontext.Value `json:"update,omitzero"`
	Result   jsontext.Value `json:"result,omitzero"`
	Failure  *Failure       `json:"failure,omitzero"`
}

// Progress tells how far a long operation has come.
type Progress struct {
	Phase string `json:"phase"`
	Done  int64  `json:"done"`  // bytes
	Total int64  `json:"total"` // bytes
}

// Failure is an error as the caller sees it: a code for scripts and one
// sentence that says what, where and what to do.
type Failure struct {
	Code    string `json:"code"` // "usage", "denied", "not-found", "unavailable", "internal" or a verdict reason
	Message string `json:"message"`
}

func (f *Failure) Error() string { return f.Message }

// Codes of a [Failure].
const (
	CodeUsage       = "usage"
	CodeDenied      = "denied"
	CodeNotFound    = "not-found"
	CodeUnavailable = "unavailable"
	CodeInternal    = "internal"
	CodeOverLimit   = "over-limit" // as the verdict's reason
)

// Failf makes a [Failure].
func Failf(code, format string, args ...any) *Failure {
	return &Failure{Code: code, Message: fmt.Sprintf(format, args...)}
}

// tooLarge is a message over [MaxFrame].
type tooLarge struct{ size int }

func (e *tooLarge) Error() string {
	return fmt.Sprintf("cannot send a control message of %d bytes: at most %d are allowed", e.size, MaxFrame)
}

// frame encodes v as length and body.
func frame(v any) (head, body []byte, err error) {
	body, err = json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot encode a control message: %w", err)
	}
	if len(body) > MaxFrame {
		return nil, nil, &tooLarge{len(body)}
	}
	return binary.BigEndian.AppendUint32(nil, uint32(len(body))), body, nil
}

// writeFrame sends v, and file with its first bytes when it is not nil.
func writeFrame(c *net.UnixConn, v any, file *os.File) error {
	head, body, err := frame(v)
	if err != nil {
		return err
	}
	n, _, err := c.WriteMsgUnix(head, unixsock.Rights(file), nil)
	if err == nil && n != len(head) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("cannot send a control message: %w", err)
	}
	if _, err := c.Write(body); err != nil {
		return fmt.Errorf("cannot send a control message: %w", err)
	}
	return nil
}

// readFrame receives one frame into v and the descriptor that came with it, if
// any. More than one descriptor is refused.
func readFrame(c *net.UnixConn, v any) (*os.File, error) {
	head := make([]byte, 4)
	oob := unixsock.Space()
	n, oobn, flags, _, err := c.ReadMsgUnix(head, oob)
	if err != nil {
		return nil, err
	}
	if n == 0 && oobn == 0 {
		return nil, io.EOF
	}
	file, err := unixsock.TakeFile(oob[:oobn], flags)
	if err != nil {
		return nil, err
	}
	if err := readBody(c, head, n, v); err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return file, nil
}

func readBody(c *net.UnixConn, head []byte, have int, v any) error {
	if _, err := io.ReadFull(c, head[have:]); err != nil {
		return fmt.Errorf("cannot read a control message: %w", err)
	}
	size := binary.BigEndian.Uint32(head)
	if size > MaxFrame {
		return fmt.Errorf("cannot read a control message of %d bytes: at most %d are allowed", size, MaxFrame)
	}
	body, err := io.ReadAll(io.LimitReader(c, int64(size)))
	if err != nil {
		return fmt.Errorf("cannot read a control message: %w", err)
	}
	if len(body) != int(size) {
		return fmt.Errorf("cannot read a control message: %w", io.ErrUnexpectedEOF)
	}
	return strictDecode(body, v)
}

// strictDecode is strictjson's decoding for frames; args and results are
// decoded in a second step by whoever knows their type.
func strictDecode(body []byte, v any) error { return strictjson.Decode(body, v, MaxFrame) }

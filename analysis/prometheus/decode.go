package prometheus

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"belay.dev/belay/analysis"
)

// envelope is what stands around the data of every answer of the HTTP API
// (Prometheus documentation, "HTTP API", format overview).
type envelope struct {
	status    string
	errorType string
	message   string
	hasData   bool
	// warning is the first one, or that the answer is called partial; warned tells
	// an empty one from none.
	warning string
	warned  bool
}

// maxText is how long one text of an answer may be, in bytes: the longest is held
// whole, and nothing else of an answer is.
const maxText = 2 << 20

// shortTexts fails where a text does not end in time.
type shortTexts struct {
	io.Reader
	decoder *jsontext.Decoder
	read    int64
}

// Read implements io.Reader.
func (s *shortTexts) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.read += int64(n); s.read-s.decoder.InputOffset() > maxText {
		return 0, failed(analysis.TooLarge, "the answer has a text of more than %d bytes", maxText)
	}
	return n, err
}

// decode reads an answer as it comes and keeps nothing but its envelope; data
// reads the value of the field data and must take all of it. The error is a
// *QueryError for a body that is no answer: what a good one says is left to the
// caller.
func decode(body io.Reader, data func(*jsontext.Decoder) error) (envelope, error) {
	var e envelope
	// Names are not remembered, so that a million of them cost nothing.
	d := new(jsontext.Decoder)
	d.Reset(&shortTexts{Reader: body, decoder: d}, jsontext.AllowDuplicateNames(true))
	isObject, err := object(d, func(name []byte) error {
		switch string(name) {
		case "status":
			return setText(d, &e.status)
		case "errorType":
			return setText(d, &e.errorType)
		case "error":
			return setText(d, &e.message)
		case "warnings":
			return e.readWarnings(d)
		case "isPartial":
			return e.readPartial(d)
		case "data":
			e.hasData = d.PeekKind() != 'n'
			return data(d)
		default:
			return d.SkipValue()
		}
	})
	if err == nil && isObject {
		_, err = d.ReadToken()
	}
	var known *QueryError
	switch {
	case errors.As(err, &known):
		return e, known
	case !isObject && errors.Is(err, io.EOF):
		return e, failed(analysis.Malformed, "the answer is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return e, errEndedEarly
	case !isObject, !errors.Is(err, io.EOF):
		return e, failed(analysis.Malformed, "the answer is not the JSON of a Prometheus API")
	}
	return e, e.refusal()
}

// refusal is the error of an answer that says neither success nor what failed.
func (e envelope) refusal() error {
	switch {
	case e.status == "error":
		return failed(apiReason(e.errorType), "the source says: %s", quote(e.message))
	case e.status != "success":
		return failed(analysis.Malformed, "the answer's status is %s", quote(e.status))
	case !e.hasData:
		return failed(analysis.Malformed, "the answer has no data")
	default:
		return nil
	}
}

// apiReason is the reason of an error that came with a status of success.
func apiReason(kind string) analysis.Reason {
	switch kind {
	case "timeout":
		return analysis.Timeout
	case "canceled", "execution":
		return analysis.Overload
	case "bad_data":
		return analysis.BadQuery
	case "server_error":
		return analysis.HTTP5xx
	default:
		return analysis.Malformed
	}
}

func (e *envelope) readWarnings(d *jsontext.Decoder) error {
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	isArray, err := array(d, func() error {
		var said string
		if err := setText(d, &said); err != nil {
			return err
		}
		e.warn(said)
		return nil
	})
	if err == nil && !isArray {
		// What cannot be read may be a warning: the answer does not count.
		return failed(analysis.Malformed, "the answer's warnings are no list")
	}
	return err
}

// readPartial reads how VictoriaMetrics marks an answer from which some of its
// storage is missing (its documentation, "Cluster availability").
func (e *envelope) readPartial(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case 't':
		e.warn("isPartial")
	case 'f', 'n':
	default:
		if err := d.SkipValue(); err != nil {
			return err
		}
		return failed(analysis.Malformed, "the answer does not say whether it is partial")
	}
	return d.SkipValue()
}

func (e *envelope) warn(said string) {
	if !e.warned {
		e.warning, e.warned = said, true
	}
}

// sample is one row of an instant query's answer. Its texts are valid until the next.
type sample struct {
	namespace, pod, instance, kind []byte
	// at is the time it is for, in Unix seconds, and value as it was written.
	at, value float64
	histogram bool
	// invalid says that the row has a value that is none.
	invalid bool
}

// vectorReader reads the data of an instant query's answer and gives its rows away one
// by one. err is the first thing wrong with the answer; what follows is still read,
// so that a body that breaks off or has too many rows is called that.
type vectorReader struct {
	limit int
	take  func(*sample) *QueryError

	kind string
	rows int
	row  sample
	err  *QueryError
}

func (v *vectorReader) note(err *QueryError) {
	if v.err == nil {
		v.err = err
	}
}

// outcome is the error of what was read.
func (v *vectorReader) outcome() error {
	switch {
	case v.rows > v.limit:
		return failed(analysis.TooManySeries, "the answer has %d series, %d are allowed", v.rows, v.limit)
	case v.kind == "matrix", v.kind == "scalar", v.kind == "string":
		return failed(analysis.WrongType, "the source answered a %s, a vector was asked for", v.kind)
	case v.kind != "vector":
		return failed(analysis.Malformed, "the source answered the unknown type %s", quote(v.kind))
	case v.err != nil:
		return v.err
	}
	return nil
}

func (v *vectorReader) read(d *jsontext.Decoder) error {
	isObject, err := object(d, func(name []byte) error {
		switch string(name) {
		case "resultType":
			return setText(d, &v.kind)
		case "result":
			return v.readRows(d)
		default:
			return d.SkipValue()
		}
	})
	if !isObject {
		v.note(failed(analysis.Malformed, "the answer's data is no object"))
	}
	return err
}

func (v *vectorReader) readRows(d *jsontext.Decoder) error {
	if d.PeekKind() == 'n' {
		// As some sources write an empty vector.
		return d.SkipValue()
	}
	isArray, err := array(d, func() error {
		v.rows++
		return v.readRow(d)
	})
	if !isArray {
		v.note(failed(analysis.Malformed, "the answer's result is no list"))
	}
	return err
}

func (v *vectorReader) readRow(d *jsontext.Decoder) error {
	r := &v.row
	*r = sample{namespace: r.namespace[:0], pod: r.pod[:0], instance: r.instance[:0], kind: r.kind[:0]}
	isObject, err := object(d, func(name []byte) error {
		switch string(name) {
		case "metric":
			return v.readLabels(d)
		case "value":
			return v.readValue(d)
		case "histogram":
			r.histogram = true
			return d.SkipValue()
		default:
			return d.SkipValue()
		}
	})
	switch {
	case err != nil:
		return err
	case !isObject:
		v.note(failed(analysis.Malformed, "the answer has a row that is no object"))
	case v.rows <= v.limit && v.err == nil:
		v.note(v.take(r))
	}
	return nil
}

func (v *vectorReader) readLabels(d *jsontext.Decoder) error {
	_, err := object(d, func(name []byte) error {
		var into *[]byte
		switch string(name) {
		case "namespace":
			into = &v.row.namespace
		case "pod":
			into = &v.row.pod
		case "instance":
			into = &v.row.instance
		case "k":
			into = &v.row.kind
		default:
			return d.SkipValue()
		}
		value, err := readText(d)
		*into = append((*into)[:0], value...)
		return err
	})
	return err
}

// readValue reads [1435781451.781, "1"].
func (v *vectorReader) readValue(d *jsontext.Decoder) error {
	n := 0
	_, err := array(d, func() error {
		n++
		kind := d.PeekKind()
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		switch {
		case n == 1 && kind == '0':
			v.row.at, err = strconv.ParseFloat(string(raw), 64)
		case n == 2 && kind == '"' && len(raw) > 2:
			v.row.value, err = strconv.ParseFloat(string(raw[1:len(raw)-1]), 64)
		default:
			err = strconv.ErrSyntax
		}
		v.row.invalid = v.row.invalid || err != nil
		return nil
	})
	v.row.invalid = v.row.invalid || n != 2
	return err
}

var errNoValue = failed(analysis.Malformed, "the answer has a value that is none")

// object reads an object's fields; field reads the value after each name, which
// is valid until then. For any other value, which it takes, is is false.
func object(d *jsontext.Decoder, field func(name []byte) error) (is bool, err error) {
	if d.PeekKind() != '{' {
		return false, d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return true, err
	}
	for d.PeekKind() == '"' {
		name, err := readText(d)
		if err != nil {
			return true, err
		}
		if err := field(name); err != nil {
			return true, err
		}
	}
	_, err = d.ReadToken()
	return true, err
}

// array reads a list; element reads each of its values. For any other value,
// which it takes, is is false.
func array(d *jsontext.Decoder, element func() error) (is bool, err error) {
	if d.PeekKind() != '[' {
		return false, d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return true, err
	}
	for d.PeekKind() != ']' {
		if err := element(); err != nil {
			return true, err
		}
	}
	_, err = d.ReadToken()
	return true, err
}

// readText reads a string, valid until the next read; any other value, which it
// takes, is empty.
func readText(d *jsontext.Decoder) ([]byte, error) {
	if d.PeekKind() != '"' {
		return nil, d.SkipValue()
	}
	raw, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(raw, '\\') >= 0 {
		return jsontext.AppendUnquote(nil, raw)
	}
	return raw[1 : len(raw)-1], nil
}

func setText(d *jsontext.Decoder, to *string) error {
	value, err := readText(d)
	*to = string(value)
	return err
}

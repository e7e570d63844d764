package prometheus

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"belay.dev/belay/analysis"
)

// envelope is what surrounds the data in every response of the HTTP API
// (Prometheus documentation, "HTTP API", format overview).
type envelope struct {
	status    string
	errorType string
	message   string
	hasData   bool
	// warning is the first warning, or that the response is marked partial; warned
	// tells an empty warning from none.
	warning string
	warned  bool
}

// maxText is how long one string of a response may be, in bytes. A string is the only
// part of a response that is held in memory as a whole.
const maxText = 2 << 20

// shortTexts is a reader that fails when a string is longer than maxText.
type shortTexts struct {
	io.Reader
	decoder *jsontext.Decoder
	read    int64
}

// Read implements io.Reader.
func (s *shortTexts) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.read += int64(n); s.read-s.decoder.InputOffset() > maxText {
		return 0, ofQuery(analysis.TooLarge, "the response has a string of more than %d bytes", maxText)
	}
	return n, err
}

// decode reads a response as a stream and keeps nothing but its envelope; data reads
// the value of the field data and must consume all of it. It returns a *QueryError
// when the body is not a response of the API; whether the data can be used is left
// to the caller.
func decode(body io.Reader, data func(*jsontext.Decoder) error) (envelope, error) {
	var e envelope
	// Duplicate names are allowed, so that the decoder does not have to keep the names
	// it has seen.
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
		return e, failed(analysis.Malformed, "the response is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return e, errEndedEarly
	case !isObject, !errors.Is(err, io.EOF):
		return e, failed(analysis.Malformed, "the response is not the JSON of a Prometheus API")
	}
	return e, e.refusal()
}

// refusal is the error of a response whose status is not success, or without data.
func (e envelope) refusal() error {
	switch {
	case e.status == "error":
		known := failed(apiReason(e.errorType), "the source reports an error: %s", quote(e.message))
		known.OfQuery = e.errorType == "execution" || e.errorType == "bad_data"
		return known
	case e.status != "success":
		return failed(analysis.Malformed, "the response has the status %s", quote(e.status))
	case !e.hasData:
		return failed(analysis.Malformed, "the response lacks the field data")
	default:
		return nil
	}
}

// apiReason is the reason for an error that came with an HTTP status of success.
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
		// Thanos has no field infos: remarks about a query stand among its warnings
		// (pkg/api/query/v1.go), with the prefix of Prometheus' util/annotations.
		if !strings.HasPrefix(said, "PromQL info: ") {
			e.warn(said)
		}
		return nil
	})
	if err == nil && !isArray {
		// It may be a warning in another form, so the response is not used.
		return failed(analysis.Malformed, "the field warnings of the response is not a list")
	}
	return err
}

// readPartial reads the field by which VictoriaMetrics marks a response that lacks
// the data of some storage nodes (its documentation, "Cluster availability").
func (e *envelope) readPartial(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case 't':
		e.warn("isPartial")
	case 'f', 'n':
	default:
		if err := d.SkipValue(); err != nil {
			return err
		}
		return failed(analysis.Malformed, "the field isPartial of the response is not true or false")
	}
	return d.SkipValue()
}

func (e *envelope) warn(said string) {
	if !e.warned {
		e.warning, e.warned = said, true
	}
}

// sample is one series of an instant query's response, with its value. Its strings
// are valid until the next one is read.
type sample struct {
	namespace, pod, instance, kind []byte
	// at is the evaluation time, in Unix seconds.
	at, value float64
	histogram bool
	// invalid is set when the value is not a number.
	invalid bool
}

// timed is one value of a series in a range query's response.
type timed struct {
	at, value float64
	invalid   bool
}

// vectorReader reads the data of an instant query's response, or of a range query's, and
// passes its series to take one by one. err is the first error; the rest is still read, so that a body that
// ends early or has too many series is reported as that.
type vectorReader struct {
	limit  int
	labels labelNames
	take   func(*sample) *QueryError
	// label gets the name of every label, if it is set. The name is valid until it returns.
	label func(name []byte)
	// times is how many values a series of a range query's response may have, which take gets
	// one by one; 0 for an instant query.
	times  int
	values []timed

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

// outcome is the error of the data that was read.
func (v *vectorReader) outcome() error {
	expected := "vector"
	if v.times > 0 {
		expected = "matrix"
	}
	switch {
	case v.rows > v.limit:
		return ofQuery(analysis.TooManySeries, "the response has %d series, %d are allowed", v.rows, v.limit)
	case v.kind != expected && slices.Contains([]string{"vector", "matrix", "scalar", "string"}, v.kind):
		return failed(analysis.WrongType, "the response has the result type %s, %s is expected", v.kind, expected)
	case v.kind != expected:
		return failed(analysis.Malformed, "the response has the unknown result type %s", quote(v.kind))
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
		v.note(failed(analysis.Malformed, "the field data of the response is not an object"))
	}
	return err
}

func (v *vectorReader) readRows(d *jsontext.Decoder) error {
	if d.PeekKind() == 'n' {
		// Some sources write an empty vector as null.
		return d.SkipValue()
	}
	isArray, err := array(d, func() error {
		v.rows++
		return v.readRow(d)
	})
	if !isArray {
		v.note(failed(analysis.Malformed, "the field result of the response is not a list"))
	}
	return err
}

func (v *vectorReader) readRow(d *jsontext.Decoder) error {
	r := &v.row
	*r = sample{namespace: r.namespace[:0], pod: r.pod[:0], instance: r.instance[:0], kind: r.kind[:0]}
	v.values = v.values[:0]
	isObject, err := object(d, func(name []byte) error {
		switch string(name) {
		case "metric":
			return v.readLabels(d)
		case "value":
			return v.readValue(d)
		case "values":
			return v.readValues(d)
		case "histogram", "histograms":
			r.histogram = true
			return d.SkipValue()
		default:
			return d.SkipValue()
		}
	})
	if err != nil {
		return err
	}
	switch {
	case !isObject:
		v.note(failed(analysis.Malformed, "a series in the response is not an object"))
	case v.rows <= v.limit && v.err == nil:
		v.takeRow()
	}
	return nil
}

// takeRow passes on a series, of a range query's response each of its values.
func (v *vectorReader) takeRow() {
	r := &v.row
	if v.times == 0 || r.histogram {
		v.note(v.take(r))
		return
	}
	for _, t := range v.values {
		r.at, r.value, r.invalid = t.at, t.value, t.invalid
		v.note(v.take(r))
	}
}

// readValues reads the values of a series in a range query's response.
func (v *vectorReader) readValues(d *jsontext.Decoder) error {
	if v.times == 0 {
		return d.SkipValue()
	}
	_, err := array(d, func() error {
		if len(v.values) == v.times {
			v.note(failed(analysis.Malformed, "the response has more than the %d values of a series that were queried", v.times))
			return d.SkipValue()
		}
		v.row.at, v.row.invalid = 0, false
		err := v.readValue(d)
		v.values = append(v.values, timed{v.row.at, v.row.value, v.row.invalid})
		return err
	})
	return err
}

func (v *vectorReader) readLabels(d *jsontext.Decoder) error {
	_, err := object(d, func(name []byte) error {
		if v.label != nil {
			v.label(name)
		}
		var into *[]byte
		switch string(name) {
		case v.labels.namespaceName():
			into = &v.row.namespace
		case v.labels.podName():
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

// readValue reads a time and a value, such as [1435781451.781, "1"].
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

var errNoValue = failed(analysis.Malformed, "a sample in the response has a value that is not a number")

// object reads an object's fields; field must read the value after each name, and the
// name is valid until then. Any other value is skipped, and is is false.
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

// array reads a list; element must read each of its values. Any other value is
// skipped, and is is false.
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

// readText reads a string, which is valid until the next read. Any other value is
// skipped and gives an empty string.
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

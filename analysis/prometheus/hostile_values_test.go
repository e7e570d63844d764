package prometheus

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"belay.dev/belay/analysis"
)

func TestStrangeValues(t *testing.T) {
	row := func(text string) string { return vector(counters("a", 1000, 0, 4), text) }
	result := func(kind, data string) string {
		return fmt.Sprintf(`{"status":"success","data":{"resultType":%q,"result":%s}}`, kind, data)
	}
	now := evaluated.Unix()
	cases := map[string]struct {
		body string
		want analysis.Reason
	}{
		"NaN":                     {row(rowOf("b", "total", "NaN")), analysis.Malformed},
		"infinite":                {row(rowOf("b", "total", "+Inf")), analysis.Malformed},
		"negative infinite":       {row(rowOf("b", "bad", "-Inf")), analysis.Malformed},
		"negative":                {row(rowOf("b", "bad", "-1")), analysis.Malformed},
		"more than a float holds": {row(rowOf("b", "total", "1e400")), analysis.Malformed},
		"text for a value":        {row(rowOf("b", "total", marker)), analysis.Malformed},
		"a number for a value":    {row(fmt.Sprintf(`{"metric":{"pod":"b","k":"total"},"value":[%d,5]}`, now)), analysis.Malformed},
		"no value":                {row(`{"metric":{"pod":"b","k":"total"}}`), analysis.ClockSkew},
		"a null row":              {row(`null`), analysis.Malformed},
		"an empty row":            {row(`{}`), analysis.Malformed},
		"more bad than total":     {vector(counters("a", 10, 11, 4)), analysis.PartialCoverage},
		"the same row twice":      {row(rowOf("a", "total", "9")), analysis.Malformed},
		"the same pod twice":      {row(counters("a", 1000, 0, 4)), analysis.Malformed},
		"a kind nobody asked for": {row(rowOf("b", strings.Repeat(marker, 1000), "1")), analysis.Malformed},
		"a row without a kind":    {row(fmt.Sprintf(`{"metric":{"pod":"b"},"value":[%d,"5"]}`, now)), analysis.Malformed},
		"a row without a pod":     {row(fmt.Sprintf(`{"metric":{"k":"total"},"value":[%d,"5"]}`, now)), analysis.Malformed},
		"a pod of markup":         {row(rowOf("<LEAKED>", "total", "1")), analysis.Malformed},
		"a pod with line breaks":  {row(rowOf("a\nb", "total", "1")), analysis.Malformed},
		"a pod that is too long":  {row(rowOf(strings.Repeat("a", 254), "total", "1")), analysis.Malformed},
		"a scalar":                {result("scalar", fmt.Sprintf(`[%d,"1"]`, now)), analysis.WrongType},
		"a string":                {result("string", fmt.Sprintf(`[%d,"LEAKED"]`, now)), analysis.WrongType},
		"an unknown type":         {result(marker, "[]"), analysis.Malformed},
		"a matrix":                {result("matrix", fmt.Sprintf(`[{"metric":{"pod":"a"},"values":[[%d,"1"]]}]`, now)), analysis.WrongType},
		"a vector that is a list": {result("vector", `[[1,"1"]]`), analysis.Malformed},
		"a vector that is a map":  {result("vector", `{}`), analysis.Malformed},
		"a native histogram": {
			row(fmt.Sprintf(`{"metric":{"pod":"b","k":"total"},"histogram":[%d,{"count":"5","sum":"1","buckets":[]}]}`, now)), analysis.WrongType,
		},
		"no series":                       {vector(), analysis.PartialCoverage},
		"null series":                     {result("vector", "null"), analysis.PartialCoverage},
		"no times":                        {vector(rowOf("a", "total", "1000")), analysis.Stale},
		"old samples":                     {vector(counters("a", 1000, 500, 33)), analysis.Stale},
		"samples of 1970":                 {vector(rowOf("a", "total", "1000"), rowOf("a", "ts", "0")), analysis.Stale},
		"samples from the future":         {vector(counters("a", 1000, 0, -6)), analysis.ClockSkew},
		"samples in milliseconds":         {vector(rowOf("a", "total", "1000"), rowOf("a", "ts", fmt.Sprint(evaluated.UnixMilli()))), analysis.ClockSkew},
		"samples past all time":           {vector(rowOf("a", "total", "1000"), rowOf("a", "ts", "1e300")), analysis.ClockSkew},
		"an answer for an earlier time":   {strings.ReplaceAll(vector(counters("a", 1000, 0, 4)), fmt.Sprintf("[%d,", now), fmt.Sprintf("[%d,", now-6)), analysis.ClockSkew},
		"an answer for a later time":      {strings.ReplaceAll(vector(counters("a", 1000, 0, 4)), fmt.Sprintf("[%d,", now), fmt.Sprintf("[%d,", now+6)), analysis.ClockSkew},
		"a warning, and a good answer":    {strings.Replace(vector(counters("a", 1000, 0, 4)), `"data"`, `"warnings":["results truncated due to limit"],"data"`, 1), analysis.Warning},
		"a warning that is a text":        {strings.Replace(vector(counters("a", 1000, 0, 4)), `"data"`, `"warnings":"store down","data"`, 1), analysis.Malformed},
		"a warning that is a map":         {strings.Replace(vector(counters("a", 1000, 0, 4)), `"data"`, `"warnings":{"store":"down"},"data"`, 1), analysis.Malformed},
		"partial, by VictoriaMetrics":     {strings.Replace(vector(counters("a", 1000, 0, 4)), `"data"`, `"isPartial":true,"data"`, 1), analysis.Warning},
		"partial, said after the data":    {strings.TrimSuffix(vector(counters("a", 1000, 0, 4)), "}") + `,"isPartial":true}`, analysis.Warning},
		"partial in other words":          {strings.Replace(vector(counters("a", 1000, 0, 4)), `"data"`, `"isPartial":"yes","data"`, 1), analysis.Malformed},
		"a warning in unprintable text":   {strings.Replace(vector(), `"data"`, `"warnings":["`+strings.Repeat(`\u001b[2J`, 500)+`"],"data"`, 1), analysis.Warning},
		"an error, and a good answer":     {strings.Replace(vector(counters("a", 1000, 0, 4)), "success", "error", 1), analysis.Malformed},
		"an error of the query":           {`{"status":"error","errorType":"bad_data","error":"LEAKED"}`, analysis.BadQuery},
		"an error of the execution":       {`{"status":"error","errorType":"execution","error":"LEAKED"}`, analysis.Overload},
		"an error of the server":          {`{"status":"error","errorType":"server_error","error":"LEAKED"}`, analysis.HTTP5xx},
		"an error that nobody knows":      {`{"status":"error","errorType":"LEAKED","error":"LEAKED"}`, analysis.Malformed},
		"few requests, and fresh samples": {vector(counters("a", 0, 0, 4)), analysis.NoTraffic},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { attack(t, connect(t, defaults(serve(t, say(http.StatusOK, c.body)))), c.want) })
	}
}

// TestAStrangeValueIsOnePodsFault: no number that is none gets past the answer, and the
// other pods of the answer are not in doubt.
func TestAStrangeValueIsOnePodsFault(t *testing.T) {
	for _, value := range []string{"NaN", "+Inf", "-Inf", "-1"} {
		for _, kind := range []string{"total", "bad", "ts", "within"} {
			body := vector(counters("a", 1000, 0, 4), rowOf("b", kind, value))
			c := connect(t, defaults(serve(t, say(http.StatusOK, body))))
			answer, err := c.Counts(t.Context(), "up", 2, evaluated, evaluated)
			if err != nil {
				t.Fatal(err)
			}
			if len(answer.Counters) != 1 || answer.Counters[0].Pod != "a" || len(answer.Faults) != 1 || answer.Faults[0].Pod != "b" || answer.Faults[0].Err.Reason != analysis.Malformed {
				t.Errorf("%s %s: counters %+v, faults %+v", kind, value, answer.Counters, answer.Faults)
			}
		}
	}
}

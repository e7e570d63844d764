package prometheus

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

func TestStrangeValues(t *testing.T) {
	row := func(text string) string { return vector(counters("a", 1000, 0, 4), text) }
	only := func(kind, value string) string {
		return vector(rowOf("a", kind, value), rowOf("a", "ts", fmt.Sprint(evaluated.Unix())))
	}
	result := func(kind, data string) string {
		return fmt.Sprintf(`{"status":"success","data":{"resultType":%q,"result":%s}}`, kind, data)
	}
	now := evaluated.Unix()
	cases := map[string]struct {
		body string
		want analysis.Reason
	}{
		"NaN":                     {only("total", "NaN"), analysis.PartialCoverage},
		"infinite":                {only("total", "+Inf"), analysis.PartialCoverage},
		"negative infinite":       {only("bad", "-Inf"), analysis.PartialCoverage},
		"negative":                {only("bad", "-1"), analysis.PartialCoverage},
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
		"samples from the future":         {vector(counters("a", 1000, 0, -6)), analysis.PartialCoverage},
		"samples in milliseconds":         {vector(rowOf("a", "total", "1000"), rowOf("a", "ts", fmt.Sprint(evaluated.UnixMilli()))), analysis.PartialCoverage},
		"samples past all time":           {vector(rowOf("a", "total", "1000"), rowOf("a", "ts", "1e300")), analysis.PartialCoverage},
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

// TestAStrangeValueIsOnePodsFault: a number that is none of a counter is the fault of its sample,
// which keeps it and says what it is. The other pods of the answer are not in doubt.
func TestAStrangeValueIsOnePodsFault(t *testing.T) {
	i := v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "requests_total"}, Bad: v1alpha1.Series{Metric: "requests_total"}}}
	latency := v1alpha1.Indicator{Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds"}}
	now := fmt.Sprint(evaluated.Unix())
	for _, value := range []string{"NaN", "+Inf", "-Inf", "-1"} {
		for name, tc := range map[string]struct {
			of   v1alpha1.Indicator
			rows []string
			says string
		}{
			"total":  {i, []string{rowOf("b", "total", value), rowOf("b", "bad", "1"), rowOf("b", "ts", now)}, "for requests_total: "},
			"bad":    {i, []string{rowOf("b", "total", "9"), rowOf("b", "bad", value), rowOf("b", "ts", now)}, "for requests_total (bad): "},
			"count":  {latency, []string{rowOf("b", "count", value), rowOf("b", "within", "0"), rowOf("b", "ts", now)}, "for seconds_count: "},
			"within": {latency, []string{rowOf("b", "count", "9"), rowOf("b", "within", value), rowOf("b", "ts", now)}, "for seconds_bucket: "},
		} {
			c := connect(t, defaults(serve(t, say(http.StatusOK, vector(append(tc.rows, counters("a", 1000, 0, 4))...)))))
			answer, err := c.Reading(tc.of).Counts(t.Context(), "", "up", 2, stopped)
			if err != nil || len(answer.Faults) > 0 || len(answer.Counters) != 2 {
				t.Fatalf("%s %s: %v, %+v", value, name, err, answer)
			}
			odd, good := answer.Counters[0], answer.Counters[1]
			want := `pod "b" reports the value ` + value + " " + tc.says + "it must be finite and not negative"
			if odd.Pod != "b" || odd.Unusable != want || odd.OfPod().Fault() != want || odd.SampledAt.IsZero() {
				t.Errorf("%s %s: %+v, want %s", value, name, odd, want)
			}
			if good.Pod != "a" || good.Unusable != "" || good.OfPod().Fault() != "" {
				t.Errorf("%s %s: the other pod is %+v", value, name, good)
			}
		}
	}
}

// TestASampleFromTheFutureIsOnePodsFault: apps may expose the times of their samples.
func TestASampleFromTheFutureIsOnePodsFault(t *testing.T) {
	c := connect(t, defaults(serve(t, say(http.StatusOK, vector(counters("a", 1000, 0, 4), counters("b", 1000, 0, -60))))))
	answer, err := c.Counts(t.Context(), "", "up", 2, stopped)
	if err != nil || len(answer.Faults) > 0 || len(answer.Counters) != 2 {
		t.Fatalf("%v, %+v", err, answer)
	}
	if a, b := answer.Counters[0].Unusable, answer.Counters[1].Unusable; a != "" || b != `pod "b" reports a sample with a time in the future` {
		t.Errorf("%q, %q", a, b)
	}
}

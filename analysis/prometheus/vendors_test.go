package prometheus

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// recorded is what a source answers to a query, as its source code writes it.
type recorded struct {
	name string
	// from is the file of the vendor's repository that writes the answer.
	from   string
	status int
	body   string
	want   analysis.Reason
	// ofQuery is set when the query is to blame, so that it is sent again in parts.
	ofQuery bool
	// says is a part of the message that people get.
	says string
}

const (
	jsonError = `{"status":"error","errorType":"`
	// strategy is what Mimir advises in errors about a query's limits (pkg/util/limiter/query_limiter.go).
	strategy = "Consider reducing the time range and/or number of series selected by the query. One way to reduce the number of selected series is to add more label matchers to the query. Otherwise, to adjust the related per-tenant limit, configure "
	admin    = ", or contact your service administrator."
)

// thanos are answers of Thanos 0.42: pkg/api/api.go (RespondError) has the status of each errorType.
var thanos = []recorded{
	{"a store is down, partial responses allowed", "pkg/store/proxy_merge.go", 200,
		warned(`receive series from Addr: 10.0.0.7:10901 LabelSets: {prometheus=\"a\"} MinTime: 1795510000000 MaxTime: 9223372036854775807: rpc error: code = Unavailable desc = error reading from server: EOF`),
		analysis.Warning, false, "10.0.0.7:10901"},
	{"a store is slow, partial responses allowed", "pkg/store/proxy_merge.go", 200,
		warned(`failed to receive any data in 5s from Addr: 10.0.0.7:10901 LabelSets: {prometheus=\"a\"} MinTime: 1795510000000 MaxTime: 9223372036854775807: context canceled`),
		analysis.Warning, false, "failed to receive any data in 5s"},
	{"a store is down, partial_response=false", "pkg/query/querier.go, pkg/store/proxy_merge.go", 422,
		jsonError + `execution","error":"expanding series: proxy Series(): rpc error: code = Aborted desc = fetch series for {prometheus=\"a\"} Addr: 10.0.0.7:10901 LabelSets: {prometheus=\"a\"} MinTime: 1795510000000 MaxTime: 9223372036854775807: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.0.0.7:10901: connect: connection refused\""}`,
		analysis.Overload, true, "connection refused"},
	{"no store has the series' external labels", "pkg/store/proxy.go (ErrorNoStoresMatched is logged only)", 200, vector(), analysis.PartialCoverage, false, "no series for any pod"},
	{"no store at all, partial_response=false", "pkg/store/proxy.go", 422,
		jsonError + `execution","error":"expanding series: proxy Series(): No StoreAPIs available"}`, analysis.Overload, true, "No StoreAPIs available"},
	{"a limit of a store", "pkg/store/bucket.go, pkg/store/limiter.go", 422,
		jsonError + `execution","error":"expanding series: proxy Series(): rpc error: code = Code(429) desc = exceeded series limit: limit 1000 violated (got 1001)"}`,
		analysis.Overload, true, "limit 1000 violated"},
	{"the query timeout", "pkg/api/query/v1.go", 503, jsonError + `timeout","error":"query timed out in expression evaluation"}`, analysis.Overload, false, "query timed out"},
	{"an internal error", "pkg/api/query/v1.go", 500, jsonError + `internal","error":"expanding series: unexpected EOF"}`, analysis.HTTP5xx, false, "unexpected EOF"},
	{"query-frontend without its querier", "internal/cortex/frontend/transport/handler.go", 500, "dial tcp 10.0.0.9:10902: connect: connection refused\n", analysis.HTTP5xx, false, "connection refused"},
	{"query-frontend gave up", "internal/cortex/frontend/transport/handler.go", 504, "context deadline exceeded", analysis.Timeout, false, "context deadline exceeded"},
	{"an unknown parameter value", "pkg/api/query/v1.go", 400, jsonError + `bad_data","error":"'partial_response' parameter: strconv.ParseBool: parsing \"no\": invalid syntax"}`, analysis.BadQuery, true, "partial_response"},
}

// mimir are answers of Mimir, which test/servers does not run: its module has no version of
// Mimir 2 or 3, and pins forks by replacing modules. pkg/api/error/error.go has the status of each errorType, and
// integration/query_frontend_test.go (TestQueryFrontendErrorMessageParity) whole bodies.
var mimir = []recorded{
	{"no tenant", "github.com/grafana/dskit/user/id.go (ErrNoOrgID)", 401, "no org id\n", analysis.Auth, false, "X-Scope-OrgID"},
	{"a gateway in front refuses", "(any)", 401, "Unauthorized", analysis.Auth, false, "credentials"},
	{"too many chunks", "pkg/util/limiter/errors.go", 422,
		jsonError + `execution","error":"expanding series: the query exceeded the maximum number of chunks (limit: 2000000 chunks) (err-mimir-max-chunks-per-query). ` + strategy + `-querier.max-fetched-chunks-per-query` + admin + `"}`,
		analysis.Overload, true, "err-mimir-max-chunks-per-query"},
	{"too many series", "pkg/util/limiter/errors.go", 422,
		jsonError + `execution","error":"the query exceeded the maximum number of series (limit: 100000 series) (err-mimir-max-series-per-query). ` + strategy + `-querier.max-fetched-series-per-query` + admin + `"}`,
		analysis.Overload, true, "err-mimir-max-series-per-query"},
	{"too many samples", "integration/query_frontend_test.go", 422,
		jsonError + `execution","error":"query processing would load too many samples into memory in query execution"}`, analysis.Overload, true, "too many samples"},
	{"a blocked query", "integration/query_frontend_test.go", 400,
		jsonError + `bad_data","error":"the request has been blocked by the cluster administrator (err-mimir-query-blocked)"}`, analysis.BadQuery, true, "err-mimir-query-blocked"},
	{"an unknown function", "integration/query_frontend_test.go", 400,
		jsonError + `bad_data","error":"invalid parameter \"query\": 1:1: parse error: unknown function with name \"histogram_fraction\""}`, analysis.BadQuery, true, `histograms: Native`},
	{"too many outstanding requests", "pkg/frontend/v2/frontend.go", 429,
		jsonError + `too_many_requests","error":"too many outstanding requests"}`, analysis.Overload, false, "too many outstanding requests"},
	{"too many outstanding requests, as text", "pkg/frontend/v2/frontend_scheduler_worker.go", 429, "too many outstanding requests", analysis.Overload, false, "too many outstanding requests"},
	{"a response larger than gRPC allows", "pkg/querier/worker/util.go", 413,
		jsonError + `too_large_entry","error":"response larger than the max message size (202 vs 100)"}`, analysis.TooLarge, true, "202 vs 100"},
	{"blocks that were not queried", "pkg/querier/blocks_store_queryable.go", 500,
		jsonError + `internal","error":"expanding series: the consistency check failed because some blocks were not queried (err-mimir-store-consistency-check-failed). The non-queried blocks are: 00000000010000000000000000"}`,
		analysis.HTTP5xx, false, "err-mimir-store-consistency-check-failed"},
	{"ingesters are down", "github.com/grafana/dskit/ring/replication_strategy.go", 500,
		jsonError + `internal","error":"expanding series: too many unhealthy instances in the ring"}`, analysis.HTTP5xx, false, "unhealthy instances"},
	{"the frontend gave up", "pkg/frontend/transport/handler.go (writeError)", 504, "context deadline exceeded", analysis.Timeout, false, "context deadline exceeded"},
	{"the frontend was told to stop", "pkg/frontend/transport/handler.go (StatusClientClosedRequest)", 499, jsonError + `canceled","error":"context canceled"}`, analysis.Overload, false, "context canceled"},
	{"no prefix /prometheus in the address", "net/http", 404, "404 page not found\n", analysis.Malformed, false, "404"},
	{"a PromQL warning", "github.com/prometheus/prometheus/util/annotations", 200,
		warned(`PromQL warning: encountered a mix of histograms and floats for metric name \"requests_total\" (1:5)`), analysis.Warning, false, "mix of histograms and floats"},
}

// victoriaMetrics are answers of VictoriaMetrics: lib/httpserver/prometheus.go gives errors of
// queries the status 422, and repeats the query in them.
var victoriaMetrics = []recorded{
	{"an unsupported function", "app/vmselect/promql/eval.go, read from a running 1.136", 422,
		jsonError + `422","error":"error when executing query=\"label_replace(` + strings.Repeat(`sum by (namespace, pod, instance)((requests_count{pod=~\\\"shop-1-[a-z0-9]+\\\"} or `, 40) + `\" for (time=1795521600000, step=300000): unsupported function \"histogram_count\""}`,
		analysis.BadQuery, true, `unsupported function \"histogram_count\"`},
	{"too many series", "lib/storage/index_db.go", 422,
		jsonError + `422","error":"error when executing query=\"sum(` + strings.Repeat(`requests_total{pod=~\\\"shop-1-[a-z0-9]+\\\"} or `, 40) + `\" for (time=1795521600000, step=300000): cannot fetch query results from vmstorage nodes: the number of matching timeseries exceeds 300000; either narrow down the search or increase -search.max* command-line flag values at vmselect"}`,
		analysis.Overload, true, "-search.max*"},
	{"too many queries at once", "app/vmselect/main.go", 429,
		"couldn't start executing the request in 10.000 seconds, since -search.maxConcurrentRequests=4 concurrent requests are executed.", analysis.Overload, false, "-search.maxConcurrentRequests=4"},
	{"a storage node is down", "app/vmselect/prometheus/query_response.qtpl of the cluster version", 200,
		strings.Replace(vector(counters("a", 1000, 0, 4)), `"data"`, `"isPartial":true,"data"`, 1), analysis.Warning, false, "isPartial"},
}

// warned is a healthy response with one warning.
func warned(text string) string {
	return strings.TrimSuffix(vector(counters("a", 1000, 0, 4)), "}") + `,"warnings":["` + text + `"]}`
}

// TestRecordedAnswers: what Thanos, Mimir and VictoriaMetrics answer when something is wrong is
// never a Pass, and has the reason and the vendor's own words.
func TestRecordedAnswers(t *testing.T) {
	for vendor, answers := range map[string][]recorded{"Thanos": thanos, "Mimir": mimir, "VictoriaMetrics": victoriaMetrics} {
		for _, r := range answers {
			t.Run(vendor+" "+r.name, func(t *testing.T) {
				answer, err := ask(t, connect(t, defaults(serve(t, say(r.status, r.body)))))
				v := verdict(answer, err)
				for _, f := range answer.Faults {
					v = analysis.Verdict{Reason: f.Err.Reason, Message: f.Err.Message}
				}
				if v.Reason != r.want || !strings.Contains(v.Message, r.says) {
					t.Errorf("%s: %s, want %s with %q (%s)", v.Reason, v.Message, r.want, r.says, r.from)
				}
				if o := v.Outcome(); o != analysis.Error && o != analysis.Inconclusive {
					t.Errorf("outcome %s, want Error or Inconclusive", o)
				}
				if known := (*QueryError)(nil); errors.As(err, &known) && known.OfQuery != r.ofQuery {
					t.Errorf("the query is to blame: %t, want %t", known.OfQuery, r.ofQuery)
				}
			})
		}
	}
}

// TestRemarksAreNoWarnings: what PromQL remarks about a query, which Prometheus and Mimir write
// as infos and Thanos among warnings (pkg/api/query/v1.go), says nothing about the data.
func TestRemarksAreNoWarnings(t *testing.T) {
	const remark = `PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"cpu_seconds\" (1:36)`
	for name, body := range map[string]string{
		"Prometheus and Mimir": strings.Replace(warned(remark), "warnings", "infos", 1),
		"Thanos":               warned(remark),
	} {
		if v := verdict(ask(t, connect(t, defaults(serve(t, say(http.StatusOK, body)))))); v.Outcome() != analysis.Pass {
			t.Errorf("%s: %s %s, want Pass", name, v.Reason, v.Message)
		}
	}
	both := warned(remark + `","receive series from Addr: 10.0.0.7:10901: EOF`)
	if v := verdict(ask(t, connect(t, defaults(serve(t, say(http.StatusOK, both)))))); v.Reason != analysis.Warning {
		t.Errorf("a remark and a warning: %s %s, want Warning", v.Reason, v.Message)
	}
}

// TestTheTenantOfMimirIsAHeader of the MetricSource.
func TestTheTenantOfMimirIsAHeader(t *testing.T) {
	spec := defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Scope-OrgID") != "shop" {
			http.Error(w, "no org id", http.StatusUnauthorized)
			return
		}
		say(http.StatusOK, vector(counters("a", 1000, 0, 4)))(w, r)
	}))
	if _, err := ask(t, connect(t, spec)); reasonOf(err) != analysis.Auth {
		t.Errorf("without the header: %v, want Auth", err)
	}
	spec.Headers = []v1alpha1.Header{{Name: "X-Scope-OrgID", Value: "shop"}}
	if _, err := ask(t, connect(t, spec)); err != nil {
		t.Errorf("with the header: %v", err)
	}
}

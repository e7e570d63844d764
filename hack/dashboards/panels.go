package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Grafana's grid has 24 columns.
const (
	whole, half, third, quarter = 24, 12, 8, 6
	low, high                   = 4, 8
)

// source is the Prometheus that a person chooses at the top of a dashboard.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: new("prometheus"), Uid: new("${datasource}")}
}

// query is a PromQL expression, and the name of each of its series.
type query struct{ expr, legend string }

// refs name the queries of a panel.
var refs = []string{"A", "B"}

func (q query) over() *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source()).Expr(q.expr).LegendFormat(q.legend).Range()
}

func (q query) now() *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source()).Expr(q.expr).LegendFormat(q.legend).Instant()
}

// board is a dashboard in Grafana's first format.
type board = dashboard.DashboardBuilder //nolint:staticcheck // the second needs Grafana 12

func newDashboard(uid, title, about string) *board {
	//nolint:staticcheck // as board
	return dashboard.NewDashboardBuilder(title).Uid(uid).Description(about).Tags([]string{"belay"}).
		Refresh("30s").Time("now-6h", "now").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Belay").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{"belay"}).AsDropdown(true).IncludeVars(true).KeepTime(true)).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus"))
}

// choice is a variable whose values are those of a label.
func choice(name, label, values string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(source()).
		Query(dashboard.StringOrMap{String: new("label_values(" + values + ", " + name + ")")}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc)
}

// graph has one line per series.
func graph(title, about string, width uint32, unit string, q query) *timeseries.PanelBuilder {
	return timeseries.NewPanelBuilder().Title(title).Description(about).Datasource(source()).Span(width).Height(high).
		Unit(unit).FillOpacity(5).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		WithTarget(q.over().RefId(refs[0]))
}

// colours of a number, each from a value on.
var (
	plain      = []dashboard.Threshold{{Color: "green"}}
	redFrom1   = redFrom(1)
	redUnless1 = []dashboard.Threshold{{Color: "red"}, {Value: new(1.0), Color: "green"}, {Value: new(2.0), Color: "red"}}
)

func redFrom(bad float64) []dashboard.Threshold {
	return []dashboard.Threshold{{Color: "green"}, {Value: &bad, Color: "red"}}
}

// number shows the present values.
func number(title, about string, width uint32, colours []dashboard.Threshold, queries ...query) *stat.PanelBuilder {
	p := stat.NewPanelBuilder().Title(title).Description(about).Datasource(source()).Span(width).Height(low).
		Unit("none").NoValue("-").GraphMode(common.BigValueGraphModeNone).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
	p = p.Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(colours))
	for i, q := range queries {
		p = p.WithTarget(q.now().RefId(refs[i]))
	}
	return p
}

// words shows the names of the series that are there now, and not their values.
func words(title, about string, width uint32, q query) *stat.PanelBuilder {
	return number(title, about, width, plain, q).TextMode(common.BigValueTextModeName)
}

// list is a table of the labels of the series that are there now.
func list(title, about string, width uint32, q query) *table.PanelBuilder {
	return table.NewPanelBuilder().Title(title).Description(about).Datasource(source()).Span(width).Height(high).NoValue("none").
		WithTarget(q.now().RefId(refs[0]).Format(prometheus.PromQueryFormatTable)).
		WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{"excludeByName": map[string]bool{"Time": true}}})
}

// timeline has a row for each series, with the names and colours of its values.
func timeline(title, about string, width uint32, q query, values map[string]dashboard.ValueMappingResult) *statetimeline.PanelBuilder {
	return statetimeline.NewPanelBuilder().Title(title).Description(about).Datasource(source()).Span(width).Height(high).
		ShowValue(common.VisibilityModeAuto).WithTarget(q.over().RefId(refs[0])).
		Mappings([]dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: values}}})
}

func value(text, colour string) dashboard.ValueMappingResult {
	return dashboard.ValueMappingResult{Text: &text, Color: &colour}
}

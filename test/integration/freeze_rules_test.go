package integration

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/freezes"
)

// freezeKinds are the kinds with a freeze's spec in them.
var freezeKinds = []string{"Freeze", "ClusterFreeze"}

func init() {
	const spec = `owner: sre, reason: weekend, windows: [{from: "2026-11-26T00:00:00Z", until: "2026-11-30T08:00:00Z"},
		{recurrence: "FREQ=WEEKLY;BYDAY=FR;BYHOUR=16", start: "2026-01-02T16:00", duration: 64h, timeZone: Europe/Berlin}]`
	valid["Freeze"] = `{apiVersion: belay.dev/v1alpha1, kind: Freeze, metadata: {name: rules, namespace: shop}, spec: {` + spec + `}}`
	valid["ClusterFreeze"] = `{apiVersion: belay.dev/v1alpha1, kind: ClusterFreeze, metadata: {name: rules}, spec: {namespaceSelector: {matchLabels: {a: b}}, ` + spec + `}}`
	ruleCases = append(ruleCases,
		ruleCase{freezeKinds, "set from and until, or recurrence with start, duration and timeZone", nil, []change{{"spec.windows.0.until", nil}}},
		ruleCase{freezeKinds, "recurrence needs start, duration and timeZone, and from and until go without them", nil, []change{{"spec.windows.1.timeZone", nil}}},
		ruleCase{freezeKinds, "expires must be a date and time after 2000 with seconds and zone, such as 2026-11-30T08:00:00Z", nil, []change{{"spec.expires", "1999-01-01T00:00:00Z"}}},
		ruleCase{freezeKinds, "from must be a date and time after 2000 with seconds and zone, such as 2026-11-30T08:00:00Z", nil, []change{{"spec.windows.0.from", "1999-01-01T00:00:00Z"}}},
		ruleCase{freezeKinds, "until must be a date and time after 2000 with seconds and zone, such as 2026-11-30T08:00:00Z", nil, []change{{"spec.windows.0.from", "1998-01-01T00:00:00Z"}, {"spec.windows.0.until", "1999-01-01T00:00:00Z"}}},
		ruleCase{freezeKinds, "until must be after from", nil, []change{{"spec.windows.0.until", "2026-11-26T00:00:00Z"}}},
		ruleCase{freezeKinds, "recurrence must be an RRULE that begins with FREQ=DAILY, WEEKLY, MONTHLY or YEARLY, such as FREQ=WEEKLY;BYDAY=FR", nil, []change{{"spec.windows.1.recurrence", "FREQ=SECONDLY"}}},
		ruleCase{freezeKinds, "recurrence has no end of its own: remove COUNT and UNTIL, and set spec.expires", nil, []change{{"spec.windows.1.recurrence", "FREQ=DAILY;UNTIL=20270101"}}},
		ruleCase{freezeKinds, "recurrence may have INTERVAL, BYMONTH, BYMONTHDAY, BYDAY, BYHOUR, BYMINUTE and WKST after FREQ", nil, []change{{"spec.windows.1.recurrence", "FREQ=YEARLY;BYEASTER=-2"}}},
		ruleCase{freezeKinds, "start must be a local date and time from 2020 on, without seconds and zone, such as 2026-11-27T16:00", nil, []change{{"spec.windows.1.start", "2026-02-30T16:00"}}},
		ruleCase{freezeKinds, "duration must be between 1m and 768h (32 days), with a unit, such as 64h", nil, []change{{"spec.windows.1.duration", "1000h"}}},
		ruleCase{freezeKinds, "timeZone must be an IANA name, such as Europe/Berlin, America/New_York or UTC", nil, []change{{"spec.windows.1.timeZone", "+02:00"}}},
	)
}

// TestFreezesSayWhomToAsk, and are bounded.
func TestFreezesSayWhomToAsk(t *testing.T) {
	for name, c := range map[string]struct {
		breaks change
		want   string
	}{
		"no owner":        {change{"spec.owner", nil}, "spec.owner: Required value"},
		"no reason":       {change{"spec.reason", ""}, "spec.reason"},
		"a long reason":   {change{"spec.reason", strings.Repeat("r", 201)}, "spec.reason: Too long"},
		"no windows":      {change{"spec.windows", []any{}}, "spec.windows"},
		"a long rule":     {change{"spec.windows.1.recurrence", "FREQ=DAILY;BYHOUR=" + strings.Repeat("1,", 200) + "1"}, "recurrence: Too long"},
		"from no date":    {change{"spec.windows.0.from", "tomorrow"}, "spec.windows[0].from"},
		"ends in between": {change{"spec.expires", "then"}, "spec.expires"},
		// OpenAPI's date-time takes these, and Go's does not: one such object and no list of the
		// kind could be read again.
		"expires, written small":   {change{"spec.expires", "2026-11-27t00:00:00z"}, "spec.expires"},
		"expires, with a fraction": {change{"spec.expires", "2026-11-27T00:00:00x5Z"}, "spec.expires"},
		"expires, a leap second":   {change{"spec.expires", "2026-12-31T23:59:60Z"}, "spec.expires"},
		"expires, no such day":     {change{"spec.expires", "2026-02-30T00:00:00Z"}, "spec.expires"},
		"expires, far off":         {change{"spec.expires", "2026-11-27T00:00:00+25:00"}, "spec.expires"},
		"from, written small":      {change{"spec.windows.0.from", "2026-11-26t00:00:00z"}, "spec.windows[0]"},
		"until, written small":     {change{"spec.windows.0.until", "2026-11-30t08:00:00z"}, "spec.windows[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			o := object(t, valid["Freeze"])
			o.SetName("bounds")
			apply(t, o, []change{c.breaks})
			if err := admin.Create(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestWhatTheAPIAcceptsAndBelayCannotRead: these hold what they are for, and their status says
// why.
func TestWhatTheAPIAcceptsAndBelayCannotRead(t *testing.T) {
	for name, c := range map[string]change{
		"a zone that is not there": {"spec.windows.1.timeZone", "Europe/Atlantis"},
		"an hour that is not":      {"spec.windows.1.recurrence", "FREQ=DAILY;BYHOUR=25"},
	} {
		t.Run(name, func(t *testing.T) {
			o := object(t, valid["Freeze"])
			o.SetGenerateName("unread-")
			o.SetName("")
			apply(t, o, []change{c})
			create(t, o)
			read := &v1alpha1.Freeze{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, read); err != nil {
				t.Fatal(err)
			}
			if _, err := freezes.Read(read.Spec); err == nil {
				t.Error("it can be read")
			}
		})
	}
}

package freezes_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/freezes"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func recurs(rule, start, duration, zone string) v1alpha1.FreezeWindow {
	d, err := time.ParseDuration(duration)
	if err != nil {
		panic(err)
	}
	return v1alpha1.FreezeWindow{Recurrence: rule, Start: start, Duration: &metav1.Duration{Duration: d}, TimeZone: zone}
}

func dates(t testing.TB, from, until string) v1alpha1.FreezeWindow {
	t.Helper()
	f, u := metav1.NewTime(at(t, from)), metav1.NewTime(at(t, until))
	return v1alpha1.FreezeWindow{From: &f, Until: &u}
}

func calendar(t testing.TB, windows ...v1alpha1.FreezeWindow) freezes.Calendar {
	t.Helper()
	c, err := freezes.Read(v1alpha1.FreezeSpec{Windows: windows})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// state is how a test writes what a calendar says: until when it is closed, or when it
// closes.
func state(c freezes.Calendar, now time.Time) string {
	const layout = "2006-01-02T15:04Z07:00"
	if opens, closed := c.Opens(now); closed {
		return "closed until " + opens.Format(layout)
	}
	if closes, ok := c.Closes(now); ok {
		return "open until " + closes.Format(layout)
	}
	return "open"
}

func TestWindows(t *testing.T) {
	weekend := recurs("FREQ=WEEKLY;BYDAY=FR;BYHOUR=16", "2026-01-02T16:00", "64h", "Europe/Berlin")
	for name, test := range map[string]struct {
		windows []v1alpha1.FreezeWindow
		now     string
		want    string
	}{
		"before a date":                {[]v1alpha1.FreezeWindow{dates(t, "2026-11-26T00:00:00Z", "2026-11-30T08:00:00Z")}, "2026-11-25T23:59:59Z", "open until 2026-11-26T00:00Z"},
		"from its first moment":        {[]v1alpha1.FreezeWindow{dates(t, "2026-11-26T00:00:00Z", "2026-11-30T08:00:00Z")}, "2026-11-26T00:00:00Z", "closed until 2026-11-30T08:00Z"},
		"open at its last":             {[]v1alpha1.FreezeWindow{dates(t, "2026-11-26T00:00:00Z", "2026-11-30T08:00:00Z")}, "2026-11-30T08:00:00Z", "open"},
		"two that touch":               {[]v1alpha1.FreezeWindow{dates(t, "2026-11-26T00:00:00Z", "2026-11-27T00:00:00Z"), dates(t, "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z")}, "2026-11-26T10:00:00Z", "closed until 2026-11-28T00:00Z"},
		"a date too far away":          {[]v1alpha1.FreezeWindow{dates(t, "2028-11-26T00:00:00Z", "2028-11-27T00:00:00Z")}, "2026-11-26T10:00:00Z", "open"},
		"before the weekend":           {[]v1alpha1.FreezeWindow{weekend}, "2026-11-27T14:59:59Z", "open until 2026-11-27T16:00+01:00"},
		"the weekend begins":           {[]v1alpha1.FreezeWindow{weekend}, "2026-11-27T15:00:00Z", "closed until 2026-11-30T08:00+01:00"},
		"the weekend goes on":          {[]v1alpha1.FreezeWindow{weekend}, "2026-11-30T06:59:59Z", "closed until 2026-11-30T08:00+01:00"},
		"the weekend ends":             {[]v1alpha1.FreezeWindow{weekend}, "2026-11-30T07:00:00Z", "open until 2026-12-04T16:00+01:00"},
		"in summer":                    {[]v1alpha1.FreezeWindow{weekend}, "2026-07-03T14:00:00Z", "closed until 2026-07-06T08:00+02:00"},
		"before the start":             {[]v1alpha1.FreezeWindow{weekend}, "2025-12-27T12:00:00Z", "open until 2026-01-02T16:00+01:00"},
		"over the night that is short": {[]v1alpha1.FreezeWindow{weekend}, "2026-03-28T12:00:00Z", "closed until 2026-03-30T08:00+02:00"},
		"over the night that is long":  {[]v1alpha1.FreezeWindow{weekend}, "2026-10-24T12:00:00Z", "closed until 2026-10-26T08:00+01:00"},
		"each night, joined to the day": {[]v1alpha1.FreezeWindow{
			recurs("FREQ=DAILY", "2026-01-01T18:00", "14h", "Europe/Berlin"), dates(t, "2026-11-27T07:00:00Z", "2026-11-27T17:00:00Z"),
		}, "2026-11-26T20:00:00Z", "closed until 2026-11-28T08:00+01:00"},
		"the last weekday of a month": {[]v1alpha1.FreezeWindow{recurs("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-01T00:00", "24h", "UTC")}, "2026-11-27T10:00:00Z", "closed until 2026-11-28T00:00Z"},
		"the last day of a month":     {[]v1alpha1.FreezeWindow{recurs("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-01T00:00", "24h", "UTC")}, "2027-02-28T10:00:00Z", "closed until 2027-03-01T00:00Z"},
		"the same days each year":     {[]v1alpha1.FreezeWindow{recurs("FREQ=YEARLY", "2020-12-20T00:00", "384h", "America/New_York")}, "2027-01-01T12:00:00Z", "closed until 2027-01-05T00:00-05:00"},
		"every other week, this":      {[]v1alpha1.FreezeWindow{recurs("FREQ=WEEKLY;INTERVAL=2", "2026-11-03T09:00", "8h", "UTC")}, "2026-11-17T10:00:00Z", "closed until 2026-11-17T17:00Z"},
		"every other week, not this":  {[]v1alpha1.FreezeWindow{recurs("FREQ=WEEKLY;INTERVAL=2", "2026-11-03T09:00", "8h", "UTC")}, "2026-11-10T10:00:00Z", "open until 2026-11-17T09:00Z"},
		"several times a day":         {[]v1alpha1.FreezeWindow{recurs("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=0,30", "2026-11-01T00:00", "10m", "Asia/Kolkata")}, "2026-11-27T04:05:00Z", "closed until 2026-11-27T09:40+05:30"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := state(calendar(t, test.windows...), at(t, test.now)); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestTheNightsOfChange: a window holds whenever the local clock shows a time in it.
func TestTheNightsOfChange(t *testing.T) {
	for name, test := range map[string]struct {
		rule, start, duration, zone string
		want                        []string
	}{
		// At 01:00Z the clock in Berlin goes from 02:00 to 03:00.
		"it begins in the hour that is skipped": {"FREQ=DAILY", "2026-01-01T02:30", "1h", "Europe/Berlin", []string{
			"2026-03-29T00:59:59Z open until 2026-03-29T03:00+02:00", "2026-03-29T01:00:00Z closed until 2026-03-29T03:30+02:00", "2026-03-29T01:30:00Z open until 2026-03-30T02:30+02:00"}},
		"it ends there": {"FREQ=DAILY", "2026-01-01T01:00", "90m", "Europe/Berlin", []string{
			"2026-03-29T00:00:00Z closed until 2026-03-29T03:00+02:00", "2026-03-29T01:00:00Z open until 2026-03-30T01:00+02:00"}},
		"it is all in it": {"FREQ=DAILY", "2026-01-01T02:15", "30m", "Europe/Berlin", []string{
			"2026-03-28T01:20:00Z closed until 2026-03-28T02:45+01:00", "2026-03-29T00:59:00Z open until 2026-03-30T02:15+02:00", "2026-03-29T01:15:00Z open until 2026-03-30T02:15+02:00"}},
		// At 01:00Z the clock goes from 03:00 to 02:00.
		"it begins in the hour that comes twice": {"FREQ=DAILY", "2026-01-01T02:30", "1h", "Europe/Berlin", []string{
			"2026-10-25T00:29:59Z open until 2026-10-25T02:30+02:00", "2026-10-25T00:30:00Z closed until 2026-10-25T03:30+01:00", "2026-10-25T01:10:00Z closed until 2026-10-25T03:30+01:00"}},
		"it ends in that": {"FREQ=DAILY", "2026-01-01T01:30", "1h", "Europe/Berlin", []string{
			"2026-10-25T00:45:00Z closed until 2026-10-25T02:30+01:00", "2026-10-25T01:29:00Z closed until 2026-10-25T02:30+01:00", "2026-10-25T01:30:00Z open until 2026-10-26T01:30+01:00"}},
		"half an hour in Lord Howe": {"FREQ=DAILY", "2026-01-01T01:45", "30m", "Australia/Lord_Howe", []string{
			"2026-04-04T14:45:00Z closed until 2026-04-05T02:15+10:30", "2026-04-04T15:44:00Z closed until 2026-04-05T02:15+10:30"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := calendar(t, recurs(test.rule, test.start, test.duration, test.zone))
			for _, want := range test.want {
				now, said, _ := strings.Cut(want, " ")
				if got := state(c, at(t, now)); got != said {
					t.Errorf("at %s: %s, want %s", now, got, said)
				}
			}
		})
	}
}

func TestAFreezeExpires(t *testing.T) {
	end := metav1.NewTime(at(t, "2026-11-29T12:00:00Z"))
	c, err := freezes.Read(v1alpha1.FreezeSpec{Expires: &end, Windows: []v1alpha1.FreezeWindow{recurs("FREQ=DAILY", "2026-01-01T00:00", "24h", "UTC")}})
	if err != nil {
		t.Fatal(err)
	}
	for now, want := range map[string]string{
		"2026-11-27T10:00:00Z": "closed until 2026-11-29T12:00Z",
		"2026-11-29T12:00:00Z": "open",
		"2025-12-31T23:00:00Z": "open until 2026-01-01T00:00Z",
	} {
		if got := state(c, at(t, now)); got != want {
			t.Errorf("at %s: %s, want %s", now, got, want)
		}
	}
}

// TestOneThatNeverOpens says a time at which it is to be asked again.
func TestOneThatNeverOpens(t *testing.T) {
	now := at(t, "2026-11-27T10:00:00Z")
	opens, closed := calendar(t, recurs("FREQ=DAILY", "2026-01-01T00:00", "24h", "UTC")).Opens(now)
	if !closed || opens.Sub(now) < 24*time.Hour {
		t.Errorf("closed %t, until %s", closed, opens)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		window v1alpha1.FreezeWindow
		want   string
	}{
		"no rule":                  {recurs("FREQ=OFTEN", "2026-01-01T00:00", "1h", "UTC"), "not an RRULE of RFC 5545"},
		"every second":             {recurs("FREQ=SECONDLY", "2026-01-01T00:00", "1h", "UTC"), "FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY"},
		"every hour":               {recurs("FREQ=HOURLY", "2026-01-01T00:00", "1h", "UTC"), "use BYHOUR"},
		"no frequency":             {recurs("BYDAY=FR", "2026-01-01T00:00", "1h", "UTC"), "not an RRULE"},
		"a part twice":             {recurs("FREQ=DAILY;FREQ=WEEKLY", "2026-01-01T00:00", "1h", "UTC"), "FREQ is there twice"},
		"an end of its own":        {recurs("FREQ=DAILY;COUNT=3", "2026-01-01T00:00", "1h", "UTC"), `"COUNT" is not supported`},
		"another part":             {recurs("FREQ=YEARLY;BYEASTER=-2", "2026-01-01T00:00", "1h", "UTC"), `"BYEASTER" is not supported`},
		"hour 25":                  {recurs("FREQ=DAILY;BYHOUR=25", "2026-01-01T00:00", "1h", "UTC"), "byhour must be between 0 and 23"},
		"no interval":              {recurs("FREQ=DAILY;INTERVAL=0", "2026-01-01T00:00", "1h", "UTC"), "INTERVAL must be between 1 and 366"},
		"an interval of years":     {recurs("FREQ=DAILY;INTERVAL=400", "2026-01-01T00:00", "1h", "UTC"), "INTERVAL must be between 1 and 366"},
		"too often":                {recurs("FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=0,10,20,30,40", "2026-01-01T00:00", "1h", "UTC"), "begin 25 windows a day"},
		"the tenth Monday":         {recurs("FREQ=MONTHLY;BYDAY=-10MO", "2026-01-01T00:00", "1h", "UTC"), "between 1 and 5"},
		"a counted day of a week":  {recurs("FREQ=WEEKLY;BYDAY=1MO", "2026-01-01T00:00", "1h", "UTC"), "FREQ=MONTHLY or YEARLY"},
		"the 30th of February":     {recurs("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "2026-01-01T00:00", "1h", "UTC"), "no month of BYMONTH has such a day"},
		"the start's 31st":         {recurs("FREQ=YEARLY;BYMONTH=2", "2026-01-31T00:00", "1h", "UTC"), "no month of BYMONTH has such a day"},
		"a leap day that is left":  {recurs("FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29", "2027-01-01T00:00", "1h", "UTC"), "INTERVAL above 1 does not go with"},
		"a month that is left":     {recurs("FREQ=MONTHLY;INTERVAL=12;BYMONTH=3", "2026-01-01T00:00", "1h", "UTC"), "INTERVAL above 1 does not go with"},
		"an unknown zone":          {recurs("FREQ=DAILY", "2026-01-01T00:00", "1h", "Europe/Atlantis"), `timeZone "Europe/Atlantis" is not known: give an IANA name`},
		"the zone of this machine": {recurs("FREQ=DAILY", "2026-01-01T00:00", "1h", "Local"), `timeZone "Local" is not known`},
		"no zone":                  {recurs("FREQ=DAILY", "2026-01-01T00:00", "1h", ""), `timeZone "" is not known`},
		"a date that is none":      {recurs("FREQ=DAILY", "2026-02-30T00:00", "1h", "UTC"), "start"},
		"a start long ago":         {recurs("FREQ=DAILY", "1026-02-03T00:00", "1h", "UTC"), "start"},
		"too long":                 {recurs("FREQ=DAILY", "2026-01-01T00:00", "800h", "UTC"), "duration must be between 1m and 768h"},
		"nothing":                  {v1alpha1.FreezeWindow{}, "set from and a later until"},
		"backwards":                {dates(t, "2026-11-26T00:00:00Z", "2026-11-25T00:00:00Z"), "a later until"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := freezes.Read(v1alpha1.FreezeSpec{Windows: []v1alpha1.FreezeWindow{test.window}})
			if err == nil || !strings.HasPrefix(err.Error(), "windows[0]: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	if _, err := freezes.Read(v1alpha1.FreezeSpec{}); err == nil {
		t.Error("no windows: no error")
	}
}

// TestEveryRuleIsAnsweredSoon: no rule that is accepted makes the library panic or search
// until the year 9999, which takes it hundreds of thousands of steps.
func TestEveryRuleIsAnsweredSoon(t *testing.T) {
	random := rand.New(rand.NewPCG(5545, 1)) //nolint:gosec // a test that repeats
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	accepted, slowest := 0, time.Duration(0)
	for range 20_000 {
		rule := "FREQ=" + one("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
		for _, part := range []string{
			fmt.Sprintf(";INTERVAL=%d", 1+random.IntN(400)), fmt.Sprintf(";BYMONTH=%d", 1+random.IntN(12)),
			fmt.Sprintf(";BYMONTHDAY=%s%d", one("", "-"), 1+random.IntN(31)), ";BYDAY=" + one("", "1", "5", "-1", "-5", "+3", "53", "-53") + one("MO", "FR", "SU"),
			fmt.Sprintf(";BYHOUR=%d", random.IntN(24)), fmt.Sprintf(";BYMINUTE=%d", random.IntN(60)), ";WKST=" + one("MO", "SU", "WE"),
		} {
			if random.IntN(3) == 0 {
				rule += part
			}
		}
		start := time.Date(2020+random.IntN(20), time.Month(1+random.IntN(12)), 1+random.IntN(31), random.IntN(24), random.IntN(60), 0, 0, time.UTC)
		c, err := freezes.Read(v1alpha1.FreezeSpec{Windows: []v1alpha1.FreezeWindow{recurs(rule, start.Format("2006-01-02T15:04"), "8h", one("UTC", "Europe/Berlin", "America/New_York"))}})
		if err != nil {
			continue
		}
		accepted++
		began, now := time.Now(), time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
		_, closed := c.Opens(now)
		closes, ok := c.Closes(now)
		if took := time.Since(began); took > slowest {
			slowest = took
			t.Logf("%s from %s: %s", rule, start, took)
		}
		if closed && ok {
			t.Errorf("%s: closed, and closes at %s", rule, closes)
		}
		if ok {
			if _, then := c.Opens(closes); !then {
				t.Errorf("%s: closes at %s, and is open then", rule, closes)
			}
			if _, before := c.Opens(closes.Add(-time.Second)); before {
				t.Errorf("%s: closes at %s, and is closed before", rule, closes)
			}
		}
	}
	if accepted < 5000 {
		t.Errorf("only %d rules were accepted", accepted)
	}
	if slowest > time.Second {
		t.Errorf("the slowest took %s", slowest)
	}
}

package analysis

import "time"

// Given sets what a complete and fresh response looks like at this poll, the period
// of the budget, and what a bad request is called in messages.
func (c *Combined) Given(q Quality, period time.Duration, badName string) {
	c.Regression.Quality, c.Outage.Evidence.Quality = q, q
	c.Regression.Period, c.Outage.Evidence.Period = period, period
	c.Regression.BadName, c.Outage.Evidence.BadName, c.Outage.Burn.BadName = badName, badName, badName
}

// Adjust replaces the defaults: how many times as bad as stable a candidate may be,
// how many times its budget it may burn, and the bound on false alarms.
func (c *Combined) Adjust(worse, allowed, falseAlarm float64) {
	c.Regression.Worse, c.Outage.Evidence.Worse = worse, worse
	c.Regression.Allowed, c.Outage.Evidence.Allowed = allowed, allowed
	c.Outage.Evidence.Alpha = firstLife * falseAlarm
	c.Regression.Alpha = c.Outage.Evidence.Alpha / patience
}

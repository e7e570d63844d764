package analysis

import "time"

// Given tells both judges what a complete and fresh answer looks like at this
// poll, whether stable should serve, and the period of the budget.
func (c *Combined) Given(q Quality, period time.Duration) {
	c.Regression.Quality, c.Outage.Evidence.Quality = q, q
	c.Regression.Period, c.Outage.Evidence.Period = period, period
}

// Adjust replaces the default of how many times as bad as stable a candidate may
// be, how many times its budget it may burn, and the proven bound of false
// alarms.
func (c *Combined) Adjust(worse, allowed, falseAlarm float64) {
	c.Regression.Worse, c.Outage.Evidence.Worse = worse, worse
	c.Regression.Allowed, c.Outage.Evidence.Allowed = allowed, allowed
	c.Outage.Evidence.Alpha = firstLife * falseAlarm
	c.Regression.Alpha = c.Outage.Evidence.Alpha / patience
}

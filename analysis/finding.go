package analysis

// finding is a verdict whose message and statistics are computed only when needed: of the
// findings of several rules, a poll uses one.
type finding struct {
	reason     Reason
	say        func() string
	statistics func() []Statistic
}

func (f finding) verdict() Verdict {
	v := Verdict{Reason: f.reason, Message: f.say()}
	if f.statistics != nil {
		v.Statistics = f.statistics()
	}
	return v
}

// words is a message that is known already.
func words(text string) func() string { return func() string { return text } }

// and appends a text to a message.
func and(said func() string, text string) func() string {
	return func() string { return said() + text }
}

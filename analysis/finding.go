package analysis

// finding is a verdict whose words and numbers are put together only when it is
// the one that counts: of several judges' findings a poll shows one.
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

func (f finding) outcome() Outcome { return f.reason.Outcome() }

// words says a text that is known already.
func words(text string) func() string { return func() string { return text } }

// and says one after the other.
func and(said func() string, text string) func() string {
	return func() string { return said() + text }
}

package world

import "testing"

func BenchmarkPromote(b *testing.B) {
	s := Stories()[0]
	looks := 0
	for b.Loop() {
		w := s.Begin(1)
		w.Run()
		looks = w.looks
	}
	b.ReportMetric(float64(looks), "looks")
}

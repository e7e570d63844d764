package plan

import (
	"encoding/json"
	"fmt"

	"belay.dev/belay/api/v1alpha1"
)

// Canonical returns an input as evidence keeps it: JSON with sorted keys and
// without nulls, and without what is only for people to read. Read gives it back;
// Transition makes the same record of both.
func (in Input) Canonical() ([]byte, error) {
	s := *in.Status.DeepCopy()
	s.Message, s.Serving, s.Conditions, s.Verdicts, s.Record = "", "", nil, nil, nil
	if s.Decision != nil {
		s.Decision.Why, s.Decision.Weight, s.Decision.Actor = "", nil, ""
	}
	for i := range s.History {
		s.History[i].Message, s.History[i].Trigger, s.History[i].Image = "", "", ""
	}
	if in.Spec.RejectBy != v1alpha1.RejectByImage {
		// Nothing else looks at them, and there may be many.
		for i := range s.Rejected {
			s.Rejected[i].Images = nil
		}
	}
	in.Status, in.Verdict.Shown = s, nil
	if s.Stable != nil {
		// Only an adoption looks at the rejections that runs remember.
		in.Run.Rejected = nil
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode the planner's input: %w", err)
	}
	var generic map[string]any
	if err := json.Unmarshal(raw, &generic); err != nil {
		return nil, fmt.Errorf("normalise the planner's input: %w", err)
	}
	return json.Marshal(withoutNulls(generic))
}

// Read returns the input that Canonical encoded.
func Read(canonical []byte) (Input, error) {
	var in Input
	if err := json.Unmarshal(canonical, &in); err != nil {
		return Input{}, fmt.Errorf("read the planner's input: %w", err)
	}
	return in, nil
}

// withoutNulls drops what a JSON merge patch cannot tell from an absent key.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if value == nil {
				delete(v, key)
				continue
			}
			v[key] = withoutNulls(value)
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}

package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// offered are the commands that make sense now and would not be refused, and their effects.
func offered(in Input) (names []string, effects map[string]string) {
	s := &in.Rollout.Status
	names, effects = actions(in.Rollout, in.Run)
	// kubectl belay rollback goes by what the workload declares, and refuses to undo a return.
	switch d := unseen(in); {
	case d == nil:
	case Returns(s, d.Revision):
		names = slices.DeleteFunc(names, func(name string) bool { return name == "rollback" })
	default:
		effects["rollback"] = workloadOf(in.Rollout) + " declares " + plainTag(s.Stable) + " again"
		if !slices.Contains(names, "rollback") {
			names = append(names, "rollback")
		}
	}
	if name, effect := force(in, stateOf(in)); name != "" {
		names, effects[name] = append(names, name), effect
	}
	if unanswered(in.Rollout) {
		// The guard refuses all but an Abort of another command. What changes the workload
		// is no command.
		names = slices.DeleteFunc(names, func(name string) bool {
			abort := name == "abort" && in.Rollout.Annotations[v1alpha1.AnnotationAction] != string(v1alpha1.ActionAbort)
			return !abort && name != "rollback" && !strings.HasPrefix(name, "bypass")
		})
	}
	return names, effects
}

// unanswered is whether a command has been given that Belay has neither carried out nor refused.
func unanswered(r *v1alpha1.Rollout) bool {
	return !r.Status.Handled(r.Annotations[v1alpha1.AnnotationActionToken])
}

// unansweredCommand tells of it: what, by whom, when and why.
func unansweredCommand(in Input) string {
	at := in.Rollout.Annotations
	said := Text(at[v1alpha1.AnnotationAction], 20)
	if by := at[v1alpha1.AnnotationActionBy]; by != "" {
		said += ", by " + Text(by, 256)
	}
	if given := givenAt(in.Rollout); !given.IsZero() {
		said += fmt.Sprintf(", at %s (%s ago)", Moment(given, in.Now), Short(in.Now.Sub(given)))
	}
	if reason := at[v1alpha1.AnnotationActionReason]; reason != "" {
		said += ": " + Text(reason, 256)
	}
	return said
}

// givenAt is when the command was written, as the API server keeps of its field manager; zero
// when it does not.
func givenAt(r *v1alpha1.Rollout) time.Time {
	var at time.Time
	for _, m := range r.ManagedFields {
		if m.Time != nil && m.FieldsV1 != nil && m.Time.After(at) && strings.Contains(m.FieldsV1.GetRawString(), `"f:`+v1alpha1.AnnotationActionToken+`"`) {
			at = m.Time.Time
		}
	}
	return at
}

// Unseen is what to say of a version that the workload declares and that is neither stable nor
// the candidate; empty when there is none.
func Unseen(in Input) string {
	version := unseen(in)
	if version == nil {
		return ""
	}
	seen, held := ", which Belay has not looked at yet", "it does not roll out until Belay has looked at it"
	if d := in.Rollout.Status.Declared; d != nil && d.Revision == version.Revision {
		seen, held = " since "+Moment(d.Since.Time, in.Now), "its run has not begun"
		if in.Rollout.Status.Phase.InRun() {
			held = "its run starts when this one is over"
		}
	}
	if !workload.Held(in.Workload) {
		held = "it is not held: " + workloadOf(in.Rollout) + " " + wordsOf(in.Rollout).notHeld
	}
	by := declaredBy(in)
	if by != "" {
		by = ", pushed by " + by
	}
	return fmt.Sprintf("The %s declares %s%s%s; %s", KindOf(in.Rollout), Tag(version), by, seen, held)
}

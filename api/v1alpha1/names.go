package v1alpha1

import "strings"

// Labels and annotations Belay writes or reads. They are part of the contract.
const (
	// LabelRollout names the Rollout an object belongs to. On a Deployment it
	// arms the guard; the admission policies look at nothing else.
	LabelRollout = "belay.dev/rollout"
	// LabelRevision is the revision of the pod template that an object runs.
	LabelRevision = "belay.dev/revision"
	// LabelRole tells generated objects apart: canary or stable. It stands on
	// ReplicaSets and Services, never on pods.
	LabelRole = "belay.dev/role"
	// LabelRun on a Deployment names the run in progress, on a ReplicaSet the run
	// it was made or borrowed for. RunLabel gives the value.
	LabelRun = "belay.dev/run"
	// LabelRejected on a Deployment is the declared revision while it is a rejected
	// one: a bypass then has to name it.
	LabelRejected = "belay.dev/rejected"
	// LabelNarrowed on a Deployment names the Service that is narrowed to one
	// version during a run: see Traffic.DirectCallers.
	LabelNarrowed = "belay.dev/narrowed"
	// LabelHandover on a Deployment locks its template while the run it names hands
	// its ReplicaSet over. It is a label because annotations are copied to
	// ReplicaSets, and come back with a rollout undo.
	LabelHandover = "belay.dev/handover"
	// LabelBorrowed on a ReplicaSet says that it is one of the Deployment's own,
	// taken for the time of a run.
	LabelBorrowed = "belay.dev/borrowed"
	// LabelOutcome repeats a finished RolloutRun's outcome, for selectors.
	LabelOutcome = "belay.dev/outcome"

	// AnnotationAction asks for something: see Action.
	AnnotationAction = "belay.dev/action"
	// AnnotationActionToken makes an action happen once: it is acted on when it
	// differs from status.lastHandledAction.token.
	AnnotationActionToken = "belay.dev/action-token"
	// AnnotationActionRevision limits an action to one revision; for any other
	// the action is refused.
	AnnotationActionRevision = "belay.dev/action-revision"
	// AnnotationActionReason is free text for the record.
	AnnotationActionReason = "belay.dev/action-reason"
	// AnnotationActionBy is the authenticated author of the action. The guard
	// stamps it at admission; what a client writes there is overwritten.
	AnnotationActionBy = "belay.dev/action-by"
	// AnnotationBypassReason on a Deployment, in the write that unpauses it or
	// changes its template, lets it roll unjudged. It begins with the Deployment's
	// present generation and a colon, so that an old one counts for nothing; for a
	// rejected revision it names that too. The author needs the verb bypass.
	AnnotationBypassReason = "belay.dev/bypass-reason"
	// AnnotationBypassBy is the authenticated author of the last bypass, and their
	// field manager. The guard stamps it.
	AnnotationBypassBy = "belay.dev/bypass-by"
	// AnnotationPushedBy is the authenticated author of the declared template, and
	// their field manager. The guard stamps it.
	AnnotationPushedBy = "belay.dev/pushed-by"
	// AnnotationFence, with a Rollout's name behind it, carries the epoch in which
	// that Rollout last wrote a route, so that a superseded controller's late write
	// is refused.
	AnnotationFence = "belay.dev/fence."
	// AnnotationOriginal, with a Rollout's name behind it, keeps what a route said
	// before a run, to put it back.
	AnnotationOriginal = "belay.dev/original."
	// AnnotationGuardProbe marks the template of the dry-run that proves the guard.
	AnnotationGuardProbe = "belay.dev/guard-probe"

	// FieldManager is what Belay's controller writes as, and AnalysisFieldManager its
	// judge: what is one loop's, the other's server-side apply leaves alone.
	FieldManager         = "belay"
	AnalysisFieldManager = "belay-analysis"

	// Finalizer releases the route before a Rollout goes.
	Finalizer = "belay.dev/release"

	// RoleCanary and RoleStable are the values of LabelRole.
	RoleCanary = "canary"
	RoleStable = "stable"
)

// RunLabel is a run's name as a label's value, which has at most 63 characters:
// a longer name loses its beginning, as its end tells it from others.
func RunLabel(run string) string {
	if len(run) > 63 {
		run = strings.TrimLeft(run[len(run)-63:], "-.")
	}
	return run
}

// Action is a command given by annotation, so that GitOps tools see no drift.
type Action string

const (
	// ActionAbort rolls the current candidate back and remembers it as rejected.
	ActionAbort Action = "Abort"
	// ActionRetry lets a rejected revision run once more.
	ActionRetry Action = "Retry"
)

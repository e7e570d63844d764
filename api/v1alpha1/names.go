package v1alpha1

// Labels and annotations Belay writes or reads. They are part of the contract.
const (
	// LabelRollout names the Rollout an object belongs to.
	LabelRollout = "belay.dev/rollout"
	// LabelRevision is the revision of the pod template that a pod runs.
	LabelRevision = "belay.dev/revision"
	// LabelRole tells generated objects and pods apart: canary or stable.
	LabelRole = "belay.dev/role"
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
	// AnnotationFence, with a Rollout's name behind it, carries the epoch in which
	// that Rollout last wrote a route, so that a superseded controller's late write
	// is refused.
	AnnotationFence = "belay.dev/fence."
	// AnnotationOriginal, with a Rollout's name behind it, keeps what a route said
	// before a run, to put it back.
	AnnotationOriginal = "belay.dev/original."
	// AnnotationGuardProbe marks the template of the dry-run that proves the guard.
	AnnotationGuardProbe = "belay.dev/guard-probe"

	// Finalizer releases the route before a Rollout goes.
	Finalizer = "belay.dev/release"

	// RoleCanary and RoleStable are the values of LabelRole.
	RoleCanary = "canary"
	RoleStable = "stable"
)

// Action is a command given by annotation, so that GitOps tools see no drift.
type Action string

const (
	// ActionAbort rolls the current candidate back and remembers it as rejected.
	ActionAbort Action = "Abort"
	// ActionRetry lets a rejected revision run once more.
	ActionRetry Action = "Retry"
)

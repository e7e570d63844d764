package v1alpha1

import (
	"slices"
	"strings"
)

// OldestKubernetes is the first version with a stable MutatingAdmissionPolicy, which the guard
// needs.
const OldestKubernetes = "1.36.0"

// Labels and annotations that Belay writes or reads. They are part of the API.
const (
	// LabelRollout is the name of the Rollout that an object belongs to. On a Deployment it
	// turns the guard on.
	LabelRollout = "belay.dev/rollout"
	// LabelRevision is the revision of the pod template that an object runs.
	LabelRevision = "belay.dev/revision"
	// LabelRole is canary or stable, or preview on the preview Service. It is on ReplicaSets
	// and generated Services, never on pods.
	LabelRole = "belay.dev/role"
	// LabelRun on a Deployment is the run in progress, where that shares requests by
	// routes; on a ReplicaSet the run that it was created or borrowed for. RunLabel computes
	// the value.
	LabelRun = "belay.dev/run"
	// LabelRejected on a Deployment is the declared revision, if it was rejected: a bypass
	// then has to name it.
	LabelRejected = "belay.dev/rejected"
	// LabelNarrowed on a Deployment is the name of the Service that selects one version
	// only during a run: see Traffic.DirectCallers.
	LabelNarrowed = "belay.dev/narrowed"
	// LabelHandover on a Deployment locks its template during the handover of a run, whose
	// name is the value. It is a label because annotations are copied to ReplicaSets, and
	// kubectl rollout undo would bring them back.
	LabelHandover = "belay.dev/handover"
	// LabelBorrowed is on a ReplicaSet of the Deployment that a run uses as its canary.
	LabelBorrowed = "belay.dev/borrowed"
	// LabelCheck on a Job is the trigger that it is a check of.
	LabelCheck = "belay.dev/check"
	// LabelOutcome is a finished RolloutRun's outcome, for selectors.
	LabelOutcome = "belay.dev/outcome"
	// LabelVersion on the controller's Lease is the version of the one that leads.
	LabelVersion = "app.kubernetes.io/version"

	// AnnotationAction is a command: see Action.
	AnnotationAction = "belay.dev/action"
	// AnnotationActionToken makes a command be carried out once: each command needs a
	// token that no earlier one had.
	AnnotationActionToken = "belay.dev/action-token"
	// AnnotationActionRevision limits a command to one revision; with another one the
	// command is refused.
	AnnotationActionRevision = "belay.dev/action-revision"
	// AnnotationActionStep is the step that ActionSkip or ActionApprove is for, counted from 1;
	// in another one the command is refused. Other commands do not read it: an Abort must not
	// fail because of the step that an earlier command has left there.
	AnnotationActionStep = "belay.dev/action-step"
	// AnnotationActionReason is free text that is recorded.
	AnnotationActionReason = "belay.dev/action-reason"
	// AnnotationActionBy is the authenticated author of the command. The guard sets it at
	// admission and overwrites what a client writes.
	AnnotationActionBy = "belay.dev/action-by"
	// AnnotationBypassReason on a Deployment, in the write that unpauses it or changes its
	// template, lets it roll out without Belay's checks. The value begins with the
	// Deployment's present generation and a colon, so that an old one has no effect; for a
	// rejected revision it also has to name that. The author needs the verb bypass.
	AnnotationBypassReason = "belay.dev/bypass-reason"
	// AnnotationBypassBy is the authenticated author of the last bypass, and their field
	// manager. The guard sets it.
	AnnotationBypassBy = "belay.dev/bypass-by"
	// AnnotationPushedBy is the authenticated author of the declared template, and their
	// field manager. The guard sets it.
	AnnotationPushedBy = "belay.dev/pushed-by"
	// AnnotationFence, followed by a Rollout's name, is the epoch of that Rollout's last
	// write to a route. The API server refuses a lower one, so that a late write of a
	// superseded controller has no effect.
	AnnotationFence = "belay.dev/fence."
	// AnnotationTesters, followed by a Rollout's name, is the match of that Rollout's step in
	// force, and what tells the rules that Belay has added to a route for it.
	AnnotationTesters = "belay.dev/testers."
	// AnnotationMirror, followed by a Rollout's name, is how many percent of a route's requests
	// that Rollout's step in force copies to the candidate; after a space, the comparer's Service.
	AnnotationMirror = "belay.dev/mirror."
	// AnnotationOriginal, followed by a Rollout's name, has the backendRefs of a route
	// before a run, to restore them.
	AnnotationOriginal = "belay.dev/original."
	// AnnotationGuardProbe marks the template in the dry-run that checks the guard.
	AnnotationGuardProbe = "belay.dev/guard-probe"

	// FieldManager is the field manager of Belay's controller, AnalysisFieldManager that
	// of the judge, and ChecksFieldManager that of the loop of checks: a server-side apply
	// of one does not change the fields of the others.
	FieldManager         = "belay"
	AnalysisFieldManager = "belay-analysis"
	ChecksFieldManager   = "belay-checks"

	// Finalizer keeps a deleted Rollout until its routes are restored.
	Finalizer = "belay.dev/release"
	// RunFinalizer keeps a deleted RolloutRun while it is in progress: the canary's ReplicaSet
	// would go with it, and its requests would have no answer.
	RunFinalizer = "belay.dev/run"

	// RoleCanary and RoleStable are the values of LabelRole.
	RoleCanary = "canary"
	RoleStable = "stable"
	// RolePreview is that of the Service that PreviewName names.
	RolePreview = "preview"
)

// PairNames are the names of the two generated Services of a Rollout, to which its routes are
// split for the time of a run.
func PairNames(rollout string) (stable, canary string) {
	return rollout + "-stable", rollout + "-canary"
}

// PreviewName is the name of the Service that leads to the candidate alone in the steps of a
// run, where spec.traffic.preview asks for one.
func PreviewName(rollout string) string { return rollout + "-preview" }

// RunLabel is a run's name as the value of a label, which may have 63 characters. A longer
// name loses its beginning, because its end is what differs from other runs.
func RunLabel(run string) string {
	if len(run) > 63 {
		run = strings.TrimLeft(run[len(run)-63:], "-.")
	}
	return run
}

// Action is a command. It is given by annotations, so that GitOps tools see no drift.
type Action string

const (
	// ActionAbort rolls the current candidate back and rejects it.
	ActionAbort Action = "Abort"
	// ActionRetry lets a rejected revision run once more.
	ActionRetry Action = "Retry"
	// ActionPromote ends the remaining steps of the candidate: it gets weight 100 and its
	// bake, which has to pass. It has to name the candidate's revision.
	ActionPromote Action = "Promote"
	// ActionSkip ends the step that it names, whatever its triggers do not know yet: the next
	// one begins as if it had passed. A step that needs an approval has to have it before.
	ActionSkip Action = "Skip"
	// ActionApprove approves the step that it names, which needs that by Step.Approval. The
	// step still ends only when it has passed.
	ActionApprove Action = "Approve"
	// ActionPause keeps the candidate at its present weight until ActionResume. Triggers
	// still roll it back.
	ActionPause Action = "Pause"
	// ActionResume ends a pause that ActionPause began.
	ActionResume Action = "Resume"
	// ActionOverrideFreeze lets the candidate that it names go on although a Freeze holds it,
	// until its run ends. It needs a reason.
	ActionOverrideFreeze Action = "OverrideFreeze"
)

// Commands lists the names of all commands.
func Commands() []string {
	var names []string
	for _, a := range []Action{ActionAbort, ActionApprove, ActionOverrideFreeze, ActionPause, ActionPromote, ActionResume, ActionRetry, ActionSkip} {
		names = append(names, string(a))
	}
	return names
}

// OfStep reports whether the command has to name a step.
func (a Action) OfStep() bool { return a == ActionSkip || a == ActionApprove }

// Known reports whether there is such a command.
func (a Action) Known() bool { return slices.Contains(Commands(), string(a)) }

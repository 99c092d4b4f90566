package policy

import (
	"slices"
	"sync"
	"time"
)

// Codes of warnings.
const (
	// WarnNoTests: the policy has no tests.
	WarnNoTests = "no_tests"
	// WarnNoRoutes: data.routes is missing or empty.
	WarnNoRoutes = "no_routes"
	// WarnMissingEntrypoint: there is no rule that decides.
	WarnMissingEntrypoint = "missing_entrypoint"
	// WarnNeverAllows: package authz nowhere says allow.
	WarnNeverAllows = "never_allows"
	// WarnUndefined: an entrypoint answered nothing; that is a denial.
	WarnUndefined = "undefined"
	// WarnWrongType: an entrypoint answered something that is no decision; that
	// is a denial.
	WarnWrongType = "wrong_type"
	// WarnDeadline: an evaluation was cancelled at its deadline.
	WarnDeadline = "deadline"
	// WarnUncacheable: a line of the policy keeps decisions from being cached; see
	// [Snapshot.Uncacheable]. The code of those problems, too.
	WarnUncacheable = "uncacheable"
	// WarnReadsInput: what must not depend on an input does.
	WarnReadsInput = "reads_input"
	// WarnLeftOut: something of a file that data is derived from could not be made data.
	WarnLeftOut = "left_out"
	// WarnEvaluation: an evaluation failed.
	WarnEvaluation = "evaluation_error"
)

// Warning says what is odd about a policy that is live. Each is given once for
// a snapshot, code and entrypoint, when it is first noticed; each message once where it
// is about no entrypoint.
type Warning struct {
	Code       string    `json:"code"`
	Entrypoint string    `json:"entrypoint,omitempty"`
	Message    string    `json:"message"`
	At         time.Time `json:"at"`
}

// warnings collects a snapshot's warnings.
type warnings struct {
	mu       sync.Mutex
	list     []Warning
	listener func()
}

// add records a warning unless it is there already.
func (w *warnings) add(warning Warning) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, known := range w.list {
		if known.Code == warning.Code && known.Entrypoint == warning.Entrypoint &&
			(known.Entrypoint != "" || known.Message == warning.Message) {
			return false
		}
	}
	w.list = append(w.list, warning)
	return true
}

func (w *warnings) all() []Warning {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// listen sets who is told of warnings from now on.
func (w *warnings) listen(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listener = f
}

func (w *warnings) tell() {
	w.mu.Lock()
	f := w.listener
	w.mu.Unlock()
	if f != nil {
		f()
	}
}

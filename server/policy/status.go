package policy

import (
	"time"
)

// Status is what an engine says of itself. It can be written as JSON and read
// back.
type Status struct {
	// Sources are the directories, as they were given.
	Sources []string `json:"sources"`
	// Revision is the digest of the policy that is live.
	Revision string `json:"revision"`
	// ActivatedAt is when it became live.
	ActivatedAt time.Time `json:"activated_at"`
	// Modules and Routes count its Rego files and declared routes.
	Modules int `json:"modules"`
	Routes  int `json:"routes"`
	// Tests sums up the run of its tests.
	Tests TestCounts `json:"tests"`
	// PassedBefore is when these tests ran, with all other checks, if it was not
	// at this activation: exactly this policy had passed them before the server
	// started. nil when they ran.
	PassedBefore *time.Time `json:"passed_before,omitempty"`
	Warnings     []Warning  `json:"warnings"`
	// DecisionCacheBytes bounds the memory of decisions; 0 when none are kept.
	DecisionCacheBytes int64 `json:"decision_cache_bytes"`
	// Uncacheable are the places that keep decisions from being cached, as
	// [Snapshot.Uncacheable] has them.
	Uncacheable []Problem `json:"uncacheable"`
	// LastError says why what lies in the directories now is not live; nil when
	// it is.
	LastError *Failure `json:"last_error,omitempty"`
}

// Failure says why a policy was refused.
type Failure struct {
	// At is when it was last tried, Since when the directories first held
	// something that was refused, since the last activation.
	At    time.Time `json:"at"`
	Since time.Time `json:"since"`
	// Revision is the digest of what was refused; empty when it could not be
	// read.
	Revision string    `json:"revision,omitempty"`
	Problems []Problem `json:"problems"`
}

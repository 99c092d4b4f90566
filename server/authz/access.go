package authz

// AccessRequest asks whether a subject may do an action on a resource: the
// question of the AuthZEN Authorization API 1.0, section 6. Nothing of it is known
// here; it is what the caller says.
type AccessRequest struct {
	Subject, Resource Entity
	Action            Action
	// Context is nil where none was given.
	Context map[string]any
}

// Entity is a subject or a resource.
type Entity struct {
	Type, ID string
	// Properties hold the members as encoding/json decodes them, numbers as
	// json.Number; nil where none were given.
	Properties map[string]any
}

// Action is what a subject wants to do.
type Action struct {
	Name       string
	Properties map[string]any // as an [Entity]'s
}

// Access answers an [AccessRequest]. The zero value denies.
type Access struct {
	// Allow is true only when the policy answered with the boolean true.
	Allow bool
	// Reasons are the policy's, in its order.
	Reasons []Reason
	// Context is what the policy gives along, as encoding/json would decode it; nil
	// for nothing.
	Context map[string]any
	// Revision is the content digest of the policy that decided.
	Revision string
}

// Entities are those that a policy declares, for searches. They are shared by many
// requests and must not be changed.
type Entities struct {
	// Subjects and Resources are ids by type, sorted, each once.
	Subjects, Resources map[string][]string
	// Actions are names, sorted, each once.
	Actions []string
}

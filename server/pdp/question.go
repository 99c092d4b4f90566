package pdp

import (
	"encoding/json"
	"strconv"

	"github.com/stagedoor/stagedoor/server/authz"
)

// parts are the members of a question that a request has; nil for those that it has
// not.
type parts struct {
	subject, resource *authz.Entity
	action            *authz.Action
	context           map[string]any
}

// readParts reads the members of a question that are there. Others are ignored. lax
// is the entity of which only the type counts; empty for none. A fault of a member
// that lacks something (fault.missing) is returned once all members have been read, so
// that any other comes first.
func readParts(where string, o map[string]any, lax string) (parts, error) {
	var p parts
	var lacking error
	note := func(err error) error {
		if !isMissing(err) {
			return err
		}
		if lacking == nil {
			lacking = err
		}
		return nil
	}
	var err error
	if v, there := o["subject"]; there {
		p.subject, err = readEntity(where+"subject", v, lax == "subject")
		if note(err) != nil {
			return parts{}, err
		}
	}
	if v, there := o["resource"]; there {
		p.resource, err = readEntity(where+"resource", v, lax == "resource")
		if note(err) != nil {
			return parts{}, err
		}
	}
	if v, there := o["action"]; there && lax != "action" {
		p.action, err = readAction(where+"action", v)
		if note(err) != nil {
			return parts{}, err
		}
	}
	if p.context, err = objectMember(where, o, "context"); err != nil {
		return parts{}, err
	}
	return p, lacking
}

// readEntity reads a subject or a resource. Of one that is searched for only the type
// counts: what a caller says of it would be said of every one.
func readEntity(name string, v any, typeOnly bool) (*authz.Entity, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return nil, wrongType(name, v, "an object")
	}
	e := &authz.Entity{}
	var lacking, err error
	if e.Properties, err = objectMember(name+".", o, "properties"); err != nil {
		return nil, err
	}
	if e.Type, lacking, err = textMember(name+".", o, "type"); err != nil {
		return nil, err
	}
	if typeOnly {
		e.Properties = nil
		return e, lacking
	}
	var noID error
	if e.ID, noID, err = textMember(name+".", o, "id"); err != nil {
		return nil, err
	}
	if lacking == nil {
		lacking = noID
	}
	return e, lacking
}

func readAction(name string, v any) (*authz.Action, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return nil, wrongType(name, v, "an object")
	}
	a := &authz.Action{}
	var lacking, err error
	if a.Properties, err = objectMember(name+".", o, "properties"); err != nil {
		return nil, err
	}
	if a.Name, lacking, err = textMember(name+".", o, "name"); err != nil {
		return nil, err
	}
	return a, lacking
}

// textMember is a member that has to be there (else lacking says so) and a string.
func textMember(where string, o map[string]any, name string) (text string, lacking, err error) {
	v, there := o[name]
	if !there {
		return "", missing(where + name), nil
	}
	text, ok := v.(string)
	if !ok {
		return "", nil, wrongType(where+name, v, "a string")
	}
	return text, nil, nil
}

// objectMember is a member that is an object, if it is there.
func objectMember(where string, o map[string]any, name string) (map[string]any, error) {
	v, there := o[name]
	if !there {
		return nil, nil
	}
	member, ok := v.(map[string]any)
	if !ok {
		return nil, wrongType(where+name, v, "an object")
	}
	return member, nil
}

func wrongType(name string, v any, want string) error {
	is := "null"
	switch v.(type) {
	case string:
		is = "a string"
	case json.Number:
		is = "a number"
	case bool:
		is = "a boolean"
	case []any:
		is = "an array"
	case map[string]any:
		is = "an object"
	}
	return invalid("%s is %s; it must be %s", name, is, want)
}

// or takes from defaults, whole, what p has not.
func (p parts) or(defaults parts) parts {
	if p.subject == nil {
		p.subject = defaults.subject
	}
	if p.resource == nil {
		p.resource = defaults.resource
	}
	if p.action == nil {
		p.action = defaults.action
	}
	if p.context == nil {
		p.context = defaults.context
	}
	return p
}

// question is the parts' question, which must be all there but the one that is
// searched for.
func (p parts) question(sought string) (*authz.AccessRequest, error) {
	q := &authz.AccessRequest{Context: p.context}
	switch {
	case p.subject == nil:
		return nil, missing("subject")
	case p.resource == nil:
		return nil, missing("resource")
	case p.action == nil && sought != "action":
		return nil, missing("action")
	}
	q.Subject, q.Resource = *p.subject, *p.resource
	if p.action != nil {
		q.Action = *p.action
	}
	return q, nil
}

// wantsReasons reports whether a request asks for the reasons of its answer, which is
// an extension of ours: context.reasons is true.
func wantsReasons(context map[string]any) bool { return context["reasons"] == true }

// count is a member that is a whole number and not negative.
func count(name string, v any) (int, error) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, wrongType(name, v, "a number")
	}
	n, err := strconv.ParseUint(number.String(), 10, 63)
	if err != nil {
		return 0, invalid("%s must be a whole number from 0 on", name)
	}
	return int(min(n, 1<<30)), nil
}

package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Scopes are those that the routes ask for, sorted.
func (i *Import) Scopes() []string {
	var scopes []string
	for _, r := range i.Routes {
		for _, c := range r.Methods {
			scopes = append(scopes, c.Scopes...)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// Data is the routes as the policy's data has them: pattern, method, conditions. Where
// upstream is not empty, the routes go to it.
func (i *Import) Data(upstream string) map[string]any {
	routes := make(map[string]any, len(i.Routes))
	for _, r := range i.Routes {
		item := make(map[string]any, len(r.Methods))
		for method, condition := range r.Methods {
			item[method] = condition.members()
		}
		if upstream != "" && len(r.Methods) > 0 {
			item["upstream"] = upstream
		}
		routes[r.Pattern] = item
	}
	return map[string]any{"routes": routes}
}

// JSON is [Import.Data] as JSON, which is YAML, too.
func (i *Import) JSON() ([]byte, error) { return json.Marshal(i.Data("")) }

// YAML is [Import.Data] as a data file for people, with a header that says what it was
// made of.
func (i *Import) YAML(from, upstream string) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Made from %s", printable(from))
	if i.Title != "" {
		fmt.Fprintf(&b, " (%s)", printable(i.Title))
	}
	b.WriteString(" by `stagedoor policy import`.\n")
	if scopes := i.Scopes(); len(scopes) > 0 {
		b.WriteString("#\n# The routes ask for the scopes below. An account has those that its roles carry\n# (roles.yaml), a client those that it is registered with (stagedoor client add).\n#\n")
		for _, scope := range scopes {
			fmt.Fprintf(&b, "#   %s\n", scope)
		}
	}
	if len(i.Left) > 0 {
		fmt.Fprintf(&b, "#\n# %d could not be translated. Nobody is let through to them:\n#\n", len(i.Left))
		for _, item := range i.Left {
			fmt.Fprintf(&b, "#   %s\n", printable(item.String()))
		}
	}
	routes := &yaml.Node{Kind: yaml.MappingNode}
	for _, r := range i.Routes {
		item := &yaml.Node{Kind: yaml.MappingNode}
		if len(r.Methods) == 0 {
			item.Style = yaml.FlowStyle
		} else if upstream != "" {
			item.Content = append(item.Content, scalar("upstream"), scalar(upstream))
		}
		for _, method := range slices.Sorted(maps.Keys(r.Methods)) {
			conditions := &yaml.Node{}
			if err := conditions.Encode(r.Methods[method].members()); err != nil {
				return nil, err
			}
			conditions.Style = yaml.FlowStyle
			item.Content = append(item.Content, scalar(method), conditions)
		}
		routes.Content = append(routes.Content, scalar(r.Pattern), item)
	}
	if len(routes.Content) == 0 {
		routes.Style = yaml.FlowStyle
	}
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("routes"), routes}}); err != nil {
		return nil, err
	}
	return b.Bytes(), encoder.Close()
}

func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

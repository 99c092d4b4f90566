package pdp

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a policy made at random: who and what there is, and clauses, one of which
// suffices.
type world struct {
	rand     *rand.Rand
	subjects map[string][]string // by type
	things   map[string][]string
	actions  []string
}

func newWorld(r *rand.Rand) *world {
	w := &world{rand: r, subjects: map[string][]string{}, things: map[string][]string{}}
	ids := func(n int) []string {
		var list []string
		for range r.IntN(n) {
			list = append(list, w.pick("a", "b", "c", "d", "e", "aa", "a\x00", "ä", "Z", "~", "10", "9", "a b", `q"`))
		}
		return list
	}
	for _, kind := range []string{"user", "robot"} {
		w.subjects[kind], w.things[kind+"s"] = ids(12), ids(12)
	}
	w.actions = ids(6)
	return w
}

func (w *world) pick(from ...string) string { return from[w.rand.IntN(len(from))] }

// clause is a condition on any part of the question.
func (w *world) clause() string {
	member := w.pick("input.subject.id", "input.subject.type", "input.resource.id", "input.resource.type", "input.action.name",
		"input.subject.properties.p", "input.resource.properties.p", "input.action.properties.p", "input.context.p")
	switch w.rand.IntN(5) {
	case 0:
		return fmt.Sprintf(`%s in {"a", "c", "ä", "user", "users"}`, member)
	case 1:
		return fmt.Sprintf(`startswith(%s, %q)`, member, w.pick("a", "", "r"))
	case 2:
		return fmt.Sprintf(`%s != %s`, member, w.pick("input.subject.id", "input.resource.id"))
	case 3:
		return fmt.Sprintf(`not %s`, member)
	default:
		return fmt.Sprintf(`count(%s) %% 2 == %d`, member, w.rand.IntN(2))
	}
}

func (w *world) rules() string {
	var b strings.Builder
	b.WriteString("package authzen\n\ndefault decision := false\n")
	for range 1 + w.rand.IntN(3) {
		b.WriteString("\ndecision if {\n")
		for range 1 + w.rand.IntN(2) {
			b.WriteString("\t" + w.clause() + "\n")
		}
		b.WriteString("}\n")
	}
	entities, _ := json.Marshal(map[string]any{"subjects": w.subjects, "resources": w.things, "actions": w.actions})
	fmt.Fprintf(&b, "\nentities := %s\n", strings.ReplaceAll(string(entities), "null", "[]"))
	return b.String()
}

// question is one about anything, known or not, without what is sought.
func (w *world) question(sought string) map[string]any {
	q := map[string]any{
		"subject":  map[string]any{"type": w.pick("user", "robot"), "id": w.pick("a", "b", "ä", "other")},
		"action":   map[string]any{"name": w.pick("a", "c", "other")},
		"resource": map[string]any{"type": w.pick("users", "robots"), "id": w.pick("a", "10", "other")},
	}
	for _, part := range []string{"subject", "action", "resource"} {
		if part != sought && w.rand.IntN(2) == 0 {
			q[part].(map[string]any)["properties"] = map[string]any{"p": w.pick("a", "user", "")}
		}
	}
	if w.rand.IntN(2) == 0 {
		q["context"] = map[string]any{"p": w.pick("a", "c", "")}
	}
	delete(q[sought].(map[string]any), "id")
	if sought == "action" {
		delete(q, "action")
	}
	return q
}

// candidates are the declared names of what is sought.
func (w *world) candidates(q map[string]any, sought string) []string {
	all := w.actions
	switch sought {
	case "subject":
		all = w.subjects[q["subject"].(map[string]any)["type"].(string)]
	case "resource":
		all = w.things[q["resource"].(map[string]any)["type"].(string)]
	}
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}

// about is the question about one of them.
func about(q map[string]any, sought, name string) string {
	whole := map[string]any{"action": map[string]any{"name": name}}
	for part, v := range q {
		whole[part] = v
	}
	if sought != "action" {
		whole[sought] = map[string]any{"type": q[sought].(map[string]any)["type"], "id": name}
	}
	text, _ := json.Marshal(whole)
	return string(text)
}

// Whatever the policy: a search finds just those of whom an evaluation says yes, in
// order, in pages of any size.
func TestSearchesAgreeWithEvaluations(t *testing.T) {
	allowed, denied := 0, 0
	for seed := range uint64(60) {
		w := newWorld(rand.New(rand.NewPCG(seed, 5)))
		rules := w.rules()
		h := serveRules(t, rules, time.Minute, nil)
		for range 12 {
			kind := searches()[w.rand.IntN(3)]
			q := w.question(kind.sought)
			var want []string
			for _, name := range w.candidates(q, kind.sought) {
				answer := post(t, h, evaluationPath, "application/json", about(q, kind.sought, name))
				switch answer.Body.String() {
				case "{\"decision\":true}\n":
					want = append(want, name)
				case "{\"decision\":false}\n":
					denied++
				default:
					t.Fatalf("%d %s", answer.Code, answer.Body)
				}
			}
			allowed += len(want)
			var got []string
			for token, more := "", true; more; more = token != "" {
				q["page"] = map[string]any{"limit": 1 + w.rand.IntN(4), "token": token}
				text, _ := json.Marshal(q)
				answer := post(t, h, kind.path, "application/json", string(text))
				token = tokenOf(t, answer)
				var found searchAnswer
				_ = json.Unmarshal(answer.Body.Bytes(), &found)
				for _, r := range found.Results {
					got = append(got, r.ID+r.Name)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, %s search for %v by\n%s\nfound %q, want %q", seed, kind.sought, q, rules, got, want)
			}
		}
	}
	if allowed < 500 || denied < 500 {
		t.Errorf("%d allowed, %d denied: too few to say anything", allowed, denied)
	}
}

package pdp

import "github.com/gin-gonic/gin"

// metadata is the document of AuthZEN 1.0 section 9.
type metadata struct {
	PolicyDecisionPoint string `json:"policy_decision_point"`
	Evaluation          string `json:"access_evaluation_endpoint"`
	Evaluations         string `json:"access_evaluations_endpoint"`
	SearchSubject       string `json:"search_subject_endpoint"`
	SearchResource      string `json:"search_resource_endpoint"`
	SearchAction        string `json:"search_action_endpoint"`
}

// serveMetadata is GET /.well-known/authzen-configuration.
func (a *API) serveMetadata(g *gin.Context) {
	writeJSON(g.Writer, metadata{
		PolicyDecisionPoint: a.o.URL,
		Evaluation:          a.o.URL + evaluationPath,
		Evaluations:         a.o.URL + evaluationsPath,
		SearchSubject:       a.o.URL + searchSubjectPath,
		SearchResource:      a.o.URL + searchResourcePath,
		SearchAction:        a.o.URL + searchActionPath,
	}, "public, max-age=300")
}

package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/server/authz"
)

func TestScanObject(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		ok   bool
	}{
		"empty object":                 {`{}`, true},
		"white space":                  {" \t\r\n{ \"a\" : [ 1 , { } ] , \"b\" : [ ] } \n", true},
		"every kind":                   {`{"a":null,"b":true,"c":false,"d":-1.5e-3,"e":"x","f":[],"g":{}}`, true},
		"every escape":                 {`{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}`, true},
		"unicode":                      {`{"é":"😀"}`, true},
		"one name on two levels":       {`{"a":{"a":{"a":1}},"b":{"a":1}}`, true},
		"names that differ in case":    {`{"a":1,"A":2}`, true},
		"a hundred names":              {manyMembers(100, `"x":1`), true},
		"zero":                         {`{"a":[0,-0,0.0,0e0,0E+0,0e-0]}`, true},
		"smallest":                     {`{"a":1e-999}`, true},
		"largest":                      {`{"a":1.7976931348623157e308}`, true},
		"16 levels":                    {strings.Repeat(`{"a":`, 15) + `{}` + strings.Repeat(`}`, 15), true},
		"siblings do not add up":       {`{"a":[` + strings.Repeat(`[],`, 99) + `[]]}`, true},
		"17 levels":                    {strings.Repeat(`{"a":`, 16) + `{}` + strings.Repeat(`}`, 16), false},
		"nothing":                      {``, false},
		"white space only":             {` `, false},
		"list":                         {`[]`, false},
		"string":                       {`"a"`, false},
		"null":                         {`null`, false},
		"byte order mark":              {"\ufeff{}", false},
		"two objects":                  {`{}{}`, false},
		"a comma after":                {`{},`, false},
		"trailing comma":               {`{"a":1,}`, false},
		"trailing comma in a list":     {`{"a":[1,]}`, false},
		"leading comma":                {`{,"a":1}`, false},
		"no comma":                     {`{"a":1 "b":2}`, false},
		"no colon":                     {`{"a" 1}`, false},
		"no value":                     {`{"a":}`, false},
		"no name":                      {`{:1}`, false},
		"bare name":                    {`{a:1}`, false},
		"number as name":               {`{1:1}`, false},
		"single quotes":                {`{'a':1}`, false},
		"comment":                      {`{"a":1/**/}`, false},
		"open object":                  {`{"a":1`, false},
		"open list":                    {`{"a":[1`, false},
		"wrong bracket":                {`{"a":[1}}`, false},
		"open string":                  {`{"a":"x`, false},
		"open escape":                  {`{"a":"\`, false},
		"unknown escape":               {`{"a":"\x41"}`, false},
		"short unicode escape":         {`{"a":"\u00e"}`, false},
		"unicode escape, not hex":      {`{"a":"\u00eg"}`, false},
		"lone high surrogate":          {`{"a":"\ud83d"}`, false},
		"lone low surrogate":           {`{"a":"\ude00"}`, false},
		"high surrogate, then no low":  {`{"a":"\ud83d\u0041"}`, false},
		"two high surrogates":          {`{"a":"\ud83d\ud83d"}`, false},
		"lone surrogate in a name":     {`{"\ud83d":1}`, false},
		"control character":            {"{\"a\":\"\x01\"}", false},
		"NUL":                          {"{\"a\":1\x00}", false},
		"delete is allowed":            {"{\"a\":\"\x7f\"}", true},
		"invalid UTF-8 outside string": {"{\"a\":1}\xff", false},
		"form feed as white space":     {"{\f}", false},
		"no-break space":               {"{\u00a0}", false},
		"leading zero":                 {`{"a":01}`, false},
		"minus alone":                  {`{"a":-}`, false},
		"plus":                         {`{"a":+1}`, false},
		"point first":                  {`{"a":.5}`, false},
		"point last":                   {`{"a":1.}`, false},
		"exponent without digits":      {`{"a":1e}`, false},
		"exponent sign only":           {`{"a":1e+}`, false},
		"beyond float64":               {`{"a":1e309}`, false},
		"negative, beyond float64":     {`{"a":-1e309}`, false},
		"smallest float64":             {`{"a":5e-324}`, true},
		"smallest exponent":            {`{"a":1E-999}`, true},
		"below the smallest exponent":  {`{"a":1e-1000}`, false},
		"far below it":                 {`{"a":1e-99999999}`, false},
		"no exponent holds it":         {`{"a":1e-99999999999999999999}`, false},
		"zero of a huge exponent":      {`{"a":0e-99999999}`, false},
		"leading zeros in an exponent": {`{"a":1e-0001}`, true},
		"a 128-bit integer":            {`{"a":-170141183460469231731687303715884105728}`, true},
		"64 digits":                    {`{"a":` + strings.Repeat("9", 64) + `}`, true},
		"65 digits":                    {`{"a":` + strings.Repeat("9", 65) + `}`, false},
		"64 bytes of a fraction":       {`{"a":-0.` + strings.Repeat("0", 60) + `1}`, true},
		"65 bytes of a fraction":       {`{"a":-0.` + strings.Repeat("0", 61) + `1}`, false},
		"long, in a list":              {`{"a":[{"b":[` + strings.Repeat("1", 5000) + `]}]}`, false},
		"True":                         {`{"a":True}`, false},
		"nul":                          {`{"a":nul}`, false},
		"NaN":                          {`{"a":NaN}`, false},
		"twice":                        {`{"a":1,"a":1}`, false},
		"twice, escaped":               {`{"a":1,"\u0061":1}`, false},
		"twice, escaped otherwise":     {`{"/":1,"\/":1}`, false},
		"twice, deeper":                {`{"x":[{"a":1,"a":1}]}`, false},
		"twice, empty names":           {`{"":1,"":1}`, false},
		"twice, the 16th and the last": {manyMembers(16, `"m15":1`), false},
		"twice, first and 17th":        {manyMembers(16, `"m0":1`), false},
		"twice, among a hundred":       {manyMembers(100, `"m99":1`), false},
	} {
		t.Run(name, func(t *testing.T) {
			err := scanObject([]byte(test.text), nil)
			if test.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !test.ok {
				wantRefusal(t, err, authz.TokenMalformed)
			}
			if err := checkAgainstStandardLibrary([]byte(test.text)); err != nil {
				t.Error(err)
			}
		})
	}
}

// checkAgainstStandardLibrary scans data. If the scanner accepts it, encoding/json
// must decode it, and to just the members that the scanner saw, none lost to
// another of the same name.
func checkAgainstStandardLibrary(data []byte) error {
	type member struct{ name, value string }
	var members []member
	if err := scanObject(data, func(name, value []byte) {
		members = append(members, member{string(name), string(value)})
	}); err != nil {
		return nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("encoding/json refuses what the scanner accepts: %w", err)
	}
	if len(raw) != len(members) {
		return fmt.Errorf("encoding/json sees %d members, the scanner %d", len(raw), len(members))
	}
	for _, m := range members {
		value, found := raw[m.name]
		if !found || string(value) != m.value {
			return fmt.Errorf("member %q: the scanner has %q, encoding/json %q", m.name, m.value, value)
		}
		var want any
		if err := json.Unmarshal(value, &want); err != nil {
			return fmt.Errorf("member %q: encoding/json refuses its value alone: %w", m.name, err)
		}
		text, isText := decodeText([]byte(m.value))
		if wantText, wantIsText := want.(string); isText != wantIsText || text != wantText {
			return fmt.Errorf("member %q: decoded %q, encoding/json %q", m.name, text, wantText)
		}
	}
	// Decoded, it is what encoding/json makes of it.
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var want map[string]any
	if err := decoder.Decode(&want); err != nil {
		return err
	}
	if got, err := decodeObject(data); err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("decoded %#v (%v), encoding/json %#v", got, err, want)
	}
	// Members on all levels, counted before and after decoding.
	written, err := countTokens(data)
	if err != nil {
		return err
	}
	var decoded any
	if err := json.Unmarshal(data, &decoded); err != nil {
		return err
	}
	if kept := countMembers(decoded); kept != written {
		return fmt.Errorf("%d members are written, %d are left after decoding", written, kept)
	}
	// What is written again reads the same: nothing was replaced on the way.
	again, err := json.Marshal(decoded)
	if err != nil {
		return err
	}
	var twice any
	if err := json.Unmarshal(again, &twice); err != nil || !reflect.DeepEqual(decoded, twice) {
		return fmt.Errorf("decoded, encoded and decoded again, it is something else (%v)", err)
	}
	if err := scanObject(again, nil); err != nil {
		return fmt.Errorf("the scanner refuses it when it is written again: %w", err)
	}
	return nil
}

// countTokens counts the members on all levels of a JSON text, by encoding/json's
// tokens, which know nothing of duplicates.
func countTokens(data []byte) (int, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	type level struct {
		object bool
		items  int
	}
	var levels []level
	count := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return 0, err
		}
		delim, isDelim := token.(json.Delim)
		if isDelim && (delim == '}' || delim == ']') {
			if closed := levels[len(levels)-1]; closed.object {
				count += closed.items / 2
			}
			levels = levels[:len(levels)-1]
			continue
		}
		if len(levels) > 0 {
			levels[len(levels)-1].items++
		}
		if isDelim {
			levels = append(levels, level{object: delim == '{'})
		}
	}
}

func countMembers(value any) int {
	count := 0
	switch v := value.(type) {
	case map[string]any:
		count = len(v)
		for _, member := range v {
			count += countMembers(member)
		}
	case []any:
		for _, member := range v {
			count += countMembers(member)
		}
	}
	return count
}

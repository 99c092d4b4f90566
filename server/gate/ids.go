package gate

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/oklog/ulid/v2"
)

// makeIDs makes the ids of the request and of its decision. A request keeps the
// caller's X-Request-ID where it is a sane one.
func (v *visit) makeIDs() {
	if newID := v.gate.o.NewID; newID != nil {
		v.requestID[0], v.decisionID[0] = newID(), newID()
	} else {
		v.requestID[0], v.decisionID[0] = newIDs(v.question.Now)
	}
	if values := v.r.Header[headerRequestID]; len(values) == 1 && isRequestID(values[0]) {
		v.requestID[0] = values[0]
	}
}

// newIDs makes two ULIDs of the moment, at the price of one. Their 80 random bits
// are from the runtime's generator (ChaCha8, seeded by the system), which has no
// lock.
func newIDs(now time.Time) (first, second string) {
	var text [2 * ulid.EncodedSize]byte
	for _, half := range [][]byte{text[:ulid.EncodedSize], text[ulid.EncodedSize:]} {
		var id ulid.ULID
		_ = id.SetTime(ulid.Timestamp(now)) // fails after the year 10889
		binary.BigEndian.PutUint16(id[6:], uint16(rand.Uint32()))
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
		_ = id.MarshalTextTo(half) // fails on another size
	}
	both := string(text[:])
	return both[:ulid.EncodedSize], both[ulid.EncodedSize:]
}

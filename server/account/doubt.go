package account

import "sync/atomic"

// doubt says that what is in memory may be behind the store. A reload settles only
// what was raised before it began to read: whoever raises a doubt meanwhile knows of
// something that it may have missed. The zero value is no doubt.
type doubt struct{ raised, settled atomic.Uint64 }

func (d *doubt) raise() { d.raised.Add(1) }

// is reports whether there is a doubt. Ask before reading from memory: in the other
// order, a reload in between would settle the doubt about what was read before it.
func (d *doubt) is() bool { return d.raised.Load() != d.settled.Load() }

// mark is what settle is given once everything that was stored by now is in memory.
func (d *doubt) mark() uint64 { return d.raised.Load() }

// settle ends the doubts that mark had seen. Calls must not overlap.
func (d *doubt) settle(mark uint64) { d.settled.Store(mark) }

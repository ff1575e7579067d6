package server

import (
	"sync"

	"tskv/net/resp"
)

// The sizes of pooled read buffers. A connection begins with the smallest, so
// that ten thousand busy ones fit into MaxInput, and moves up while its reads
// fill the buffer.
const (
	smallRead  = 4 << 10
	middleRead = 16 << 10
	largeRead  = 64 << 10

	// minPartial is the smallest buffer for a command that is waited for.
	minPartial = 512
	// keptOutput is the largest reply buffer that is kept for the next client.
	keptOutput = 64 << 10
)

// scratch is the memory that a connection borrows while it is not idle.
type scratch struct {
	in    []byte
	out   []byte
	batch resp.Batch
	class int
}

// bufferPools holds free scratches by the size of their read buffer.
type bufferPools [3]sync.Pool

func (p *bufferPools) open() {
	for class, size := range [...]int{smallRead, middleRead, largeRead} {
		p[class].New = func() any {
			return &scratch{class: class, in: make([]byte, size)}
		}
	}
}

// classAbove returns the first class of buffers larger than n bytes, or the last.
func classAbove(n int) int {
	switch {
	case n < smallRead:
		return 0
	case n < middleRead:
		return 1
	}
	return 2
}

// input is the read buffer: buf[:have] is what arrived and is not yet served. It
// is the scratch's memory or the connection's own.
type input struct {
	buf    []byte
	have   int
	most   int  // highest have since the connection was idle
	own    bool // buf is not the scratch's
	filled bool // the last read filled buf: there is probably more
	extra  bool // the connection has the budget's overdraft
	class  int  // of the next scratch
}

// arrived accounts for n bytes read behind the others.
func (in *input) arrived(n int) {
	in.have += n
	in.most = max(in.most, in.have)
	in.filled = in.have == len(in.buf)
}

// drop removes served bytes. A byte moves at most once: then it is at the front.
func (in *input) drop(used int) {
	if used > 0 {
		copy(in.buf, in.buf[used:in.have])
		in.have -= used
	}
}

// borrow makes sure that there is a buffer to read into.
func (c *Conn) borrow() {
	if c.input.buf != nil {
		return
	}
	c.takeScratch(c.input.class)
	c.input.buf = c.scratch.in
}

// takeScratch borrows memory for input, decoding and replies; of the smallest
// class if the budget is used up, so that small commands always go through.
func (c *Conn) takeScratch(class int) {
	if c.scratch != nil {
		return
	}
	if class > 0 && c.server.budget.isFull() {
		class = 0
	}
	c.scratch = c.server.pools[class].Get().(*scratch)
	c.hold(len(c.scratch.in))
	if c.out.Len() == 0 {
		c.out.SetBuffer(c.scratch.out)
		c.scratch.out = nil
	}
}

// returnScratch gives it back; the input must not lie in it and everything must
// be flushed.
func (c *Conn) returnScratch() {
	s := c.scratch
	if s == nil {
		return
	}
	c.scratch = nil
	c.hold(-len(s.in))
	if out := c.out.TakeBuffer(); cap(out) <= keptOutput {
		s.out = out
	} else {
		c.server.trim.note(cap(out))
	}
	s.batch.Release()
	c.server.pools[s.class].Put(s)
}

// idle gives back what a waiting connection does not need: everything, or, in
// the middle of a command, all but memory in proportion to what has arrived.
func (c *Conn) idle() {
	in := &c.input
	c.decoder.Shrink()
	if in.have == 0 {
		in.class = classAbove(in.most)
		in.most = 0
		in.filled = false
		c.dropOwn()
		in.buf = nil
		c.returnScratch()
		return
	}
	fits := 4*in.have > len(in.buf) || len(in.buf) <= minPartial
	if !fits {
		size := minPartial
		for size < 2*in.have {
			size *= 2
		}
		small := make([]byte, size)
		copy(small, in.buf[:in.have])
		c.hold(size)
		c.dropOwn()
		in.buf, in.own, in.filled = small, true, false
	}
	if in.own {
		c.returnScratch()
	} else if out := c.out.TakeBuffer(); cap(out) <= smallRead {
		c.out.SetBuffer(out)
	}
}

// makeRoom lets at least one more byte arrive, and more after a read that filled
// the buffer. It waits for the budget if it must.
func (c *Conn) makeRoom() error {
	in := &c.input
	full := in.buf != nil && in.have == len(in.buf)
	if !full && (!in.filled || len(in.buf) >= largeRead || c.server.budget.isFull()) {
		return nil
	}
	in.filled = false
	if len(in.buf) < largeRead {
		return c.moveUp()
	}
	size := 2 * len(in.buf)
	if need := in.have + c.decoder.Need(in.have); need > largeRead {
		size = min(size, need+smallRead)
	}
	if err := c.reserve(size); err != nil {
		return err
	}
	c.server.trim.note(size)
	grown := make([]byte, size)
	copy(grown, in.buf[:in.have])
	if !in.own {
		in.buf = nil
		c.returnScratch()
	}
	c.dropOwnKeepingOverdraft()
	in.buf, in.own = grown, true
	return nil
}

// moveUp takes a larger pooled buffer.
func (c *Conn) moveUp() error {
	in := &c.input
	class := classAbove(len(in.buf))
	s := c.server.pools[class].Get().(*scratch)
	if err := c.reserve(len(s.in)); err != nil {
		c.server.pools[class].Put(s)
		return err
	}
	copy(s.in, in.buf[:in.have])
	c.dropOwnKeepingOverdraft()
	in.buf = nil
	c.returnScratch()
	c.scratch = s
	c.out.SetBuffer(s.out)
	s.out = nil
	in.buf = s.in
	return nil
}

// dropOwn forgets the connection's own buffer, and with it the right to exceed
// the budget.
func (c *Conn) dropOwn() {
	c.dropOwnKeepingOverdraft()
	c.endOverdraft()
}

func (c *Conn) dropOwnKeepingOverdraft() {
	if !c.input.own {
		return
	}
	size := len(c.input.buf)
	c.input.own, c.input.buf = false, nil
	c.hold(-size)
}

// releaseBuffers ends all use of memory.
func (c *Conn) releaseBuffers() {
	c.input.have = 0
	c.dropOwn()
	c.input.buf = nil
	c.returnScratch()
}

// hold accounts for n more (or fewer) bytes of input buffers, without waiting.
func (c *Conn) hold(n int) {
	c.inputHeld.Add(int64(n))
	c.server.budget.add(int64(n))
}

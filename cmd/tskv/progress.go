package main

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressAfter is how long work has to take to show its progress.
const progressAfter = time.Second

// progress is a bar on a terminal, nothing elsewhere. Any goroutine may call it.
type progress struct {
	what  string
	start time.Time
	out   io.Writer // nil: not a terminal
	mu    sync.Mutex
	bar   *progressbar.ProgressBar
}

func newProgress(out io.Writer, what string) *progress {
	p := &progress{what: what, start: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.out = out
	}
	return p
}

// set shows done bytes of total.
func (p *progress) set(done, total int64) {
	if p.out == nil || total <= 0 || time.Since(p.start) < progressAfter {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(p.what),
			progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	_ = p.bar.Set64(min(done, total)) // a bar that cannot be drawn is no reason to stop
}

// end takes the bar away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

const (
	// progressAfter is how long work has to take to show its progress.
	progressAfter = time.Second
	// progressPeriod is the time between two lines of progress where there is no
	// terminal to draw a bar on.
	progressPeriod = 5 * time.Second
)

// progress shows how far a long command is: a bar on a terminal, else a line from
// time to time. Any goroutine may call it.
type progress struct {
	out   io.Writer
	what  string
	tty   bool
	start time.Time

	mu   sync.Mutex
	bar  *progressbar.ProgressBar // nil without a terminal, and before the first report
	next time.Time                // of the next line
}

func newProgress(out io.Writer, what string) *progress {
	file, ok := out.(*os.File)
	now := time.Now()
	return &progress{out: out, what: what, tty: ok && term.IsTerminal(int(file.Fd())), start: now, next: now.Add(progressPeriod)}
}

// report is told bytes done of a total that may grow.
func (p *progress) report(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case total <= 0 || now.Sub(p.start) < progressAfter:
	case p.tty:
		if p.bar == nil {
			p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(p.what),
				progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
		}
		p.bar.ChangeMax64(total)
		_ = p.bar.Set64(min(done, total)) // a bar that cannot be drawn is no reason to stop
	case now.After(p.next):
		p.next = now.Add(progressPeriod)
		_, _ = fmt.Fprintf(p.out, "%s: %s of %s\n", p.what, sizeText(done), sizeText(total))
	}
}

// end removes the bar.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

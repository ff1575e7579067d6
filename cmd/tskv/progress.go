package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressPeriod is the time between two lines of progress where there is no
// terminal to draw a bar on.
const progressPeriod = 5 * time.Second

// progress shows how far a long command is: a bar on a terminal, else a line from
// time to time.
type progress struct {
	out  io.Writer
	what string
	bar  *progressbar.ProgressBar // nil without a terminal, and before the first report
	tty  bool
	next time.Time // of the next line
}

func newProgress(out io.Writer, what string) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, what: what, tty: ok && term.IsTerminal(int(file.Fd())), next: time.Now().Add(progressPeriod)}
}

// report is told bytes done of a total that may grow.
func (p *progress) report(done, total int64) {
	if !p.tty {
		if now := time.Now(); now.After(p.next) {
			p.next = now.Add(progressPeriod)
			_, _ = fmt.Fprintf(p.out, "%s: %s of %s\n", p.what, size(done), size(total))
		}
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(p.what),
			progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(30))
	}
	p.bar.ChangeMax64(total)
	_ = p.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
}

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// size writes bytes for people.
func size(n int64) string {
	unit, value := "B", float64(n)
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		unit, value = u, value/1024
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

package command

import (
	"regexp"
	"strings"
	"testing"
)

func TestCheckpointCommand(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{{"PUT k 1 v", `"1-0"`}})
	got := c.do("CHECKPOINT", "c1")
	if !regexp.MustCompile(`^\["directory" "" "database" "[0-9a-f]{16}" "position" :[1-9][0-9]* "files" :2 "bytes" :[1-9][0-9]*\]$`).MatchString(got) {
		t.Error(got)
	}
	for command, want := range map[string]string{
		"CHECKPOINT":               "-ERR wrong number of arguments for 'checkpoint' command",
		"CHECKPOINT a b":           "-ERR syntax error",
		"CHECKPOINT ../x":          `-ERR checkpoint "../x": use a name of letters`,
		"CHECKPOINT c1":            "-ERR checkpoint c1: file already exists: choose a name that nobody has",
		"CHECKPOINT /nowhere/x":    "-ERR checkpoint /nowhere/x: ",
		"CHECKPOINT REMOVE nobody": "-ERR remove checkpoint nobody: ",
		"CHECKPOINT remove c1":     "+OK",
	} {
		if got := c.line(command); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", command, got)
		}
	}
	if names, err := h.db.Checkpoints(); err != nil || len(names) != 0 {
		t.Errorf("left: %q %v", names, err)
	}
}

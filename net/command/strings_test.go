package command

import "testing"

func TestStrings(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"SET k v", "+OK"},
		{"SET k w NX", "nil"},
		{"SET k w XX", "+OK"},
		{"SET k x GET", `"w"`},
		{"SET k y NX GET", `"x"`},
		{"GET k", `"x"`},
		{"SET none y XX", "nil"},
		{"SET fresh y NX GET", "nil"},
		{"GET fresh", `"y"`},
		{`SET e ""`, "+OK"},
		{"GET e", `""`},
		{"SET e z GET KEEPTTL", `""`},
		{"SET k v EX", "-ERR syntax error"},
		{"SET k v NX XX", "-ERR syntax error"},
		{"SET k", "-ERR wrong number of arguments for 'set' command"},
		{`SET "" v`, "-ERR a key has 1 to 65535 bytes"},
		{"SETNX k v", ":0"},
		{"SETNX n v", ":1"},
		{"GETSET n w", `"v"`},
		{"GETSET o w", "nil"},
		{"MSET a 1 b 2 a 3", "+OK"},
		{"MGET a none b", `["3" nil "2"]`},
		{"MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"},
		{"STRLEN k", ":1"},
		{"STRLEN missing", ":0"},
		{"APPEND l ab", ":2"},
		{"APPEND l cd", ":4"},
		{"GETRANGE l 1 2", `"bc"`},
		{"GETRANGE l -2 -1", `"cd"`},
		{"GETRANGE l 0 -1", `"abcd"`},
		{"GETRANGE l 3 1", `""`},
		{"GETRANGE l -1 -3", `""`},
		{"GETRANGE l 0 100", `"abcd"`},
		{"GETRANGE missing 0 -1", `""`},
		{"GETRANGE l x 1", "-ERR value is not an integer or out of range"},
		{"COUNT l", ":2"},
	})
}

func TestNumbers(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"INCR n", ":1"},
		{"INCRBY n 41", ":42"},
		{"DECR n", ":41"},
		{"DECRBY n -9", ":50"},
		{"GET n", `"50"`},
		{"COUNT n", ":4"},
		{"INCRBY n x", "-ERR value is not an integer or out of range"},
		{"INCRBY n 1.5", "-ERR value is not an integer or out of range"},
		{"SET n 9223372036854775806", "+OK"},
		{"INCR n", ":9223372036854775807"},
		{"INCR n", "-ERR increment or decrement would overflow"},
		{"DECRBY n -9223372036854775808", "-ERR decrement would overflow"},
		{"SET n 007", "+OK"},
		{"INCR n", "-ERR value is not an integer or out of range"},
		{"SET n 10.50", "+OK"},
		{"INCRBYFLOAT long .5", `"0.5"`},
		{"INCRBYFLOAT n 0.1", `"10.6"`},
		{"INCRBYFLOAT n -5.6", `"5"`},
		{"INCRBYFLOAT n 5.0e3", `"5005"`},
		{"INCRBYFLOAT n 200.25", `"5205.25"`},
		{"INCRBYFLOAT n abc", "-ERR value is not a valid float"},
		{"INCRBYFLOAT n 1e999999999", "-ERR value is not a valid float"},
		{"INCRBYFLOAT n inf", "-ERR increment would produce NaN or Infinity"},
		{"SET n 3.0e3", "+OK"},
		{"INCRBYFLOAT n 200", `"3200"`},
		{"SET n hello", "+OK"},
		{"INCRBYFLOAT n 1", "-ERR value is not a valid float"},
		{"INCRBYFLOAT new 3", `"3"`},
	})
}

func TestParseInt(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "-1": true, "9223372036854775807": true, "-9223372036854775808": true, "10": true,
		"": false, "-": false, "+1": false, "01": false, "-0": false, " 1": false, "1 ": false, "9223372036854775808": false,
		"1_0": false, "0x1": false, "--1": false, "-+1": false,
	} {
		if _, ok := parseInt([]byte(text)); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}

// TestLongNumbers goes on from the longest sums that INCRBYFLOAT writes.
func TestLongNumbers(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	for _, delta := range []string{"1e4931", "0.5", "-1e4931"} {
		if got := c.line("INCRBYFLOAT n " + delta); got[0] == '-' {
			t.Errorf("%s: %s", delta, got)
		}
	}
}

package command

import "testing"

func TestRetain(t *testing.T) {
	h := newHost(t, Options{})
	c := h.dial(t)
	c.want([][2]string{
		{"RETAIN", "[]"},
		{"RETAIN k", "nil"},
		{"RETAIN logs.* AGE 1h", "+OK"},
		{"RETAIN logs.web.* RECORDS 3 BYTES 1000", "+OK"},
		{"RETAIN logs.web.a age 1d", "+OK"},
		{"RETAIN logs.x", `["pattern" "logs.*" "age_ms" :3600000 "bytes" :0 "records" :0]`},
		{"RETAIN logs.web.b", `["pattern" "logs.web.*" "age_ms" :0 "bytes" :1000 "records" :3]`},
		{"RETAIN logs.web.a", `["pattern" "logs.web.a" "age_ms" :86400000 "bytes" :0 "records" :0]`},
		{"RETAIN logs.web.a*", `["pattern" "logs.web.*" "age_ms" :0 "bytes" :1000 "records" :3]`},
		{"RETAIN log", "nil"},
		{"RETAIN logs.web.a OFF", ":1"},
		{"RETAIN logs.web.a none", ":0"},
		{"RETAIN LIST", `[["pattern" "logs.*" "age_ms" :3600000 "bytes" :0 "records" :0] ["pattern" "logs.web.*" "age_ms" :0 "bytes" :1000 "records" :3]]`},
		{"RETAIN logs.* AGE", "-ERR syntax error"},
		{"RETAIN logs.* AGE 0s", "-" + string(errAge)},
		{"RETAIN logs.* AGE x", "-" + string(errAge)},
		{"RETAIN logs.* AGE 1h AGE 2h", "-ERR syntax error"},
		{"RETAIN logs.* RECORDS 0", "-ERR value is out of range, must be positive"},
		{"RETAIN logs.* BYTES -1", "-ERR value is not an integer or out of range"},
		{"RETAIN logs.* FOO 1", "-ERR syntax error"},
		{"RETAIN logs.** AGE 1h", "-" + string(errOnePlace)},
		{`RETAIN ""`, "-ERR a key has 1 to 65535 bytes"},
	})
	// Reads hide at once and exactly what is too old or one too many.
	c.want([][2]string{
		{"PUT logs.x now-1h edge", `"1704161045678-0"`},
		{"PUT logs.x 1704161045677 old", `"1704161045677-0"`},
		{"COUNT logs.x", ":1"},
		{"GET logs.x", `"edge"`},
		{"GET logs.x AT 1704161045677", "nil"},
		{"PUT logs.x 1704161045677 old NX", `"1704161045677-0"`},
		{"RETAIN logs.* OFF", ":1"},
		{"COUNT logs.x", ":2"},
		{"RETAIN logs.* AGE 1h", "+OK"},
	})
	h.now.Add(1)
	c.want([][2]string{
		{"GET logs.x", "nil"},
		{"SCAN logs.x - +", `["0" []]`},
		{"EXISTS logs.x", ":1"},
		{"MPUT logs.web.b 1 a logs.web.b 2 b logs.web.b 3 c logs.web.b 4 d", `["1-0" "2-0" "3-0" "4-0"]`},
		{"SCAN logs.web.b - +", `["0" [["2-0" "b"] ["3-0" "c"] ["4-0" "d"]]]`},
		{"GET logs.web.b AT 1", "nil"},
		{"SCAN logs.web.b - + REV OFFSET 2", `["0" [["2-0" "b"]]]`},
		{"DELRANGE logs.web.b 3 +", ":2"},
		{"SCAN logs.web.b - +", `["0" [["2-0" "b"]]]`},
		{"DELRANGE logs.web.b - +", ":1"},
		{"COUNT logs.web.b", ":0"},
	})
}

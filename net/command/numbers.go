package command

import (
	"bytes"
	"math"
	"math/big"
	"strconv"
	"strings"

	"tskv/engine"
	"tskv/kv"
)

func (s *session) incr(args [][]byte) error { return s.addInt(args, 1) }
func (s *session) decr(args [][]byte) error { return s.addInt(args, -1) }

func (s *session) incrBy(args [][]byte) error {
	n, ok := parseInt(args[2])
	if !ok {
		return errInteger
	}
	return s.addInt(args, n)
}

func (s *session) decrBy(args [][]byte) error {
	n, ok := parseInt(args[2])
	if !ok {
		return errInteger
	}
	if n == math.MinInt64 {
		return reply("ERR decrement would overflow")
	}
	return s.addInt(args, -n)
}

func (s *session) addInt(args [][]byte, delta int64) error {
	if err := checkKey(args[1]); err != nil {
		return err
	}
	s.queueUpdate(args, func(tx *engine.Tx, q *queued) error { return addInt(tx, q, delta) }, replyNumber, args[1])
	return nil
}

func addInt(tx *engine.Tx, q *queued, delta int64) error {
	key := q.args[1]
	rec, found, err := tx.Newest(key, kv.MaxID)
	if err != nil {
		return err
	}
	n, ok := int64(0), true
	if found {
		n, ok = parseInt(rec.Value)
	}
	switch {
	case !ok:
		return errInteger
	case delta > 0 && n > math.MaxInt64-delta, delta < 0 && n < math.MinInt64-delta:
		return errOverflow
	}
	q.n = n + delta
	return setNow(tx, key, strconv.AppendInt(nil, q.n, 10))
}

// INCRBYFLOAT calculates like Redis on x86: with a mantissa of 64 bits, and 17
// digits behind the point in the result.
const (
	floatBits     = 64
	floatDigits   = 17
	maxFloatText  = 5 << 10 // as in Redis; the longest result has 4,951 bytes
	maxFloatPower = 4932
)

func (s *session) incrByFloat(args [][]byte) error {
	if err := checkKey(args[1]); err != nil {
		return err
	}
	delta, ok := parseFloat(args[2])
	if !ok {
		return errFloat
	}
	s.queueUpdate(args, func(tx *engine.Tx, q *queued) error { return addFloat(tx, q, delta) }, replyValue, args[1])
	return nil
}

func addFloat(tx *engine.Tx, q *queued, delta *big.Float) error {
	key := q.args[1]
	rec, found, err := tx.Newest(key, kv.MaxID)
	if err != nil {
		return err
	}
	sum := new(big.Float).SetPrec(floatBits)
	if found {
		value, ok := parseFloat(rec.Value)
		if !ok {
			return errFloat
		}
		sum = value
	}
	if sum.IsInf() || delta.IsInf() {
		return errInfinity
	}
	sum.Add(sum, delta)
	if sum.MantExp(nil) > 16384 {
		return errInfinity
	}
	q.value = formatFloat(sum)
	return setNow(tx, key, q.value)
}

// parseFloat reads decimal text with an optional exponent, or an infinity.
func parseFloat(text []byte) (*big.Float, bool) {
	if len(text) == 0 || len(text) > maxFloatText {
		return nil, false
	}
	body := string(bytes.ToLower(text))
	unsigned := strings.TrimLeft(body, "+-")
	if len(body)-len(unsigned) > 1 {
		return nil, false
	}
	if unsigned == "inf" || unsigned == "infinity" {
		return new(big.Float).SetInf(body[0] == '-'), true
	}
	if strings.Trim(unsigned, "0123456789.e+-") != "" || unsigned == "" {
		return nil, false
	}
	if _, power, exponent := strings.Cut(unsigned, "e"); exponent {
		if n, err := strconv.Atoi(power); err != nil || n > maxFloatPower || n < -maxFloatPower {
			return nil, false
		}
	}
	f, _, err := big.ParseFloat(body, 10, floatBits, big.ToNearestEven)
	return f, err == nil
}

// formatFloat writes plain digits without trailing zeros.
func formatFloat(f *big.Float) []byte {
	text := f.Text('f', floatDigits)
	text = strings.TrimRight(text, "0")
	text = strings.TrimSuffix(text, ".")
	if text == "-0" {
		text = "0"
	}
	return []byte(text)
}

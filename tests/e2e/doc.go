// Package e2e tests the real binary as a stranger meets it: a process, a socket
// and ordinary clients (go-redis, redis-cli, HTTP), and what strangers do to it.
//
// It refuses to know the rooms behind the socket. Tests that need a tool which is
// not installed skip and say so. Longer runs are asked for by the environment:
// TSKV_SERIES (a directory of CSV files to load), TSKV_ROWS (rows of the long
// reply), TSKV_IDLE (idle connections), TSKV_CALLS
// (kills at each of the first calls), TSKV_SEED (seed of random choices).
package e2e

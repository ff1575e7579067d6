// Package chaos kills the server with SIGKILL under load, again and again, and
// checks every answer that it ever gave against a ledger kept outside of it.
//
// The load and the ledger live in the test process; the server is another
// process. The ledger knows nothing but RESP: what was asked and what was
// answered. TSKV_KILLS sets the number of kills, TSKV_SEED the seed of a run.
//
// Where root may mount loop devices it also takes the power away from a real file
// system under the server; TSKV_CUTS sets how often.
package chaos

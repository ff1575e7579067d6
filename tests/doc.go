// Package tests holds what looks at the whole house: the allowed arrows between
// rooms and the tidiness rules. Its folders hold what needs the built binary or
// minutes: e2e and chaos.
package tests

// Package kill shows that the tests notice a broken promise. It seeds a known bug
// into the product code, one at a time, and runs the checks that should fail, from
// the cheapest on. `make kill` runs it; other test runs leave it out, by the build
// tag kill.
package kill

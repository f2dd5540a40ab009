//go:build tools

// Package tools names the transfer command that benchmarks compare with.
package tools

import _ "github.com/peak/s5cmd/v2"

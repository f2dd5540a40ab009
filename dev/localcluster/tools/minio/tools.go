//go:build tools

// Package tools names the object store server that tests use.
package tools

import _ "github.com/minio/minio"

//go:build tools

// Package tools names the chart installer that tests use.
package tools

import _ "helm.sh/helm/v3/cmd/helm"

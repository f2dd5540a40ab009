"""A real single-node Kubernetes cluster on a bare Debian machine, for tests and the demo."""

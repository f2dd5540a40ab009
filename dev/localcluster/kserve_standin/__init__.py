"""A stand-in for KServe, whose controller is in no package registry: our own minimal CRDs and a small controller.

It does with an InferenceService in Standard mode what KServe v0.20.0 was seen to do: a Deployment and a Service named
`<name>-predictor`, labels and annotations copied, the ClusterServingRuntime's container merged with the model's, the
ClusterStorageContainer as init container `storage-initializer` with (uri, /mnt/models), conditions from the Deployment.

It is not KServe: no webhooks (so nothing is refused or defaulted, and the init container stands in the Deployment
instead of being injected into pods), no finalizer, no Knative, no Ingress, no autoscaler, and nothing but
`predictor.model` is understood.
docs/kserve.md says when the same tests last ran against the real controller.
"""

MARK = "modelyard.dev/stand-in"
"""Annotation on the CRDs by which the stand-in is told from the real thing."""

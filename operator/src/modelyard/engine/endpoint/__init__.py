"""The TLS endpoint of run pods: progress comes in, short-lived store credentials go out.

A pod says who it is with a projected service account token; nothing that it sends proves success.
"""

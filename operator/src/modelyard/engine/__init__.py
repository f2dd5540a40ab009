"""The shell: watches, queue, observe, apply. The five files of a reconcile: handlers, queue, loop, observe, apply."""

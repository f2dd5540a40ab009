"""The shell: watches, queue, observe, apply. The five files of each pass: handlers, queue, loop, observe, apply."""

"""The demo: the main job end to end, on the embedded cluster or on one of the user's."""

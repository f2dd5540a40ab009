"""Text generation: conversations, and texts that go on."""

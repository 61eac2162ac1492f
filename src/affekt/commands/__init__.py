"""What people type, a file a command: words to one library call, and what they read of it."""

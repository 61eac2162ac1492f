"""Find speech in a recording, and measure the recording's quality."""

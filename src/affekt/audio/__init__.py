"""Read audio files, streams and microphones into arrays, and cut windows."""

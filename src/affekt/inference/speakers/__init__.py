"""Tell several speakers of a recording apart, and recognize each."""

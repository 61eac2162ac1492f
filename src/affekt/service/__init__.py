"""Serve predictions over HTTP and WebSocket, and a web page for live speech."""

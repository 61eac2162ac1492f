"""Predictions over HTTP and WebSocket, and the page that shows a voice while it speaks."""

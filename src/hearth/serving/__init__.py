"""The policy behind the official websocket protocol: wire format, server and client."""

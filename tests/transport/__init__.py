"""The way upstream, tried with raw sockets: what is sent, what is understood, what becomes of the connection."""

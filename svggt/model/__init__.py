"""The network and its memory: torch only, stateless, no knowledge of sessions or pictures."""

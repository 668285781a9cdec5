"""The line: from a folder of photos in the inbox to a finished shoot in the outbox."""

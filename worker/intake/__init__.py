"""From files in the inbox to jobs on the queue."""

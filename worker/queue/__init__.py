"""Celery on Redis: messages, leases, and the broker that comes with the program."""

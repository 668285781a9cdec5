"""The finishing room: a photo and its mask become a picture on the dealer's backdrop.

Pure picture work on numpy arrays. Knows nothing of queues, networks or the outbox.
"""

"""Between buckets and this machine's folders: photos and corrected masks come, finished shoots go.

The line knows folders only. What is still to be carried is told by the two sides, and by nothing
that a crash could lose.
"""

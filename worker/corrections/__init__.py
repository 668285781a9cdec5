"""Masks that people have corrected: the folder they are dropped in, what is wrong with one, and the
labelled pictures that they become."""

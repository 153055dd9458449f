"""Runs a pytest suite in forked sandboxes: collected once, run in many, reported as one.

``parent`` collects in the template, ``worker`` runs items in a fork of it, ``controller`` hands
items out and replays the reports through pytest's own reporters. Standard library and the
project's pytest only; Python 3.8 and later.
"""

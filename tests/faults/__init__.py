"""Faults planted into the package one at a time: each has to be caught by a test of ours.

python -m tests.faults            # which test catches which fault
"""

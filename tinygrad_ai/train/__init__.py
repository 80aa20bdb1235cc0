"""Whole training programs: the loop, its run folder, and what continues an interrupted run."""

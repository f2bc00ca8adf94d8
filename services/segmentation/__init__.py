"""Segmentation: who is in which audience, as things happen and as time passes.

Owns audience definitions, membership and the event history that they are decided from, each a
function of the facts log; asks identity who an identifier is. Invariants: a transition is written
once, in the order in which log time made it true; members are complete from an audience's first
answer; no reader sees an audience ahead of one that it is built on.
"""

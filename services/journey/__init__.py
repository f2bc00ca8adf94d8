"""Walks people through journeys: who is at which step, until when, and what is to be sent.

Owns journey definitions, instances and their timers (`journey.db`). Calls identity, to find a
person; profile and segmentation, for what rules may say and to save their conditions; messaging,
for the templates that a journey names.

Invariants: an instance stays on the version that it entered; of one person, journey and key at most
one is live; what is at which step is a function of facts and transitions, read in one order; an
intent is in the log once.
"""

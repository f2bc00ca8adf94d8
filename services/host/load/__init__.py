"""`coterie load`: drives the API at a stated rate, open loop, and measures what comes back.

Every request is a function of the seed, so that two deployments or two versions get the same.
"""

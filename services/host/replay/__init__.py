"""Plays old data at full speed through the API, into a directory whose log time is the data's.

Sources give inputs in time order (`mapped`, `completejourney`), `sender` streams them with bounded
batches in flight, `run` is the whole session, `report` says what happened.
"""

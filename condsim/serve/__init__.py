"""Serving: requests that arrive as they please, batches whose members come and go.

A queue of requests runs through replicas of a model. What a step costs is condsim's own prediction
of that step (`condsim.serve.prices`); who runs in it is said by a scheduler
(`condsim.serve.schedulers`), who leaves it early by a policy of exits (`condsim.serve.exits`).
"""

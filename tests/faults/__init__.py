"""Faults on command, for tests that ask what remains when everything that can fail does.

postgres.py    a PostgreSQL on a fixed port: kill, freeze, immediate restart, fill its disk
valkey.py      a Valkey on a fixed port: kill, freeze, empty, set back to an older snapshot
proxy.py       a TCP proxy in front of anything: partition, delay, cut, and lose the reply of a chosen request
dialects.py    what a proxy recognises: a script of the plane, a statement of the ledger, a route of the gateway
processes.py   kill, freeze and thaw a process of ours
ports.py       where a server that goes down finds its port free again
clock.py       a child whose wall clock is wrong
fleet.py       processes of dayshift with ways of their own to the engines, for all of this to hit
"""

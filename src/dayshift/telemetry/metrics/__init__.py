"""Metrics: counted per process on a board in shared memory, added up by whoever is asked for them.

To read: table (which metrics there are), board (where a process counts), counting (which event counts what), folder
(the boards of a machine, living and dead), exposition (as Prometheus reads it).
"""

"""maintenance/: the loops that repair and clean. Any number of processes may run them at the same time.

Front door: `await maintenance.run(services, stop)`.
"""

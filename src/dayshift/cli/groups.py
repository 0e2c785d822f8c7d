"""How `dayshift --help` sorts the commands."""

from cyclopts import Group

WORK = Group("Work with tasks", sort_key=2)
OPERATION = Group("Operation", sort_key=3)

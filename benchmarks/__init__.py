"""One question a file. Each prints one JSON object: the question, the answer, the floor measured in the same run, and
the ratio; absolute figures hold for the machine they were measured on, ratios are what to compare.
"""

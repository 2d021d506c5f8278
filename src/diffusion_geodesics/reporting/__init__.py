"""One kind of report: a page and a folder of files, from plain data.

A job turns its result into a `Report`, which `writer.write` writes into a folder. Nothing here
knows about models or jobs, but for `jobs` and `save`. Colours are in [0, 1].
"""

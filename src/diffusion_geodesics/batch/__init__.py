"""Many pairs: resumable batches on one machine, on SLURM, on Ray.

Truth is on disk and an engine only computes. A batch is a folder:

- ``manifest.jsonl``: what is to be done, written once (`manifest`);
- ``pairs/KEY/``: a finished pair; that the folder exists is the only mark of being done
  (`pair_store`);
- ``failed/KEY.json``: a pair that was written off, with the reason;
- ``claims/``: which process works on which pair, and how often it was tried (`claims`);
- ``work/``: what is being written.

A pair may be computed more than once; it is delivered exactly once.
"""

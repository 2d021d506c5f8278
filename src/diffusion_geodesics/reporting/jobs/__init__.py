"""Reports of the results of jobs, a file a job."""

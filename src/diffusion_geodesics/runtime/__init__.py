"""What every job runs on: progress, time and cost; settings; storage. Imports no tensor library."""

#!/bin/bash
# What cron runs: the pipeline, then the report; everything goes to the journal, journalctl -t museum-pipeline.
# An end that somebody should look at (not 0 clean, 3 rejects, 4 another run at work) is told to alert.sh.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
exec > >(logger -t museum-pipeline) 2>&1

.venv/bin/python pipeline.py --push --max-rejects 1000 --log-level WARNING
code=$?
case $code in
    0 | 3 | 4) ;;
    *) terraform_db/machine/alert.sh "the pipeline ended with $code" ;;
esac
.venv/bin/python -m dashboard --export report.html --log-level WARNING ||
    terraform_db/machine/alert.sh "the report could not be written"
exit $code

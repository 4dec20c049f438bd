#!/bin/bash
# What museum-pipeline.service runs: the pipeline, then the report; all that is said is in journalctl -t museum-pipeline.
# Somebody is told of an end that is not 0 clean, 3 rejects or 4 another run at work, and when nothing has succeeded for hours.
set -uo pipefail
cd /opt/museum || exit 2
alert=/opt/museum/terraform_db/machine/alert.sh
succeeded=/var/lib/museum/last_success

exec 9</etc/museum/lock
flock -s 9 # a set-up is under way: wait for its end
timeout --kill-after=60 2h .venv/bin/python pipeline.py --push --max-rejects 1000 --log-level WARNING
code=$?
case $code in
    0 | 3) touch "$succeeded" ;;
    4) [ -z "$(find "$succeeded" -mmin +180)" ] || "$alert" --once pipeline "no load has succeeded for three hours" ;;
    *) "$alert" "the pipeline ended with $code" ;;
esac
.venv/bin/python -m dashboard --export /var/lib/museum/report.html --log-level WARNING
case $? in
    0) ;;
    3) "$alert" --once report "the report lacks a chart" ;;
    *) "$alert" --once report "the report could not be written" ;;
esac
exit $code

#!/bin/bash
# alert.sh [--once KEY] TEXT: tells the journal, and the alarm topic that /etc/museum/alert names; with --once at most one
# message an hour for each key. The unit museum-alert@NAME tells by it that NAME.service ended badly.
set -euo pipefail
ALERT_TOPIC_ARN="" AWS_REGION="" MUSEUM_DATA=/var/lib/museum
if [ -e /etc/museum/alert ]; then
    # shellcheck source=/dev/null
    . /etc/museum/alert
fi
key=""
if [ "$1" = --once ]; then
    key=$2 && shift 2
fi
text="$(hostname): $*"
logger -p user.err -t museum-alert "$text"
if [ -n "$key" ]; then
    stamp="$MUSEUM_DATA/.told-$key"
    [ -z "$(find "$stamp" -mmin -60 2>/dev/null)" ] || exit 0
    touch "$stamp"
fi
if [ -n "$ALERT_TOPIC_ARN" ]; then
    aws sns publish --region "$AWS_REGION" --topic-arn "$ALERT_TOPIC_ARN" --subject museum --message "$text"
fi

#!/bin/bash
# alert.sh TEXT: tells the journal, and the alarm topic where .alert names one.
set -euo pipefail
cd "$(dirname "$0")/../.."
ALERT_TOPIC_ARN=""
AWS_REGION=""
if [ -e .alert ]; then
    # shellcheck source=/dev/null
    . ./.alert
fi
text="$(hostname): $*"
logger -p user.err -t museum-alert "$text"
if [ -n "$ALERT_TOPIC_ARN" ]; then
    aws sns publish --region "$AWS_REGION" --topic-arn "$ALERT_TOPIC_ARN" --subject "museum" --message "$text"
fi

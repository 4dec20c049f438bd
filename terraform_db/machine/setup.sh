#!/bin/bash
# Sets the machine up, as root on Amazon Linux 2023. Again it is the upgrade, and it finishes what was broken off.
# The settings come from the Parameter Store (machine.tf writes them there); what the environment says wins over them:
#     sudo REPOSITORY_REF=0123456789abcdef0123456789abcdef01234567 /opt/museum/terraform_db/machine/setup.sh
# Code and settings belong to root; what the programs write lies in /var/lib/museum and belongs to their user.
set -Eeuo pipefail

: "${MUSEUM_HOME:=/opt/museum}" "${MUSEUM_DATA:=/var/lib/museum}" "${MUSEUM_CONF:=/etc/museum}" "${MUSEUM_USER:=museum}"
: "${UNIT_DIR:=/etc/systemd/system}" "${CRON_DIR:=/etc/cron.d}" "${COMMAND_DIR:=/usr/local/bin}"
: "${PYTHON:=python3.11}" "${DB_PORT:=5432}" "${HOME:=/root}" "${LOGIN_TRIES:=240}"
export HOME MUSEUM_HOME MUSEUM_DATA MUSEUM_CONF MUSEUM_USER DB_PORT

say() { echo "museum set-up: $*"; }

tell() { # tells the alarm topic, where there is one; what stands in the log is told by whoever reads it
    say "$*"
    if [ -n "${ALERT_TOPIC_ARN:-}" ]; then
        aws sns publish --region "${AWS_REGION:-}" --topic-arn "$ALERT_TOPIC_ARN" --subject "museum set-up" --message "$*" || true
    fi
}
trap 'tell "the set-up of $(hostname) failed in line $LINENO; run it again when it is mended"' ERR

read_settings() { # from this machine's last time, then from the Parameter Store, then what was given
    local given name value
    given="$(mktemp)"
    for name in "${SETTINGS[@]}" SETTINGS_PARAMETER AWS_REGION; do
        [ -z "${!name+is set}" ] || printf '%s=%q\n' "$name" "${!name}" >>"$given"
    done
    # shellcheck source=/dev/null
    [ ! -e "$MUSEUM_CONF/source" ] || . "$MUSEUM_CONF/source"
    # shellcheck source=/dev/null
    . "$given"
    if [ -n "${SETTINGS_PARAMETER:-}" ]; then
        while IFS='=' read -r name value; do
            printf -v "$name" %s "$value"
        done < <(aws ssm get-parameter --region "$AWS_REGION" --name "$SETTINGS_PARAMETER" --with-decryption \
            --query Parameter.Value --output text)
    fi
    # shellcheck source=/dev/null
    . "$given"
    rm "$given"
    for name in "${SETTINGS[@]}"; do
        export "$name=${!name:-}"
    done
    : "${REPOSITORY_URL:?where to clone the suite from}" "${DB_HOST:?}" "${DB_NAME:?}" "${LOGINS_SECRET_ID:?}"
    if ! [[ $REPOSITORY_REF =~ ^[0-9a-f]{40}$ ]]; then
        tell "REPOSITORY_REF is '$REPOSITORY_REF', expected the full hash of a commit (git rev-parse v1.2.3^{commit} prints" \
            "that of a tag): branches and tags can be moved to other code. Nothing was touched."
        exit 2
    fi
    install -d -m 0755 "$MUSEUM_CONF"
    install -m 0600 /dev/null "$MUSEUM_CONF/source"
    printf 'SETTINGS_PARAMETER=%q\nAWS_REGION=%q\n' "${SETTINGS_PARAMETER:-}" "${AWS_REGION:-}" >"$MUSEUM_CONF/source"
    printf "ALERT_TOPIC_ARN='%s'\nAWS_REGION='%s'\nMUSEUM_DATA='%s'\n" "$ALERT_TOPIC_ARN" "${AWS_REGION:-}" "$MUSEUM_DATA" \
        >"$MUSEUM_CONF/alert"
}
SETTINGS=(REPOSITORY_URL REPOSITORY_REF DB_HOST DB_NAME LOGINS_SECRET_ID MUSEUM_BUCKET MUSEUM_KEY_PREFIX MUSEUM_NAME
    MUSEUM_TIMEZONE MUSEUM_OPENING_TIME MUSEUM_CLOSING_TIME BOOTSTRAP_SERVERS SECURITY_PROTOCOL SASL_MECHANISM KAFKA_TOPIC
    KAFKA_SECRET_ID ALERT_TOPIC_ARN)

read_secret() { aws secretsmanager get-secret-value --region "${AWS_REGION:-}" --secret-id "$1" --query SecretString --output text; }

install_packages() {
    say "packages"
    dnf install -y -q git cronie "$PYTHON" "$PYTHON-pip"
    systemctl enable --now crond
}

fetch_suite() {
    say "the suite at $REPOSITORY_REF"
    id "$MUSEUM_USER" >/dev/null 2>&1 || useradd --system --home-dir "$MUSEUM_DATA" --shell /sbin/nologin "$MUSEUM_USER"
    install -d -m 0755 "$MUSEUM_HOME"
    install -d -m 0750 -o "$MUSEUM_USER" "$MUSEUM_DATA"
    [ -d "$MUSEUM_HOME/.git" ] || git clone -q "$REPOSITORY_URL" "$MUSEUM_HOME"
    git -C "$MUSEUM_HOME" fetch -q --tags --force origin
    git -C "$MUSEUM_HOME" checkout -q --detach "$REPOSITORY_REF^{commit}"
    [ "$(git -C "$MUSEUM_HOME" rev-parse HEAD)" = "$REPOSITORY_REF" ]
    if [ -z "${SETUP_IS_CURRENT:-}" ]; then # the version that was fetched sets itself up
        SETUP_IS_CURRENT=1 exec "$MUSEUM_HOME/terraform_db/machine/setup.sh"
    fi
    "$MUSEUM_HOME/.venv/bin/python" -m pip --version >/dev/null 2>&1 || "$PYTHON" -m venv --clear "$MUSEUM_HOME/.venv"
    (cd "$MUSEUM_HOME" && .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt -c constraints.txt)
}

write_settings() { # .env, with the passwords that prepare_database.py made; the first set-up waits for them
    say "settings"
    export DB_SSLROOTCERT="$MUSEUM_CONF/rds-ca.pem"
    "$MUSEUM_HOME/terraform_db/fetch_rds_ca.sh" "$DB_SSLROOTCERT"
    local logins kafka="{}" tries=0
    until logins="$(read_secret "$LOGINS_SECRET_ID")"; do
        [ $tries -gt 0 ] || tell "waiting for the database's logins: run terraform_db/prepare_database.py where terraform ran"
        [ $((tries += 1)) -lt "$LOGIN_TRIES" ] # else the set-up has failed
        sleep 30
    done
    if [ -n "$BOOTSTRAP_SERVERS" ] && [ -n "$KAFKA_SECRET_ID" ]; then
        kafka="$(read_secret "$KAFKA_SECRET_ID")"
    fi
    "$MUSEUM_HOME/.venv/bin/python" "$MUSEUM_HOME/terraform_db/machine/write_settings.py" "$MUSEUM_HOME/.env" \
        <<<"{\"logins\": $logins, \"kafka\": $kafka}"
    chown "root:$(id -gn "$MUSEUM_USER")" "$MUSEUM_HOME/.env"
}

install_units() {
    say "commands, cron and systemd"
    local source="$MUSEUM_HOME/terraform_db/machine" name
    local places=(-e "s|/opt/museum|$MUSEUM_HOME|g" -e "s|/var/lib/museum|$MUSEUM_DATA|g" -e "s|/etc/museum|$MUSEUM_CONF|g")
    sed "${places[@]}" -e "s|-u museum |-u $MUSEUM_USER |" "$source/museum" >"$COMMAND_DIR/museum"
    chmod 0755 "$COMMAND_DIR/museum"
    for name in "$source"/museum-*.service; do
        sed "${places[@]}" -e "s|^User=museum$|User=$MUSEUM_USER|" "$name" >"$UNIT_DIR/${name##*/}"
    done
    cp "$source/museum.cron" "$CRON_DIR/museum"
    chmod 0644 "$UNIT_DIR"/museum-*.service "$CRON_DIR/museum" "$MUSEUM_CONF/alert"
    systemctl daemon-reload
    systemctl start --no-block museum-pipeline.service # it waits for the end of this set-up
    systemctl enable museum-dashboard.service
    systemctl restart museum-dashboard.service
    if [ -n "$BOOTSTRAP_SERVERS" ]; then
        systemctl enable museum-consumer.service
        systemctl restart museum-consumer.service
    else
        systemctl disable --now museum-consumer.service || true
    fi
}

read_settings
exec 9>"$MUSEUM_CONF/lock" # cron's runs wait meanwhile, and a set-up waits for the run under way
flock -w 3600 9
install_packages
systemctl stop museum-consumer.service 2>/dev/null || true # it finishes its batch; messages wait in Kafka
fetch_suite
write_settings
install_units
say "done"

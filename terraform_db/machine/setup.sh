#!/bin/bash
# Sets the machine up, as root on Amazon Linux 2023. Again it is the upgrade, and it finishes what was broken off.
# The settings come from the Parameter Store (machine.tf writes them there); what the environment says wins over them:
#     sudo REPOSITORY_REF=v1.2.3 /opt/museum/terraform_db/machine/setup.sh
# Code and settings belong to root; what the programs write lies in /var/lib/museum and belongs to their user.
set -Eeuo pipefail

: "${MUSEUM_HOME:=/opt/museum}" "${MUSEUM_DATA:=/var/lib/museum}" "${MUSEUM_CONF:=/etc/museum}" "${MUSEUM_USER:=museum}"
: "${UNIT_DIR:=/etc/systemd/system}" "${CRON_DIR:=/etc/cron.d}" "${COMMAND_DIR:=/usr/local/bin}"
: "${PYTHON:=python3.11}" "${DB_PORT:=5432}" "${HOME:=/root}"
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
    : "${REPOSITORY_URL:?where to clone the suite from}" "${DB_HOST:?}" "${DB_NAME:?}" "${OWNER_SECRET_ID:?}"
    install -d -m 0755 "$MUSEUM_CONF"
    install -m 0600 /dev/null "$MUSEUM_CONF/source"
    printf 'SETTINGS_PARAMETER=%q\nAWS_REGION=%q\n' "${SETTINGS_PARAMETER:-}" "${AWS_REGION:-}" >"$MUSEUM_CONF/source"
    printf "ALERT_TOPIC_ARN='%s'\nAWS_REGION='%s'\nMUSEUM_DATA='%s'\n" "$ALERT_TOPIC_ARN" "${AWS_REGION:-}" "$MUSEUM_DATA" \
        >"$MUSEUM_CONF/alert"
}
SETTINGS=(REPOSITORY_URL REPOSITORY_REF DB_HOST DB_NAME OWNER_SECRET_ID MUSEUM_BUCKET MUSEUM_KEY_PREFIX MUSEUM_NAME
    MUSEUM_TIMEZONE MUSEUM_OPENING_TIME MUSEUM_CLOSING_TIME BOOTSTRAP_SERVERS SECURITY_PROTOCOL SASL_MECHANISM KAFKA_TOPIC
    KAFKA_SECRET_ID ALERT_TOPIC_ARN)

as_owner() { # runs the suite's Python as its user, on the database as the owner, whose secret this machine may read
    local own=(-u MUSEUM_HOME -u MUSEUM_DATA -u MUSEUM_CONF -u MUSEUM_USER -u KAFKA_SECRET_ID) # no settings of the programs
    runuser -u "$MUSEUM_USER" -- env "${own[@]}" -C "$MUSEUM_HOME" HOME="$MUSEUM_DATA" DB_HOST="$DB_HOST" DB_PORT="$DB_PORT" \
        DB_NAME="$DB_NAME" DB_SECRET_ID="$OWNER_SECRET_ID" .venv/bin/python "$@"
}

install_packages() {
    say "packages"
    dnf install -y -q git cronie "$PYTHON" "$PYTHON-pip"
    dnf install -y -q postgresql17 || say "no psql here; only museum-psql needs it"
    systemctl enable --now crond
}

fetch_suite() {
    say "the suite at ${REPOSITORY_REF:=main}"
    id "$MUSEUM_USER" >/dev/null 2>&1 || useradd --system --home-dir "$MUSEUM_DATA" --shell /sbin/nologin "$MUSEUM_USER"
    install -d -m 0755 "$MUSEUM_HOME"
    install -d -m 0750 -o "$MUSEUM_USER" "$MUSEUM_DATA"
    [ -d "$MUSEUM_HOME/.git" ] || git clone -q "$REPOSITORY_URL" "$MUSEUM_HOME"
    git -C "$MUSEUM_HOME" fetch -q --tags origin
    git -C "$MUSEUM_HOME" checkout -q "$REPOSITORY_REF"
    if git -C "$MUSEUM_HOME" symbolic-ref -q HEAD >/dev/null; then
        git -C "$MUSEUM_HOME" merge -q --ff-only
    fi
    if [ -z "${SETUP_IS_CURRENT:-}" ]; then # the version that was fetched sets itself up
        SETUP_IS_CURRENT=1 exec "$MUSEUM_HOME/terraform_db/machine/setup.sh"
    fi
    "$MUSEUM_HOME/.venv/bin/python" -m pip --version >/dev/null 2>&1 || "$PYTHON" -m venv --clear "$MUSEUM_HOME/.venv"
    (cd "$MUSEUM_HOME" && .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt -c constraints.txt)
}

write_settings() { # .env: new passwords only where there are none
    say "settings"
    local secret="{}"
    if [ -n "$BOOTSTRAP_SERVERS" ] && [ -n "$KAFKA_SECRET_ID" ]; then
        secret="$(aws secretsmanager get-secret-value --region "${AWS_REGION:-}" --secret-id "$KAFKA_SECRET_ID" \
            --query SecretString --output text)"
    fi
    "$MUSEUM_HOME/.venv/bin/python" "$MUSEUM_HOME/terraform_db/machine/write_settings.py" "$MUSEUM_HOME/.env" <<<"$secret"
    chown "root:$(id -gn "$MUSEUM_USER")" "$MUSEUM_HOME/.env"
}

prepare_database() {
    say "schema, roles and logins"
    as_owner load.py --apply-schema
    as_owner load.py --apply-roles
    local role setting login
    for role in loader:DB_PASSWORD:museum_pipeline reader:MUSEUM_READER_PASSWORD:museum_dashboard; do
        IFS=: read -r role setting login <<<"$role"
        sed -n "s/^$setting='\(.*\)'$/\1/p" "$MUSEUM_HOME/.env" | as_owner -m museum.login --role "$role" "$login"
    done
}

install_units() {
    say "commands, cron and systemd"
    local source="$MUSEUM_HOME/terraform_db/machine" name
    local places=(-e "s|/opt/museum|$MUSEUM_HOME|g" -e "s|/var/lib/museum|$MUSEUM_DATA|g" -e "s|/etc/museum|$MUSEUM_CONF|g")
    for name in museum museum-owner museum-psql; do
        sed "${places[@]}" -e "s|-u museum |-u $MUSEUM_USER |" "$source/$name" >"$COMMAND_DIR/$name"
        chmod 0755 "$COMMAND_DIR/$name"
    done
    printf "DB_HOST='%s'\nDB_PORT='%s'\nDB_NAME='%s'\nDB_SECRET_ID='%s'\nAWS_REGION='%s'\n" "$DB_HOST" "$DB_PORT" "$DB_NAME" \
        "$OWNER_SECRET_ID" "${AWS_REGION:-}" >"$MUSEUM_CONF/owner"
    for name in museum-consumer.service museum-dashboard.service; do
        sed "${places[@]}" -e "s|^User=museum$|User=$MUSEUM_USER|" "$source/$name" >"$UNIT_DIR/$name"
    done
    sed "${places[@]}" -e "s|\* museum |* $MUSEUM_USER |" "$source/museum.cron" >"$CRON_DIR/museum"
    chmod 0644 "$UNIT_DIR"/museum-*.service "$CRON_DIR/museum" "$MUSEUM_CONF"/{alert,owner}
    systemctl daemon-reload
    systemctl enable museum-dashboard.service
    systemctl restart museum-dashboard.service
    if [ -n "$BOOTSTRAP_SERVERS" ]; then
        systemctl enable museum-consumer.service
        systemctl restart museum-consumer.service
    else
        systemctl disable --now museum-consumer.service || true
    fi
}

first_load() { # as the owner, who may take the fast way into empty tables; 3 says that some records were rejected
    say "load"
    local code=0
    as_owner pipeline.py --push || code=$?
    case $code in
        0 | 3 | 4) ;;
        *) tell "the load on $(hostname) ended with $code; cron tries again" ;;
    esac
}

read_settings
exec 9>"$MUSEUM_CONF/lock" # cron's runs wait meanwhile, and a set-up waits for the run under way
flock -w 3600 9
install_packages
systemctl stop museum-consumer.service 2>/dev/null || true # it finishes its batch; messages wait in Kafka
fetch_suite
write_settings
prepare_database
install_units
first_load
say "done"

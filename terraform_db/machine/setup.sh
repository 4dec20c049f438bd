#!/bin/bash
# Sets the machine up, as root on Amazon Linux 2023; twice is harmless, and the second time is the upgrade.
# Reads from its environment: REPOSITORY_URL, DB_HOST, DB_NAME, OWNER_SECRET_ID, MUSEUM_BUCKET, and what machine.tf says.
set -euo pipefail

: "${REPOSITORY_URL:?where to clone the suite from}" "${DB_HOST:?}" "${DB_NAME:?}" "${OWNER_SECRET_ID:?}"
: "${MUSEUM_HOME:=/opt/museum}" "${MUSEUM_USER:=museum}" "${UNIT_DIR:=/etc/systemd/system}" "${CRON_DIR:=/etc/cron.d}"
: "${PYTHON:=python3.11}" "${REPOSITORY_REF:=main}" "${DB_PORT:=5432}"

say() { echo "museum set-up: $*"; }

as_museum() { # runs a command as the museum's user, in its folder
    runuser -u "$MUSEUM_USER" -- env -C "$MUSEUM_HOME" HOME="$MUSEUM_HOME" "$@"
}

as_owner() { # the same, as the database's owner, whose secret this machine may read
    as_museum DB_HOST="$DB_HOST" DB_PORT="$DB_PORT" DB_NAME="$DB_NAME" DB_SECRET_ID="$OWNER_SECRET_ID" "$@"
}

new_password() { # prints a password that needs no quotes anywhere
    "$PYTHON" -c 'import secrets; print(secrets.token_urlsafe(24))'
}

secret_field() { # secret_field SECRET FIELD prints one field of a JSON secret
    aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text |
        "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"
}

install_packages() {
    say "packages"
    dnf install -y -q git cronie "$PYTHON" "$PYTHON-pip"
    systemctl enable --now crond
}

fetch_suite() {
    say "the suite at $REPOSITORY_REF"
    id "$MUSEUM_USER" >/dev/null 2>&1 || useradd --system --home-dir "$MUSEUM_HOME" --shell /sbin/nologin "$MUSEUM_USER"
    install -d -m 0750 -o "$MUSEUM_USER" "$MUSEUM_HOME"
    [ -d "$MUSEUM_HOME/.git" ] || as_museum git clone -q "$REPOSITORY_URL" .
    as_museum git fetch -q --tags origin
    as_museum git checkout -q "$REPOSITORY_REF"
    if as_museum git symbolic-ref -q HEAD >/dev/null; then
        as_museum git merge -q --ff-only
    fi
    [ -x "$MUSEUM_HOME/.venv/bin/python" ] || as_museum "$PYTHON" -m venv .venv
    as_museum .venv/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt -c constraints.txt
}

prepare_database() {
    say "schema and roles"
    as_owner .venv/bin/python load.py --apply-schema
    as_owner .venv/bin/python load.py --apply-roles
}

write_settings() { # once: the logins' passwords are made here and stay on this machine
    [ -e "$MUSEUM_HOME/.env" ] && return
    say "logins and settings"
    local loader reader protocol="" user="" password=""
    loader="$(new_password)"
    reader="$(new_password)"
    as_owner .venv/bin/python -m museum.login --role loader museum_pipeline <<<"$loader"
    as_owner .venv/bin/python -m museum.login --role reader museum_dashboard <<<"$reader"
    if [ -n "${BOOTSTRAP_SERVERS:-}" ]; then
        protocol="${SECURITY_PROTOCOL:-SASL_SSL}"
        if [ -n "${KAFKA_SECRET_ID:-}" ]; then
            user="$(secret_field "$KAFKA_SECRET_ID" username)"
            password="$(secret_field "$KAFKA_SECRET_ID" password)"
        fi
    fi
    install -m 0600 -o "$MUSEUM_USER" /dev/null "$MUSEUM_HOME/.env.unfinished"
    cat >"$MUSEUM_HOME/.env.unfinished" <<SETTINGS
DB_HOST='$DB_HOST'
DB_PORT='$DB_PORT'
DB_NAME='$DB_NAME'
DB_USER='museum_pipeline'
DB_PASSWORD='$loader'
MUSEUM_READER_USER='museum_dashboard'
MUSEUM_READER_PASSWORD='$reader'
MUSEUM_BUCKET='${MUSEUM_BUCKET:-sigma-resources-museum}'
MUSEUM_KEY_PREFIX='${MUSEUM_KEY_PREFIX:-lmnh}'
BOOTSTRAP_SERVERS='${BOOTSTRAP_SERVERS:-}'
SECURITY_PROTOCOL='${protocol:-PLAINTEXT}'
SASL_MECHANISM='${SASL_MECHANISM:-}'
KAFKA_TOPIC='${KAFKA_TOPIC:-lmnh}'
KAFKA_USERNAME='$user'
KAFKA_PASSWORD='$password'
SETTINGS
    mv "$MUSEUM_HOME/.env.unfinished" "$MUSEUM_HOME/.env"
}

first_load() { # as the owner, who may take the fast way into empty tables; 3 says that some records were rejected
    say "load"
    local code=0
    as_owner .venv/bin/python pipeline.py --push || code=$?
    case $code in
        0 | 3) ;;
        *) say "the load ended with $code; cron tries again" ;;
    esac
}

install_units() {
    say "cron and systemd"
    local source="$MUSEUM_HOME/terraform_db/machine" unit
    for unit in museum-consumer.service museum-dashboard.service museum-alert@.service; do
        sed -e "s|/opt/museum|$MUSEUM_HOME|g" -e "s|^User=museum$|User=$MUSEUM_USER|" "$source/$unit" >"$UNIT_DIR/$unit"
    done
    sed -e "s|/opt/museum|$MUSEUM_HOME|g" -e "s|\* museum |* $MUSEUM_USER |" "$source/museum.cron" >"$CRON_DIR/museum"
    chmod 0644 "$UNIT_DIR"/museum-*.service "$CRON_DIR/museum"
    printf "ALERT_TOPIC_ARN='%s'\nAWS_REGION='%s'\n" "${ALERT_TOPIC_ARN:-}" "${AWS_REGION:-}" >"$MUSEUM_HOME/.alert"
    systemctl daemon-reload
    systemctl enable museum-dashboard.service
    systemctl restart museum-dashboard.service
    if [ -n "${BOOTSTRAP_SERVERS:-}" ]; then
        systemctl enable museum-consumer.service
        systemctl restart museum-consumer.service
    fi
}

install_packages
fetch_suite
prepare_database
write_settings
first_load
install_units
say "done"

#!/bin/bash
# as_owner.sh COMMAND...: runs a command of the suite, or psql, on the museum's database as its owner. It runs where Terraform
# ran, with the AWS login of whoever runs it, since the machine may not read the owner's secret. For example, while the command
# of `terraform output -raw database_command` runs:
#     PGHOSTADDR=127.0.0.1 DB_PORT=15432 terraform_db/as_owner.sh .venv/bin/python load.py --apply-schema
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
output() { terraform -chdir="$here" output -raw "$1"; }
DB_HOST="$(output db_host)"
DB_NAME="$(output db_name)"
DB_SECRET_ID="$(output db_secret_id)"
DB_SSLROOTCERT="$here/.terraform/rds-ca.pem"
[ -s "$DB_SSLROOTCERT" ] || "$here/fetch_rds_ca.sh" "$DB_SSLROOTCERT"
export DB_HOST DB_NAME DB_SECRET_ID DB_SSLROOTCERT DB_SSLMODE=verify-full DB_PORT="${DB_PORT:-5432}"
if [ "${1##*/}" = psql ]; then
    secret="$(aws secretsmanager get-secret-value --region "$(cut -d: -f4 <<<"$DB_SECRET_ID")" --secret-id "$DB_SECRET_ID" \
        --query SecretString --output text)"
    field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1" <<<"$secret"; }
    PGUSER="$(field username)"
    PGPASSWORD="$(field password)"
    export PGUSER PGPASSWORD PGHOST="$DB_HOST" PGPORT="$DB_PORT" PGDATABASE="$DB_NAME" PGSSLMODE=verify-full \
        PGSSLROOTCERT="$DB_SSLROOTCERT"
fi
exec "$@"

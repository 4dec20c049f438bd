#!/bin/bash
# fetch_rds_ca.sh FILE: the certificates of the authorities that sign the servers of RDS, for DB_SSLROOTCERT. They come from
# Amazon over https, and curl refuses a server that the system's own authorities do not vouch for.
set -euo pipefail
unfinished="$(mktemp "$1.XXXXXX")"
trap 'rm -f "$unfinished"' EXIT
curl --fail --silent --show-error --proto =https --tlsv1.2 --retry 3 --output "$unfinished" \
    https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
python3 -c 'import ssl, sys; ssl.create_default_context(cafile=sys.argv[1])' "$unfinished" # nothing but certificates
chmod 0644 "$unfinished"
mv "$unfinished" "$1"

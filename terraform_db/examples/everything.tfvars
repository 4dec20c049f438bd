# Everything switched on, with addresses of documentation's own: what checkov looks at.
# A real one is terraform.tfvars beside main.tf, which git ignores.
allowed_cidr_blocks = ["203.0.113.7/32"]
alert_email         = "data-team@example.org"
run_pipeline        = true
repository_url      = "https://example.org/museum.git"
repository_ref      = "0123456789abcdef0123456789abcdef01234567"
bootstrap_servers   = "broker.example.org:9092"
kafka_secret_arn    = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:kafka-AbCdEf"
kafka_cidr_block    = "198.51.100.0/24"

# The machine that runs the pipeline by cron, the live consumer and the dashboard: only with run_pipeline = true.
# Nobody can connect to it from outside; people come in through Session Manager.

data "aws_ssm_parameter" "image" {
  count = var.run_pipeline ? 1 : 0
  name  = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

locals {
  machine_count = var.run_pipeline ? 1 : 0

  # The owner's secret is not among them: whoever runs Terraform prepares the database (prepare_database.py).
  secret_arns = concat(aws_secretsmanager_secret.logins[*].arn, compact([var.kafka_secret_arn]))

  # What machine/setup.sh reads, each time it runs; nothing here is secret.
  machine_settings = {
    REPOSITORY_URL      = var.repository_url
    REPOSITORY_REF      = var.repository_ref
    DB_HOST             = aws_db_instance.museum.address
    DB_NAME             = var.db_name
    LOGINS_SECRET_ID    = one(aws_secretsmanager_secret.logins[*].arn)
    MUSEUM_BUCKET       = var.bucket
    MUSEUM_KEY_PREFIX   = var.key_prefix
    MUSEUM_NAME         = var.museum_name
    MUSEUM_TIMEZONE     = var.timezone
    MUSEUM_OPENING_TIME = var.opening_time
    MUSEUM_CLOSING_TIME = var.closing_time
    BOOTSTRAP_SERVERS   = var.bootstrap_servers
    SECURITY_PROTOCOL   = var.kafka_security_protocol
    SASL_MECHANISM      = var.kafka_sasl_mechanism
    KAFKA_TOPIC         = var.kafka_topic
    KAFKA_SECRET_ID     = var.kafka_secret_arn == null ? "" : var.kafka_secret_arn
    ALERT_TOPIC_ARN     = var.alert_email == null ? "" : aws_sns_topic.alerts[0].arn
  }

  kafka_network = var.kafka_anywhere ? "0.0.0.0/0" : var.kafka_cidr_block
  kafka_is_ipv6 = try(strcontains(local.kafka_network, ":"), false)
  kafka_ports = toset([
    for server in compact(split(",", var.bootstrap_servers)) : element(split(":", trimspace(server)), length(split(":", trimspace(server))) - 1)
  ])

  session_actions = [
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
  ]

  machine_statements = concat(
    [
      {
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = ["arn:aws:s3:::${var.bucket}"]
        Condition = { StringLike = { "s3:prefix" = ["${var.key_prefix}*"] } }
      },
    ],
    [
      for statement in [
        { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::${var.bucket}/${var.key_prefix}*"] },
        { actions = ["secretsmanager:GetSecretValue"], resources = local.secret_arns },
        { actions = ["ssm:GetParameter"], resources = aws_ssm_parameter.machine[*].arn },
        { actions = ["sns:Publish"], resources = aws_sns_topic.alerts[*].arn },
        { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = aws_kms_key.alerts[*].arn },
        { actions = ["kms:Decrypt"], resources = compact([var.kafka_secret_kms_key_arn]) },
        # Session Manager, which knows no narrower resource; AWS's own policy for it would read every parameter, too
        { actions = local.session_actions, resources = ["*"] },
      ] : { Effect = "Allow", Action = statement.actions, Resource = statement.resources }
      if length(statement.resources) > 0
    ],
  )

  user_data = join("\n", [
    "#!/bin/bash",
    "export AWS_REGION='${var.region}' SETTINGS_PARAMETER='/${var.name}/machine'",
    file("${path.module}/machine/setup.sh"),
  ])
}

resource "aws_ssm_parameter" "machine" {
  # checkov:skip=CKV_AWS_337:nothing in it is secret, so the account's own key is enough
  count       = local.machine_count
  name        = "/${var.name}/machine"
  description = "What the machine is set up with; setup.sh reads it each time it runs"
  type        = "SecureString"
  value       = join("\n", [for name, value in local.machine_settings : "${name}=${value}"])
}

# The passwords of the programs' two logins. prepare_database.py makes them, so they are in no state file.
resource "aws_secretsmanager_secret" "logins" {
  # checkov:skip=CKV_AWS_149:the account's own key lets nobody read it who has no right to
  # checkov:skip=CKV2_AWS_57:prepare_database.py --new-passwords changes them; the programs read them when they are set up
  count       = local.machine_count
  name_prefix = "${var.name}-logins-"
  description = "The passwords of the programs' logins on the museum's database"
}

resource "aws_security_group" "machine" {
  count       = local.machine_count
  name        = "${var.name}-machine"
  description = "The machine: nothing comes in"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  count             = local.machine_count
  security_group_id = aws_security_group.machine[0].id
  description       = "S3, Secrets Manager, Session Manager, packages and the repository"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "kafka" {
  for_each          = var.run_pipeline ? local.kafka_ports : toset([])
  security_group_id = aws_security_group.machine[0].id
  description       = "The Kafka brokers"
  cidr_ipv4         = local.kafka_is_ipv6 ? null : local.kafka_network
  cidr_ipv6         = local.kafka_is_ipv6 ? local.kafka_network : null
  ip_protocol       = "tcp"
  from_port         = tonumber(each.value)
  to_port           = tonumber(each.value)
}

resource "aws_vpc_security_group_egress_rule" "database" {
  count                        = local.machine_count
  security_group_id            = aws_security_group.machine[0].id
  description                  = "The database of the museum"
  referenced_security_group_id = aws_security_group.database.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "machine" {
  count                        = local.machine_count
  security_group_id            = aws_security_group.database.id
  description                  = "Postgres from the machine"
  referenced_security_group_id = aws_security_group.machine[0].id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_iam_role" "machine" {
  count       = local.machine_count
  name_prefix = "${var.name}-machine-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "machine" {
  count = local.machine_count
  name  = "read-bucket-and-secrets"
  role  = aws_iam_role.machine[0].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.machine_statements
  })
}

resource "aws_iam_instance_profile" "machine" {
  count       = local.machine_count
  name_prefix = "${var.name}-machine-"
  role        = aws_iam_role.machine[0].name
}

resource "aws_instance" "machine" {
  # checkov:skip=CKV_AWS_88:in a default VPC the way out to S3 and the brokers is a public address; nothing may come in
  count                       = local.machine_count
  ami                         = data.aws_ssm_parameter.image[0].value
  instance_type               = var.machine_type
  subnet_id                   = var.machine_subnet_id == null ? sort(local.subnet_ids)[0] : var.machine_subnet_id
  vpc_security_group_ids      = [aws_security_group.machine[0].id]
  associate_public_ip_address = var.machine_public_address
  iam_instance_profile        = aws_iam_instance_profile.machine[0].name
  ebs_optimized               = true
  monitoring                  = true
  user_data                   = local.user_data

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.machine_disk_gb
    encrypted   = true
  }

  tags = { Name = "${var.name}-pipeline" }

  depends_on = [
    aws_iam_role_policy.machine,
    aws_vpc_security_group_egress_rule.https,
    aws_vpc_security_group_egress_rule.database,
    aws_vpc_security_group_ingress_rule.machine,
  ]

  lifecycle {
    # none of these is a reason to throw a running machine away; upgrades are in docs/operations.md
    ignore_changes = [ami, user_data, subnet_id, associate_public_ip_address]

    precondition {
      condition     = var.repository_url != "" && var.repository_ref != ""
      error_message = "run_pipeline needs repository_url and repository_ref: where the machine clones the suite from, and the hash of the commit."
    }

    precondition {
      condition     = var.bootstrap_servers == "" || var.kafka_anywhere || var.kafka_cidr_block != null
      error_message = "bootstrap_servers needs kafka_cidr_block, the brokers' network, or kafka_anywhere = true where their addresses change."
    }

    precondition {
      condition     = var.bootstrap_servers == "" || !startswith(var.kafka_security_protocol, "SASL") || var.kafka_secret_arn != null
      error_message = "kafka_security_protocol ${var.kafka_security_protocol} needs kafka_secret_arn; without a login it is SSL or PLAINTEXT."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "machine" {
  count               = var.run_pipeline && var.alert_email != null ? 1 : 0
  alarm_name          = "${var.name}-machine"
  alarm_description   = "The machine does not answer: no loads, no live events, no dashboard"
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { InstanceId = aws_instance.machine[0].id }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alerts[0].arn]
}

# The museum's database: RDS Postgres, encrypted, reachable by named networks only, with TLS forced and backups kept.
# The machine that runs the pipeline is in machine.tf and optional.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      project = var.name
      managed = "terraform"
    }
  }
}

data "aws_vpc" "default" {
  count   = var.vpc_id == null ? 1 : 0
  default = true
}

data "aws_subnets" "all" {
  count = length(var.subnet_ids) == 0 ? 1 : 0

  filter {
    name   = "vpc-id"
    values = [local.vpc_id]
  }
}

locals {
  vpc_id     = var.vpc_id == null ? data.aws_vpc.default[0].id : var.vpc_id
  subnet_ids = length(var.subnet_ids) == 0 ? data.aws_subnets.all[0].ids : var.subnet_ids
}

resource "aws_db_subnet_group" "museum" {
  name       = var.name
  subnet_ids = local.subnet_ids
}

resource "aws_security_group" "database" {
  name        = "${var.name}-database"
  description = "Postgres, from named networks and from the machine"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "networks" {
  for_each = toset(var.allowed_cidr_blocks)

  security_group_id = aws_security_group.database.id
  description       = "Postgres from ${each.value}"
  cidr_ipv4         = strcontains(each.value, ":") ? null : each.value
  cidr_ipv6         = strcontains(each.value, ":") ? each.value : null
  ip_protocol       = "tcp"
  from_port         = 5432
  to_port           = 5432
}

resource "aws_db_parameter_group" "museum" {
  name_prefix = "${var.name}-"
  family      = "postgres${split(".", var.engine_version)[0]}"
  description = "TLS for everybody; changes of structure and slow statements are logged"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "5000"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_iam_role" "monitoring" {
  name_prefix = "${var.name}-monitoring-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_db_instance" "museum" {
  # checkov:skip=CKV_AWS_157:a second zone doubles the price of a museum's smallest instance; multi_az is a variable
  # checkov:skip=CKV_AWS_353:Performance Insights has no use for a handful of statements an hour
  identifier     = var.name
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class
  db_name        = var.db_name
  port           = 5432

  # RDS makes the owner's password, keeps it in Secrets Manager and rotates it; it is in no state file.
  username                            = var.db_username
  manage_master_user_password         = true
  iam_database_authentication_enabled = true

  storage_type          = "gp3"
  allocated_storage     = var.allocated_storage_gb
  max_allocated_storage = var.max_allocated_storage_gb
  storage_encrypted     = true

  db_subnet_group_name   = aws_db_subnet_group.museum.name
  vpc_security_group_ids = [aws_security_group.database.id]
  publicly_accessible    = var.publicly_accessible
  parameter_group_name   = aws_db_parameter_group.museum.name
  multi_az               = var.multi_az

  backup_retention_period   = var.backup_retention_days
  backup_window             = "01:00-02:00"
  maintenance_window        = "mon:02:30-mon:03:30"
  copy_tags_to_snapshot     = true
  deletion_protection       = var.deletion_protection
  delete_automated_backups  = false
  skip_final_snapshot       = false
  final_snapshot_identifier = var.final_snapshot_name == null ? "${var.name}-final" : var.final_snapshot_name

  apply_immediately               = var.apply_immediately
  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn
}

# ---------------------------------------------------------------------------------------------------------------------
# Alarms by mail
# ---------------------------------------------------------------------------------------------------------------------

resource "aws_sns_topic" "alerts" {
  count             = var.alert_email == null ? 0 : 1
  name              = "${var.name}-alerts"
  kms_master_key_id = aws_kms_key.alerts[0].id
}

resource "aws_sns_topic_subscription" "alerts" {
  count     = var.alert_email == null ? 0 : 1
  topic_arn = aws_sns_topic.alerts[0].arn
  protocol  = "email"
  endpoint  = var.alert_email
}

data "aws_caller_identity" "current" {}

# A key of our own, since CloudWatch may not use the one that SNS brings.
resource "aws_kms_key" "alerts" {
  count               = var.alert_email == null ? 0 : 1
  description         = "What ${var.name}'s alarms say"
  enable_key_rotation = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "kms:*"
        Resource  = "*"
        Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:root" }
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Principal = { Service = "cloudwatch.amazonaws.com" }
      },
    ]
  })
}

resource "aws_cloudwatch_metric_alarm" "storage" {
  count               = var.alert_email == null ? 0 : 1
  alarm_name          = "${var.name}-database-storage"
  alarm_description   = "Less than 1 GB free although the disk grows by itself: loads will soon fail with exit code 1"
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = { DBInstanceIdentifier = aws_db_instance.museum.identifier }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1000000000
  period              = 300
  evaluation_periods  = 2
  alarm_actions       = [aws_sns_topic.alerts[0].arn]
}

resource "aws_cloudwatch_metric_alarm" "credits" {
  count               = var.alert_email == null ? 0 : 1
  alarm_name          = "${var.name}-database-credits"
  alarm_description   = "The small instance computes more than its credits allow, which costs extra; take a larger class"
  namespace           = "AWS/RDS"
  metric_name         = "CPUSurplusCreditsCharged"
  dimensions          = { DBInstanceIdentifier = aws_db_instance.museum.identifier }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 300
  evaluation_periods  = 12
  alarm_actions       = [aws_sns_topic.alerts[0].arn]
}

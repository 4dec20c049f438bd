# ---------------------------------------------------------------------------------------------------------------------
# The database
# ---------------------------------------------------------------------------------------------------------------------

variable "region" {
  description = "The AWS region."
  type        = string
  default     = "eu-west-2"
}

variable "name" {
  description = "What everything here is called."
  type        = string
  default     = "museum"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 32 small letters, digits and hyphens, beginning with a letter."
  }
}

variable "allowed_cidr_blocks" {
  description = "The networks that may connect to Postgres, such as [\"203.0.113.7/32\"]; [] for the pipeline's machine alone."
  type        = list(string)

  validation {
    condition     = alltrue([for block in var.allowed_cidr_blocks : can(cidrhost(block, 0))])
    error_message = "allowed_cidr_blocks must be networks such as 203.0.113.7/32."
  }

  validation {
    condition     = alltrue([for block in var.allowed_cidr_blocks : can(cidrhost(block, 0)) ? tonumber(split("/", block)[1]) > 7 : true])
    error_message = "allowed_cidr_blocks must not open the database to the whole internet, or to half of it."
  }
}

variable "publicly_accessible" {
  description = "Whether the database has a public address; allowed_cidr_blocks still decide who may connect."
  type        = bool
  default     = false
}

variable "vpc_id" {
  description = "The network; null for the default one."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets of that network in at least two zones; [] for all of them. The machine goes into the first."
  type        = list(string)
  default     = []
}

variable "db_name" {
  description = "The database."
  type        = string
  default     = "museum"
}

variable "db_username" {
  description = "The owner, whose password RDS makes, keeps in Secrets Manager and rotates."
  type        = string
  default     = "museum_owner"
}

variable "engine_version" {
  description = "The version of Postgres; RDS chooses the minor one."
  type        = string
  default     = "17"

  validation {
    condition     = tonumber(split(".", var.engine_version)[0]) >= 15
    error_message = "The suite needs Postgres 15 or newer."
  }
}

variable "instance_class" {
  description = "The instance's class."
  type        = string
  default     = "db.t3.micro"
}

variable "allocated_storage_gb" {
  description = "The disk at first; 20 million presses take about 4 GB."
  type        = number
  default     = 20
}

variable "max_allocated_storage_gb" {
  description = "How far the disk may grow by itself."
  type        = number
  default     = 100
}

variable "multi_az" {
  description = "A standby in a second zone, at twice the price."
  type        = bool
  default     = false
}

variable "backup_retention_days" {
  description = "For how many days any moment can be restored."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 35
    error_message = "backup_retention_days must be from 1 to 35."
  }
}

variable "deletion_protection" {
  description = "Whether terraform destroy is refused. The last snapshot is taken in any case."
  type        = bool
  default     = true
}

variable "alert_email" {
  description = "Who is told of alarms and of units that failed; null for nobody."
  type        = string
  default     = null
}

# ---------------------------------------------------------------------------------------------------------------------
# The machine
# ---------------------------------------------------------------------------------------------------------------------

variable "run_pipeline" {
  description = "Whether there is a machine that runs the pipeline, the consumer and the dashboard."
  type        = bool
  default     = false
}

variable "repository_url" {
  description = "Where the machine clones the suite from, over https."
  type        = string
  default     = ""

  validation {
    condition     = var.repository_url == "" || startswith(var.repository_url, "https://")
    error_message = "repository_url must begin with https://."
  }
}

variable "repository_ref" {
  description = "The branch, tag or commit."
  type        = string
  default     = "main"
}

variable "machine_type" {
  description = "The machine's type; the pipeline needs about 400 MB and the dashboard about as much."
  type        = string
  default     = "t3.small"
}

variable "machine_disk_gb" {
  description = "The machine's disk: the bucket's copy, the combined files and the programs."
  type        = number
  default     = 20
}

variable "machine_public_address" {
  description = "Whether the machine has a public address, its way out where there is no NAT gateway."
  type        = bool
  default     = true
}

variable "bucket" {
  description = "The bucket with the museum's objects."
  type        = string
  default     = "sigma-resources-museum"
}

variable "key_prefix" {
  description = "What the museum's keys begin with; the machine may read nothing else."
  type        = string
  default     = "lmnh"
}

variable "bootstrap_servers" {
  description = "Kafka's brokers, HOST:PORT with commas; empty for no consumer."
  type        = string
  default     = ""
}

variable "kafka_security_protocol" {
  description = "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
  type        = string
  default     = "SASL_SSL"
}

variable "kafka_sasl_mechanism" {
  description = "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."
  type        = string
  default     = "PLAIN"
}

variable "kafka_topic" {
  description = "The topic with the kiosks' events."
  type        = string
  default     = "lmnh"
}

variable "kafka_secret_arn" {
  description = "The ARN of a secret with username and password for Kafka, as JSON; null where it asks for none."
  type        = string
  default     = null
}

variable "kafka_port" {
  description = "The brokers' port."
  type        = number
  default     = 9092
}

variable "kafka_cidr_block" {
  description = "The brokers' network; a cloud provider's brokers change their addresses."
  type        = string
  default     = "0.0.0.0/0"
}

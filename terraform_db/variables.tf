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
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 20 && !startswith(var.name, "sg-")
    error_message = "name must be up to 20 small letters, digits and single hyphens, beginning with a letter."
  }
}

variable "allowed_cidr_blocks" {
  description = "The networks that may connect to Postgres, such as [\"203.0.113.7/32\"]; [] for the pipeline's machine alone."
  type        = list(string)

  validation {
    condition     = alltrue([for block in var.allowed_cidr_blocks : try(cidrsubnet(block, 0, 0) == block, false)])
    error_message = "allowed_cidr_blocks must be networks by their first address, spelled as AWS does: 203.0.113.0/24 or 2001:db8::/48."
  }

  validation {
    condition = alltrue([
      for block in var.allowed_cidr_blocks : try(tonumber(split("/", block)[1]), 128) >= (
        strcontains(block, ":") ? 48 : can(regex("^(10|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168)\\.", block)) ? 16 : 24
      )
    ])
    error_message = "allowed_cidr_blocks must be no wider than /16 of private IPv4 (a VPC is no wider), /24 of public IPv4 and /48 of IPv6 (what one site has): wider ones let strangers try passwords."
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
  description = "Subnets of that network in at least two zones; [] for all of them."
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
  description = "Whether AWS refuses to delete the database, by terraform destroy or otherwise. The last snapshot is taken in any case."
  type        = bool
  default     = true
}

variable "final_snapshot_name" {
  description = "The name of the snapshot that a deletion leaves, which must be new; null for NAME-final."
  type        = string
  default     = null
}

variable "apply_immediately" {
  description = "Whether changes of the database, such as a larger class, restart it now rather than on Monday night."
  type        = bool
  default     = false
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
  description = "Where the machine clones the suite from, over https and without a login."
  type        = string
  default     = ""

  validation {
    condition     = var.repository_url == "" || startswith(var.repository_url, "https://")
    error_message = "repository_url must begin with https://."
  }
}

variable "repository_ref" {
  description = "The commit that the machine runs, by its full hash: git rev-parse v1.2.3^{commit} prints that of a tag."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([0-9a-f]{40})?$", var.repository_ref))
    error_message = "repository_ref must be the full hash of a commit, 40 characters (git rev-parse v1.2.3^{commit} prints that of a tag): branches and tags can be moved to other code."
  }
}

variable "machine_type" {
  description = "The machine's type; the units may take 2 GB together (MemoryMax), and usually need under half of it."
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

variable "machine_subnet_id" {
  description = "The machine's subnet, which needs a way out; null for the first of subnet_ids."
  type        = string
  default     = null
}

variable "museum_name" {
  description = "What the dashboard calls the museum."
  type        = string
  default     = "Liverpool Museum of Natural History"
}

variable "timezone" {
  description = "The museum's time zone."
  type        = string
  default     = "Europe/London"
}

variable "opening_time" {
  description = "When the museum opens, local time."
  type        = string
  default     = "08:45"
}

variable "closing_time" {
  description = "When the museum closes, local time."
  type        = string
  default     = "18:15"
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

variable "kafka_secret_kms_key_arn" {
  description = "The ARN of that secret's own key, as MSK wants one; null for the account's."
  type        = string
  default     = null
}

variable "kafka_cidr_block" {
  description = "The brokers' network, the only one that the machine reaches on their ports."
  type        = string
  default     = null

  validation {
    condition     = var.kafka_cidr_block == null || try(cidrsubnet(var.kafka_cidr_block, 0, 0) == var.kafka_cidr_block, false)
    error_message = "kafka_cidr_block must be a network by its first address, spelled as AWS does: 198.51.100.0/24 or 2001:db8::/48."
  }

  validation {
    condition = var.kafka_cidr_block == null || try(tonumber(split("/", var.kafka_cidr_block)[1]), 128) >= (
      try(strcontains(var.kafka_cidr_block, ":"), false) ? 48 : can(regex("^(10|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168)\\.", var.kafka_cidr_block)) ? 16 : 24
    )
    error_message = "kafka_cidr_block must be no wider than /16 of private IPv4 (a VPC is no wider), /24 of public IPv4 and /48 of IPv6 (what one site has). Where a provider's brokers change their addresses: kafka_anywhere = true."
  }
}

variable "kafka_anywhere" {
  description = "Whether the machine reaches Kafka's ports everywhere, for a provider whose brokers change their addresses."
  type        = bool
  default     = false
}

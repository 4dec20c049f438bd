output "db_host" {
  description = "DB_HOST of .env."
  value       = aws_db_instance.museum.address
}

output "db_port" {
  description = "DB_PORT of .env."
  value       = aws_db_instance.museum.port
}

output "db_name" {
  description = "DB_NAME of .env."
  value       = aws_db_instance.museum.db_name
}

output "db_secret_id" {
  description = "DB_SECRET_ID of .env, for whoever may read the secret: the owner's login, which RDS rotates. The machine may not."
  value       = aws_db_instance.museum.master_user_secret[0].secret_arn
}

output "machine_id" {
  description = "The machine."
  value       = one(aws_instance.machine[*].id)
}

output "shell_command" {
  description = "Opens a shell on the machine."
  value       = one([for machine in aws_instance.machine : "aws ssm start-session --region ${var.region} --target ${machine.id}"])
}

output "dashboard_command" {
  description = "Brings the dashboard to http://localhost:8501 while it runs."
  value = one([
    for machine in aws_instance.machine :
    "aws ssm start-session --region ${var.region} --target ${machine.id} --document-name AWS-StartPortForwardingSession --parameters portNumber=8501,localPortNumber=8501"
  ])
}

output "database_command" {
  description = "Brings the database to 127.0.0.1:15432 while it runs, for as_owner.sh and prepare_database.py."
  value = one([
    for machine in aws_instance.machine :
    "aws ssm start-session --region ${var.region} --target ${machine.id} --document-name AWS-StartPortForwardingSessionToRemoteHost --parameters host=${aws_db_instance.museum.address},portNumber=5432,localPortNumber=15432"
  ])
}

output "logins_secret_id" {
  description = "The secret with the passwords of the programs' logins, which prepare_database.py fills."
  value       = one(aws_secretsmanager_secret.logins[*].arn)
}

output "machine_role_arn" {
  description = "Whom a bucket of another account must let read."
  value       = one(aws_iam_role.machine[*].arn)
}

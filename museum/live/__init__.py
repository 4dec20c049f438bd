"""The live stream: what consumer.py reads from Kafka, judges and brings into the museum's tables."""

"""The demos of the batch and of the live stream, and the samples that they and the tests are made of."""

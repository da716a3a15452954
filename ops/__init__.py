"""What is around the pipeline: documents, lock files, images, the benchmark. Not shipped with the package."""

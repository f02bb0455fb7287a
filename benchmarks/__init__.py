"""Speed and accuracy, side by side with the peers; `python -m benchmarks` runs them all."""

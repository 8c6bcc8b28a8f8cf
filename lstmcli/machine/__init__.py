"""The process: device, precision, threads, memory allocation, interruption."""

"""From files to Examples to Batches."""

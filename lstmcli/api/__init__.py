"""What the tool does, as functions: for texts in memory (``model``, ``fit``), and for files, as the commands do."""

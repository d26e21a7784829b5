"""Reading data: files, captured requests, predictions, labels."""

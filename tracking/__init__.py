"""What happened: the journal, its view in MLflow, reproduction and export."""

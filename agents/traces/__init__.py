"""What the agents did as traces: made from the journal and the recording of calls, written beside the study."""

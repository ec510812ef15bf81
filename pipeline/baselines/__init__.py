"""What every model has to beat: scorers that are counted or fitted in seconds, by name."""

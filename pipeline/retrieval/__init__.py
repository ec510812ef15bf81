"""Top-k over a catalogue: an index finds places by score, the catalogue turns them into ids without the excluded."""

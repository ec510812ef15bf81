"""Where rows come from: each file turns one kind of raw data into record batches and a schema."""

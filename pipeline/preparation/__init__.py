"""Raw tables to a prepared folder: Parquet, vocabularies, statistics and a fingerprint, in bounded memory."""

"""Cut a recording into utterances, and write them in the formats of other programs."""

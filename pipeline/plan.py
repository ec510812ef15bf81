"""How rows become batches: the part of an experiment that the input pipeline reads."""

from __future__ import annotations

from typing import Literal, Optional

import pydantic


class Plan(pydantic.BaseModel):
    """Sizes, negatives, weights and shuffling. An unknown key is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    batch_size: int = pydantic.Field(default=1024, ge=1)
    """Examples in a batch, negatives included; the last batch of an epoch may be shorter."""
    negatives_per_positive: int = pydantic.Field(default=4, ge=1)
    """Items drawn for each event, where the rows are events only and the model learns pointwise."""
    negative_sampler: Literal["uniform", "popularity"] = "uniform"
    """uniform: every unseen item equally often. popularity: in proportion to train_count ** popularity_alpha."""
    popularity_alpha: float = pydantic.Field(default=0.75, ge=0, le=2)
    """Exponent, without unit: 0 is uniform over the items of the training part, 1 their share of the events."""
    windows: Literal["tiled", "shifted"] = "tiled"
    """Of models that learn every position of a history. tiled: the same windows in each epoch, so that an event is
    always seen behind as many others. shifted: but for each user's newest, they begin elsewhere in each epoch."""
    class_balance: bool = False
    """Whether negatives weigh less, so that both classes weigh the same in sum; needs a task with a sample weight."""
    recency_half_life_days: Optional[float] = pydantic.Field(default=None, gt=0)
    """Days after which a row weighs half; its age counts from the newest event of the training part."""
    shuffle_row_groups: int = pydantic.Field(default=4, ge=1)
    """Row groups of the Parquet files in memory at once; rows are shuffled among these."""

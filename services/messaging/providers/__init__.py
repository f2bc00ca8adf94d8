"""Who takes messages from us: each adapter says what it can promise and what its answer means."""

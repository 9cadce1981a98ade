"""A judge without a language model: it knows what planted explanations mean, and errs as often as it is told to."""

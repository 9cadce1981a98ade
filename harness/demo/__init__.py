"""The shipped demo: a small corpus, an SAE and a transcoder for SmolLM2-135M-Instruct."""

"""The study: experiments, their runs and records, and what is computed from them."""
